"""Which master public keys a repository gets, as paths that were looked at: files that hold a public key in PEM form.

Owns the search (format notes, section 13: CVMFS_PUBLIC_KEY, else CVMFS_KEYS_DIR, else the default directories).  Must
not know cryptography: whether the key is a good one, `vfs.master_key` finds out.
"""

from __future__ import annotations

from pathlib import Path

from hepwrap.config.origin import Origin, Value
from hepwrap.config.sources import Sources

_PUBLIC = (b"-----BEGIN PUBLIC KEY-----", b"-----BEGIN RSA PUBLIC KEY-----")
_PRIVATE = b"PRIVATE KEY-----"
_CERTIFICATE = b"-----BEGIN CERTIFICATE-----"
DEFAULT_DIRECTORY = "/etc/cvmfs/keys"
NOWHERE = Origin("nowhere")


def from_files(value: Value, sources: Sources) -> tuple[Path, ...]:
    """The files (or directories of `*.pub` files) of a list; the error names the place that names them."""
    found: list[Path] = []
    for item in value.items:
        if sources.is_directory(item):
            found += from_directory(Value((item,), value.origin), sources)
        else:
            found.append(checked(sources.path(item), value.origin))
    return tuple(found)


def from_directory(value: Value, sources: Sources) -> tuple[Path, ...]:
    """All `*.pub` of a directory; an error where there is none."""
    directory = value.items[0]
    found = sources.listed(directory, ".pub")
    if not found:
        raise value.origin.error(f"the directory {directory} has no *.pub file; put the master public keys there")
    return tuple(checked(path, value.origin) for path in found)


def of_domain(fqrn: str, sources: Sources) -> tuple[Path, ...]:
    """Keys that are installed for the domain of `fqrn`."""
    return _installed(f"{DEFAULT_DIRECTORY}/{fqrn.partition('.')[2]}", sources)


def of_all_domains(sources: Sources) -> tuple[Path, ...]:
    """Keys that are installed without a domain: what the client takes where nothing is said."""
    return _installed(DEFAULT_DIRECTORY, sources)


def _installed(directory: str, sources: Sources) -> tuple[Path, ...]:
    return tuple(checked(path, Origin(directory)) for path in sources.listed(directory, ".pub"))


def checked(path: Path, origin: Origin) -> Path:
    """`path`, if a PEM public key is there; else the error says what is there instead."""
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        raise origin.error(f"there is no key file {path}") from None
    except OSError as error:
        raise origin.error(f"the key file {path} cannot be read ({error.strerror})") from None
    if any(mark in content for mark in _PUBLIC):
        return path
    what = "no PEM public key"
    if _PRIVATE in content:
        what = "a private key"
    elif _CERTIFICATE in content:
        what = "a certificate"
    raise origin.error(f"{path} holds {what}; a master public key is a .pub file with BEGIN PUBLIC KEY")
