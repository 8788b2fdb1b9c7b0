"""A launch inside of a launch: there can be one tracer only, so the inner one becomes its command in the outer's world.

Owns how a launch knows the one around it, and what may be asked of an inner one.  Must not start anything.
"""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Mapping
from typing import Any

from hepwrap.errors import LaunchError
from hepwrap.settings import Settings

#: The extended attribute of /cvmfs by which a launch is known from inside.
ATTRIBUTE = "user.hepwrap"


def about(settings: Settings) -> bytes:
    """The value of the attribute: what an inner launch has to know."""
    from hepwrap import __version__

    return json.dumps({"version": __version__, "root": settings.root, "binds": list(settings.binds)}).encode()


def launch_around(prefix: str) -> Mapping[str, Any] | None:
    """What the launch that this process lives in says of itself; None where there is none."""
    try:
        said = json.loads(os.getxattr(prefix, ATTRIBUTE))
    except (OSError, ValueError):
        return None
    return said if isinstance(said, dict) else None


def check(around: Mapping[str, Any], settings: Settings, revisions: Mapping[str, tuple[str, str]]) -> None:
    """LaunchError where the world around is not the one that is asked for.

    `revisions` as Plan's.  What is only about the way (proxies, memory, patching, logs) is the outer launch's.
    """
    if settings.root is not None and settings.root != around.get("root"):
        raise LaunchError(
            f"--root {settings.root}: the root is that of the launch around this one; give it to that one"
        )
    for place, host in settings.binds:
        if [place, host] not in around.get("binds", []):
            raise LaunchError(
                f"--bind {place}={host}: places are those of the launch around this one; give it to that one"
            )
    for name, (tag, root_hash) in revisions.items():
        check_repository(f"{settings.prefix}/{name}", name, tag, root_hash)


def check_repository(place: str, name: str, tag: str, root_hash: str) -> None:
    """LaunchError where the launch around does not have the repository, or not that revision of it."""
    try:
        found = os.fsdecode(os.getxattr(place, "user.root_hash"))
        found_tag = os.fsdecode(os.getxattr(place, "user.tag"))
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENODATA):
            why = f"the launch around this one does not know {name}; name it there, with --repo"
        else:
            why = f"{name} cannot be read in the launch around this one: {error.strerror}; its log says why"
        raise LaunchError(why) from error
    if (root_hash and root_hash != found) or (tag and tag != found_tag):
        raise LaunchError(
            f"the launch around this one has {name} at another revision ({found_tag or found}); "
            f"ask for {tag or root_hash} there"
        )
