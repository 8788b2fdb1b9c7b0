"""A tree for the harness that is made quickly."""

from __future__ import annotations

from hepwrap.perf.making import Sizes

SMALL = Sizes(files=2000, used=300, few_entries=50, many_entries=500, large_bytes=1 << 20, git_files=100, headers=3)
