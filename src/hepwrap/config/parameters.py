"""Everything that can be set: one row an option.

A row says what the option is called in `hepwrap.toml` (and, in capitals after HEPWRAP_, in the environment), which
flag and which CVMFS_ parameter say the same, which field of `settings` it becomes, and how its text is read.  Adding
an option is one row here and one field there.
"""

from __future__ import annotations

import enum
from collections.abc import Callable

from hepwrap.config import parse
from hepwrap.records import dataclass


class Scope(enum.Enum):
    """Where in `hepwrap.toml` an option may stand, and for whom a flag speaks."""

    #: At the top only: it is about the job.
    JOB = "job"
    #: At the top, for a domain or for a repository.
    ANY = "any"
    #: For a domain or for a repository; as a flag, for the repositories named on the command line.
    NAMED = "named"
    #: For one repository; as a flag, for the repositories named on the command line.
    ONE = "one"


@dataclass(frozen=True, slots=True)
class Option:
    """One thing that can be set."""

    key: str
    #: `job.x`, `cache.x`, `fetch.x` or `repository.x`: a field of Settings, CacheSettings, ...
    target: str
    read: Callable[[str], object]
    scope: Scope = Scope.ANY
    #: The parameter of the real client that says the same.
    cvmfs: str = ""
    flag: str = ""
    #: What separates the items of a list in one text; "" where it is no list.
    separator: str = ""
    #: Its text is a path: relative ones start where they are written (the file's directory, the current one).
    is_path: bool = False
    #: Whether it may be written in `hepwrap.toml` and the environment under `key`.
    is_ours: bool = True

    @property
    def variables(self) -> tuple[str, ...]:
        """The variables of hepwrap's environment: named as the key and, where that differs, as the flag."""
        names = [self.key]
        if self.flag.startswith("--") and not self.flag.startswith("--no-"):
            names.append(self.flag.removeprefix("--").replace("-", "_"))
        return tuple(dict.fromkeys(f"HEPWRAP_{name.upper()}" for name in names))


_JOB, _NAMED, _ONE = Scope.JOB, Scope.NAMED, Scope.ONE

