"""`hepwrap renew`: the whitelist of a repository is signed anew; nothing is published."""

from __future__ import annotations

import time
from pathlib import Path

from hepwrap.cli.arguments import Parsed, operands
from hepwrap.cli.commands import Command
from hepwrap.cli.needed import name_of, required
from hepwrap.cli.publish_options import whitelist_days
from hepwrap.errors import ConfigurationError, UsageError


def main(parsed: Parsed, command: Command) -> int:
    """Sign it, and say until when it is valid."""
    (text,) = operands(parsed, ["NAME"])
    name = name_of(text)
    store, keys = Path(required(parsed, command, "to")), Path(required(parsed, command, "keys"))
    days = whitelist_days(parsed)
    if not store.is_dir():
        raise UsageError(f"{store} is no directory; name the one that {name} was published to")
    from hepwrap.vfs.publish.keys import KeyFiles, renew_whitelist

    master = KeyFiles.of(name, keys).master
    if not master.exists():
        raise ConfigurationError(
            f"there is no {master}, which alone can sign the whitelist of {name}; put the master key there, or renew"
            " where it is kept"
        )
    renewed = renew_whitelist(name, keys=keys, store=store, days=days)
    until = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(renewed.expires))
    print(f"{store / name}: the whitelist is valid until {until}; certificates in it: {len(renewed.fingerprints)}")
    return 0
