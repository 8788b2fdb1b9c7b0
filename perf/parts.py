"""The parts of the tree that is measured on, as a table.

A part that cannot be made here (a tool or package is missing) says why, and the rows that need it say so in turn.
"""

from __future__ import annotations

from functools import partial

from hepwrap.perf import part_files, part_tools
from hepwrap.perf.making import Part

PARTS: tuple[Part, ...] = (
    Part("files", "files, directories and links", part_files.files),
    Part("program", "a program that does nothing", part_files.dynamic_program),
    Part("static-program", "the same, linked statically", part_files.static_program),
    Part("python", "a whole CPython", part_tools.python),
    Part("cpp", "a C++ file and its headers", part_tools.cpp),
    Part("git", "a git repository", part_tools.git),
    # What pip installs into the tree's own CPython, at the versions the rows are known to work with.
    Part("pythia8mc", "pythia8mc 8.317.2", partial(part_tools.stack, "pythia8mc==8.317.2"), is_stack=True),
    Part("geant4-pybind", "geant4-pybind 0.1.3", partial(part_tools.stack, "geant4-pybind==0.1.3"), is_stack=True),
    Part("root", "root 0.1a12", partial(part_tools.root, "root==0.1a12"), is_stack=True),
)
