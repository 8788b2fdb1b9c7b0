"""A tree of texts with the same job in four languages, each with a module of its own beside it (`tests/scripts`).

A job shows which module it loaded, every file with its attributes, what is in the files, what the errors of common
mistakes are called, what a child says that it starts, and what several threads or processes read together.
"""

from __future__ import annotations

import os
import random
import shutil
from pathlib import Path

SCRIPTS = Path(__file__).resolve().parents[1] / "scripts"
TEXTS = 24
WORDS = ("electron", "muon", "tau", "photon", "gluon", "quark")
#: Name of the job, what runs it, Debian's package of that.
JOBS = {
    "job.pl": ("perl", "perl"),
    "job.rb": ("ruby", "ruby"),
    "job.js": ("node", "nodejs"),
    "job.R": ("Rscript", "r-base-core"),
}


def build(tree: Path) -> None:
    """Fill `tree`."""
    shutil.copytree(SCRIPTS, tree, ignore=shutil.ignore_patterns("*.c"))
    (tree / "table.tsv").write_text("x\ty\n" + "".join(f"{n}\t{3 * n + n % 5}\n" for n in range(100)))
    source = random.Random(7)
    for number in range(TEXTS):
        path = tree / f"text/{number % 3}/part{number:02}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(" ".join(source.choices(WORDS, k=7)) for _ in range(50)) + "\n")
    (tree / "text/link").symlink_to("0/part00.txt")
    for directory, names, files in os.walk(tree):
        for name in names + files:
            os.utime(os.path.join(directory, name), (1_700_000_000, 1_700_000_000), follow_symlinks=False)
