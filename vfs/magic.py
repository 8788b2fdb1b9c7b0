"""Extended attributes that no catalogue stores: what a mounted CernVM-FS says of itself and of each file.

Owns the table of their names and how each is made (format notes, section 14).  Must not know who asks nor how the
server counts: that comes in as `facts`.  An attribute that a catalogue does store wins over a magic one of its name.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Mapping

from hepwrap import __version__
from hepwrap.digest import SHA1, Hasher
from hepwrap.errors import NoAttribute
from hepwrap.records import dataclass
from hepwrap.vfs.entry import Entry
from hepwrap.vfs.entry_row import show
from hepwrap.vfs.repository import Repository

#: What the server knows and this room does not, by attribute name without `user.`: pid, uptime (minutes), inode_max,
#: maxfd, usedfd, nopen, ndiropen, nioerr, timestamp_last_ioerr, hitrate ... Asked anew for each attribute.
Facts = Callable[[], Mapping[str, object]]

_PINNED = "never (fixed root catalog)"
_NOT_COUNTED = "n/a"


def _no_facts() -> Mapping[str, object]:
    return {}


class MagicAttributes:
    """The attributes of one repository's entries, stored and magic.  Thread-safe where `facts` is."""

    def __init__(self, repository: Repository, *, facts: Facts = _no_facts) -> None:
        self.repository = repository
        self.facts = facts

    def get(self, entry: Entry, name: bytes) -> bytes:
        """The value of the attribute `name` (in full, b"user.fqrn"); NoAttribute where `entry` has none such."""
        stored = self.repository.xattrs(entry)
        if name in stored:
            return stored[name]
        row = ROWS.get(name)
        value = row.value(self, entry) if row is not None and row.applies(entry) else None
        if value is None:
            raise NoAttribute(f"{self.repository.name}:{show(entry.path)} has no extended attribute {show(name)}")
        return value if isinstance(value, bytes) else value.encode("utf-8", "surrogateescape")

    def names(self, entry: Entry) -> list[bytes]:
        """What listxattr shows: the stored ones, and the magic ones where settings make them visible."""
        stored = sorted(self.repository.xattrs(entry))
        visibility = self.repository.settings.magic_xattrs_visibility
        if visibility == "never" or (visibility != "always" and entry.path):
            return stored
        return stored + [name for name, row in ROWS.items() if name not in stored and row.applies(entry)]

    def fact(self, name: str, otherwise: str) -> str:
        """What the server says about `name`."""
        return str(self.facts().get(name, otherwise))

    def described(self, name: str) -> str | None:
        """What the fetcher says about `name` (host, proxy, time-outs)."""
        return self.repository.fetcher.describe().get(name)


Value = str | bytes | None


@dataclass(frozen=True, slots=True)
class MagicRow:
    """How one attribute is made, and of which entries."""

    value: Callable[[MagicAttributes, Entry], Value]
    applies: Callable[[Entry], bool]


def _always(_entry: Entry) -> bool:
    return True


def _has_hash(entry: Entry) -> bool:
    return entry.digest is not None


def _regular(entry: Entry) -> bool:
    return entry.is_file


def _link(entry: Entry) -> bool:
    return entry.is_symlink


def _fact(name: str, otherwise: str = "0") -> Callable[[MagicAttributes, Entry], Value]:
    return lambda magic, _entry: magic.fact(name, otherwise)


def _described(name: str) -> Callable[[MagicAttributes, Entry], Value]:
    return lambda magic, _entry: magic.described(name)


