"""`hepwrap keygen`: the four key files of a repository."""

from __future__ import annotations

from pathlib import Path

from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.needed import name_of, required


def main(parsed: Parsed, command: Command) -> int:
    """Make the keys and say which is which."""
    (text,) = operands(parsed, ["NAME"])
    name = name_of(text)
    directory = Path(required(parsed, command, "keys"))
    from hepwrap.vfs.publish.keys import generate

    files, fingerprint = generate(name, directory, algorithm=parsed.last("algorithm", "sha1"))
    print(
        f"{files.public}: give this to those who read the repository (--key)\n"
        f"{files.master}: signs whitelists; keep it safe, and elsewhere if you can\n"
        f"{files.private}, {files.certificate}: for publishing\n"
        f"fingerprint {fingerprint}"
    )
    return 0