OPTIONS: tuple[Option, ...] = (
    # The job.
    Option("repo", "job.repositories", parse.text, _JOB, flag="--repo", separator=","),
    Option("cache_size", "cache.size", parse.cache_size, _JOB, flag="--cache-size"),
    Option("workers", "cache.workers", parse.positive, _JOB),
    Option("prefix", "job.prefix", parse.absolute, _JOB, "CVMFS_MOUNT_DIR"),
    Option("root", "job.root", parse.absolute, _JOB, flag="--root"),
    Option("bind", "job.binds", parse.bind, _JOB, flag="--bind", separator=";"),
    Option("state_directory", "job.state_directory", parse.text, _JOB, is_path=True),
    Option("offline", "job.offline", parse.boolean, _JOB, flag="--offline"),
    Option("verbose", "job.verbosity", parse.count, _JOB, flag="-v"),
    Option("stats", "job.stats", parse.stats, _JOB, flag="--stats"),
    Option("log", "job.log", parse.text, _JOB, flag="--log", is_path=True),
    Option("sealed", "job.sealed", parse.boolean, _JOB, flag="--sealed"),
    Option("patch", "job.patch", parse.boolean, _JOB, flag="--no-patch"),
    Option("config_repository", "config.repository", parse.fqrn, _JOB, "CVMFS_CONFIG_REPOSITORY"),
    # Where from and whom to believe.
    Option("url", "fetch.servers", parse.text, _NAMED, "CVMFS_SERVER_URL", separator=";"),
    Option("keys", "repository.public_keys", parse.text, _NAMED, "CVMFS_PUBLIC_KEY", "--key", ":", is_path=True),
    Option("keys_directory", "repository.public_keys", parse.text, _NAMED, "CVMFS_KEYS_DIR", is_path=True),
    Option("blacklist", "repository.blacklists", parse.text, cvmfs="CVMFS_BLACKLIST", separator=":", is_path=True),
    # Which revision.
    Option("tag", "repository.tag", parse.tag, _ONE, "CVMFS_REPOSITORY_TAG", "--tag"),
    Option("root_hash", "repository.root_hash", parse.root_hash, _ONE, "CVMFS_ROOT_HASH", "--root-hash"),
    Option("date", "repository.date", parse.date, _ONE, "CVMFS_REPOSITORY_DATE"),
    Option("max_ttl", "repository.max_ttl", parse.minutes, cvmfs="CVMFS_MAX_TTL"),
    # How it is fetched.
    Option("proxy", "fetch.proxy", parse.text, cvmfs="CVMFS_HTTP_PROXY", flag="--proxy"),
    Option("fallback_proxy", "fetch.fallback_proxy", parse.text, cvmfs="CVMFS_FALLBACK_PROXY"),
    Option("pac_urls", "fetch.pac_urls", parse.text, cvmfs="CVMFS_PAC_URLS"),
    Option("timeout", "fetch.timeout", parse.seconds, cvmfs="CVMFS_TIMEOUT"),
    Option("timeout_direct", "fetch.timeout_direct", parse.seconds, cvmfs="CVMFS_TIMEOUT_DIRECT"),
    Option("low_speed_limit", "fetch.low_speed_limit", parse.count, cvmfs="CVMFS_LOW_SPEED_LIMIT"),
    Option("retries", "fetch.retries", parse.count, cvmfs="CVMFS_MAX_RETRIES"),
    Option("backoff_init", "fetch.backoff_init", parse.seconds, cvmfs="CVMFS_BACKOFF_INIT"),
    Option("backoff_max", "fetch.backoff_max", parse.seconds, cvmfs="CVMFS_BACKOFF_MAX"),
    Option("host_reset_after", "fetch.host_reset_after", parse.seconds, cvmfs="CVMFS_HOST_RESET_AFTER"),
    Option("proxy_reset_after", "fetch.proxy_reset_after", parse.seconds, cvmfs="CVMFS_PROXY_RESET_AFTER"),
    Option("geo_api", "fetch.geo_api", parse.boolean, cvmfs="CVMFS_USE_GEOAPI"),
    Option("proxy_template", "fetch.proxy_template", parse.text, cvmfs="CVMFS_PROXY_TEMPLATE"),
    Option("follow_redirects", "fetch.follow_redirects", parse.boolean, cvmfs="CVMFS_FOLLOW_REDIRECTS"),
    Option("send_info_header", "fetch.send_info_header", parse.boolean, cvmfs="CVMFS_SEND_INFO_HEADER"),
    Option("connections", "fetch.connections", parse.positive),
    # How it is shown.
    Option("claim_ownership", "repository.claim_ownership", parse.boolean, cvmfs="CVMFS_CLAIM_OWNERSHIP"),
    Option("check_permissions", "repository.check_permissions", parse.boolean, cvmfs="CVMFS_CHECK_PERMISSIONS"),
    Option("world_readable", "repository.world_readable", parse.boolean, cvmfs="CVMFS_WORLD_READABLE"),
    Option("uid_map", "repository.uid_map", parse.text, cvmfs="CVMFS_UID_MAP", is_path=True),
    Option("gid_map", "repository.gid_map", parse.text, cvmfs="CVMFS_GID_MAP", is_path=True),
    Option(
        "magic_xattrs_visibility",
        "repository.magic_xattrs_visibility",
        parse.visibility,
        cvmfs="CVMFS_MAGIC_XATTRS_VISIBILITY",
    ),
    Option(
        "hide_magic_xattrs",
        "repository.magic_xattrs_visibility",
        parse.hidden,
        cvmfs="CVMFS_HIDE_MAGIC_XATTRS",
        is_ours=False,
    ),
    # Which repositories there are.
    Option("strict_mount", "config.strict", parse.boolean, _JOB, "CVMFS_STRICT_MOUNT", is_ours=False),
    Option("repositories", "config.listed", parse.text, _JOB, "CVMFS_REPOSITORIES", separator=",", is_ours=False),
)

OURS: dict[str, Option] = {option.key: option for option in OPTIONS if option.is_ours}
BY_KEY: dict[str, Option] = {option.key: option for option in OPTIONS}
BY_CVMFS: dict[str, Option] = {option.cvmfs: option for option in OPTIONS if option.cvmfs}