def _rx(magic: MagicAttributes, _entry: Entry) -> str:
    """Kibibytes received."""
    return str(magic.repository.fetcher.counters.bytes_received // 1024)


def _speed(magic: MagicAttributes, _entry: Entry) -> str:
    """Kibibytes a second of waiting."""
    counters = magic.repository.fetcher.counters
    return str(int(counters.bytes_received / 1024 / counters.seconds)) if counters.seconds > 0 else _NOT_COUNTED


def _csv(counters: Mapping[str, int]) -> str:
    return "".join(f"{name},{value}\n" for name, value in counters.items())


def _repo_counters(magic: MagicAttributes, _entry: Entry) -> str:
    return _csv(magic.repository.statistics())


def _catalog_counters(magic: MagicAttributes, entry: Entry) -> bytes:
    tree = magic.repository.tree
    catalog = tree.catalog_below(entry.path) if entry.is_dir else tree.catalog_of(entry.path)
    head = f"catalog_hash: {catalog.digest}\ncatalog_mountpoint: ".encode() + (catalog.mount or b"/")
    return head + b"\n" + _csv(catalog.statistics()).encode()


def _public_keys(magic: MagicAttributes, _entry: Entry) -> bytes:
    return b"".join(master.pem for master in magic.repository.masters)


def _chunk_list(magic: MagicAttributes, entry: Entry) -> str:
    if not entry.is_chunked:
        lines = [f"{entry.digest or ''},0,{entry.size}\n"]
    else:
        chunks = magic.repository.tree.catalog_of(entry.path).chunks(entry)
        lines = [f"{chunk.digest},{chunk.offset},{chunk.size}\n" for chunk in chunks]
    return "hash,offset,size\n" + "".join(lines)


def _chunks(magic: MagicAttributes, entry: Entry) -> str:
    return str(len(magic.repository.tree.catalog_of(entry.path).chunks(entry))) if entry.is_chunked else "1"


def _local_hash(magic: MagicAttributes, entry: Entry) -> str:
    """The hash of the content packed anew with zlib: for zlib objects the hash that was checked when they came."""
    if entry.compression == "zlib":
        return str(entry.digest)
    packer = zlib.compressobj()
    hasher = Hasher(entry.digest.algorithm if entry.digest else SHA1)
    for piece in magic.repository.read(entry):
        hasher.update(packer.compress(piece))
    hasher.update(packer.flush())
    return str(hasher.digest())


def _row(value: Callable[[MagicAttributes, Entry], Value], applies: Callable[[Entry], bool] = _always) -> MagicRow:
    return MagicRow(value, applies)


#: By full name, in the order of listings.
ROWS: dict[bytes, MagicRow] = {
    b"user.catalog_counters": _row(_catalog_counters),
    b"user.expires": _row(lambda _magic, _entry: _PINNED),
    b"user.fqrn": _row(lambda magic, _entry: magic.repository.name),
    b"user.hitrate": _row(_fact("hitrate", _NOT_COUNTED)),
    b"user.host": _row(_described("host")),
    b"user.host_list": _row(_described("host_list")),
    b"user.inode_max": _row(_fact("inode_max")),
    b"user.logbuffer": _row(_fact("logbuffer", "")),
    b"user.maxfd": _row(_fact("maxfd")),
    # -1: there is no disk cache whose clean-ups could be counted.
    b"user.ncleanup24": _row(_fact("ncleanup24", "-1")),
    b"user.nclg": _row(lambda magic, _entry: str(magic.repository.tree.loaded)),
    b"user.ndiropen": _row(_fact("ndiropen")),
    b"user.ndownload": _row(lambda magic, _entry: str(magic.repository.objects.counters.fetched)),
    b"user.nioerr": _row(_fact("nioerr")),
    b"user.nopen": _row(_fact("nopen")),
    b"user.pid": _row(_fact("pid")),
    b"user.proxy": _row(_described("proxy")),
    b"user.proxy_list": _row(_described("proxy_list")),
    b"user.pubkeys": _row(_public_keys),
    b"user.repo_counters": _row(_repo_counters),
    b"user.repo_metainfo": _row(lambda magic, _entry: magic.repository.meta_info() or "metainfo not available"),
    b"user.revision": _row(lambda magic, _entry: str(magic.repository.revision)),
    b"user.root_hash": _row(lambda magic, _entry: str(magic.repository.root_hash)),
    b"user.rx": _row(_rx),
    b"user.speed": _row(_speed),
    b"user.tag": _row(lambda magic, _entry: magic.repository.root.tag),
    b"user.timeout": _row(_described("timeout")),
    b"user.timeout_direct": _row(_described("timeout_direct")),
    b"user.timestamp_last_ioerr": _row(_fact("timestamp_last_ioerr")),
    b"user.uptime": _row(_fact("uptime")),
    b"user.useddirp": _row(_fact("useddirp")),
    b"user.usedfd": _row(_fact("usedfd")),
    b"user.version": _row(lambda _magic, _entry: __version__),
    b"user.chunk_list": _row(_chunk_list, _regular),
    b"user.chunks": _row(_chunks, _regular),
    b"user.compression": _row(lambda _magic, entry: entry.compression, _regular),
    b"user.direct_io": _row(lambda _magic, entry: str(int(entry.is_direct_io)), _regular),
    b"user.external_file": _row(lambda _magic, entry: str(int(entry.is_external)), _regular),
    b"user.hash": _row(lambda _magic, entry: str(entry.digest), _has_hash),
    b"user.lhash": _row(_local_hash, _has_hash),
    b"user.rawlink": _row(lambda _magic, entry: entry.symlink, _link),
    b"xfsroot.rawlink": _row(lambda _magic, entry: entry.symlink, _link),
}
