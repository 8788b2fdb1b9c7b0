"""What can be set, as frozen values: each field with its unit and its default.

Owns the meaning and the default of every option.  Must not know where values come from (`hepwrap.config`).
Names in brackets are the CernVM-FS parameters that set the same thing (format notes, sections 12 and 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hepwrap.records import dataclass, field

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FetchSettings:
    """How bytes are asked for."""

    #: Base URLs in order of preference, `@fqrn@` and `@org@` already replaced [CVMFS_SERVER_URL].
    servers: tuple[str, ...] = ()
    #: CernVM-FS proxy syntax, `p1|p2;p3;DIRECT`, `auto`; empty is a configuration error for http [CVMFS_HTTP_PROXY].
    proxy: str = ""
    #: Proxy groups appended after those of `proxy`, from which DIRECT is then removed [CVMFS_FALLBACK_PROXY].
    fallback_proxy: str = ""
    #: PAC files for `auto`, `;` separated; `auto` in it is http://wpad/wpad.dat [CVMFS_PAC_URLS].
    pac_urls: str = ""
    #: Seconds to connect, and seconds without a byte: through a proxy [CVMFS_TIMEOUT], without [CVMFS_TIMEOUT_DIRECT].
    timeout: float = 5.0
    timeout_direct: float = 10.0
    #: Bytes a second under which a transfer counts as stalled, over one time-out [CVMFS_LOW_SPEED_LIMIT].
    low_speed_limit: int = 1024
    #: Further tries of one URL, with a random pause of at most `backoff_init` seconds, doubled up to `backoff_max`
    #: [CVMFS_MAX_RETRIES, CVMFS_BACKOFF_INIT, CVMFS_BACKOFF_MAX].
    retries: int = 1
    backoff_init: float = 2.0
    backoff_max: float = 10.0
    #: Seconds after which the first server, and the first proxy group, are tried again
    #: [CVMFS_HOST_RESET_AFTER, CVMFS_PROXY_RESET_AFTER].
    host_reset_after: float = 1800.0
    proxy_reset_after: float = 300.0
    #: Order servers by distance with the Geo-API [CVMFS_USE_GEOAPI]; replaces `@proxy@` [CVMFS_PROXY_TEMPLATE].
    geo_api: bool = False
    proxy_template: str = ""
    #: [CVMFS_FOLLOW_REDIRECTS] [CVMFS_SEND_INFO_HEADER]
    follow_redirects: bool = False
    send_info_header: bool = False
    #: Ask nobody over a network: only directories and file:// are read.
    offline: bool = False
    #: Pooled connections for each server.
    connections: int = 64


@dataclass(frozen=True, slots=True)
class RepositorySettings:
    """One repository: who it is, whom to believe, which revision, and how it is shown."""

    #: Fully qualified repository name, for example atlas.cern.ch.
    name: str
    fetch: FetchSettings = FetchSettings()
    #: PEM files of master public keys; any one is enough [CVMFS_PUBLIC_KEY, CVMFS_KEYS_DIR].
    public_keys: tuple[Path, ...] = ()
    #: Refused fingerprints and `<fqrn N` rows [CVMFS_BLACKLIST].
    blacklists: tuple[Path, ...] = ()
    #: Pin a tag, or a root catalogue; empty: the newest revision [CVMFS_REPOSITORY_TAG, CVMFS_ROOT_HASH].
    tag: str = ""
    root_hash: str = ""
    #: Pin the newest tag not younger than this ISO 8601 time [CVMFS_REPOSITORY_DATE].
    date: str = ""
    #: A launch asks no server for so many seconds after one that did, or for fewer where the publisher says so; None:
    #: as the publisher says, 0: every launch asks [CVMFS_MAX_TTL, in minutes].
    max_ttl: float | None = None
    #: Show the user as the owner of everything [CVMFS_CLAIM_OWNERSHIP].
    claim_ownership: bool = True
    #: Enforce mode bits [CVMFS_CHECK_PERMISSIONS]; OR 0444, and 0111 on directories [CVMFS_WORLD_READABLE].
    check_permissions: bool = True
    world_readable: bool = False
    #: Files that map ids, lines `<from> <to>`, `*` for all others [CVMFS_UID_MAP, CVMFS_GID_MAP].
    uid_map: Path | None = None
    gid_map: Path | None = None
    #: Values for variant symlinks besides the environment (exported configuration parameters).
    variables: Mapping[str, str] = field(default_factory=dict)
    #: Which magic attributes listxattr shows: rootonly, always or never [CVMFS_MAGIC_XATTRS_VISIBILITY].
    magic_xattrs_visibility: str = "rootonly"
    #: Largest manifest, whitelist (bytes), and largest stored object (bytes) that is accepted.
    max_signed_bytes: int = 1 * MIB
    max_object_bytes: int = 16 * 1024 * MIB
    max_catalog_bytes: int = 2 * 1024 * MIB


@dataclass(frozen=True, slots=True)
class CacheSettings:
    """Memory for opened files."""

    #: Bytes of memory files in all; None: a quarter of what the job's cgroup leaves free (else of free RAM).
    limit: int | None = None
    #: Which share of what is left free that is, between 0 and 1, where `limit` is None.
    share: float = 0.25
    #: Simultaneous fetches.
    workers: int = 64


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything, as the command line hands it to `assemble`."""

    #: Repositories to have at launch, verified before the command starts, in the order they were named.
    repositories: tuple[RepositorySettings, ...] = ()
    cache: CacheSettings = CacheSettings()
    #: Where a mounted CernVM-FS would be.
    prefix: str = "/cvmfs"
    #: A directory of a repository that the job shall have as its `/`; None: the host's.
    root: str | None = None
    #: What of the host is shown elsewhere: the place, and the file or directory.
    binds: tuple[tuple[str, str], ...] = ()
    #: Where the highest revision seen is remembered; None: nowhere (no writable state directory).
    state_directory: Path | None = None
    offline: bool = False
    #: 0: only what goes wrong; 1: what is done; 2: every question of the program.
    verbosity: int = 0
    #: Where the account at the end goes: None no account, "-" the command's stderr, else a file.
    stats: str | None = None
    #: File that gets what happens in between; None: nothing is written.
    log: Path | None = None
    #: Serve only what is sealed, though opening it takes longer: see SECURITY.md.
    sealed: bool = False
    #: Change call sites in programs, so that a call that was caught once is never caught there again.
    patch: bool = True
