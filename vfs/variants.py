"""Variant symbolic links: `$(NAME)` and `$(NAME:-default)` in link targets (format notes, section 7.7).

Owns the one rule that expands a target and the one order in which variables are looked for.  Must not know where
links stand or who follows them.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping

#: Up to the first closing parenthesis; without one the text is no reference and is kept.
_REFERENCE = re.compile(rb"\$\(([^)]*)\)")


def variables(environ: Mapping[bytes, bytes], *, fqrn: str, exported: Mapping[str, str]) -> dict[bytes, bytes]:
    """What references in one repository's links may name.

    The client sets CVMFS_FQRN, then runs the configuration, whose `exported` parameters replace what `environ` has,
    and sets CVMFS_ARCH last (the machine as `uname -m` says it).
    """
    values = dict(environ)
    values[b"CVMFS_FQRN"] = os.fsencode(fqrn)
    values.update((os.fsencode(name), os.fsencode(value)) for name, value in exported.items())
    values[b"CVMFS_ARCH"] = os.fsencode(os.uname().machine)
    return values


def expand(target: bytes, values: Mapping[bytes, bytes]) -> bytes:
    """`target` with every reference replaced, in one pass: what comes in by a value is not looked at again.

    Unset is the default, or nothing; set to the empty string is the empty string.
    """
    if b"$(" not in target:
        return target

    def value_of(reference: re.Match[bytes]) -> bytes:
        name, _, default = reference[1].partition(b":-")
        return values.get(name, default)

    return _REFERENCE.sub(value_of, target)
