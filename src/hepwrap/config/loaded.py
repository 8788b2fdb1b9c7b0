"""All layers together: the settings of the job, and of each repository when it is asked for.

Owns the order of the layers (first wins).  Reads files only when something is asked of them, and the configuration
repository only when a repository needs it.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hepwrap.config.client_files import CONFIG_REPOSITORY, ETC, Client, ClientLayer
from hepwrap.config.layers import BuiltIn, Layer, Overrides, from_environment, from_flags
from hepwrap.config.parameters import BY_KEY, OPTIONS, Scope
from hepwrap.config.parse import is_repository_name
from hepwrap.config.repository import View, build
from hepwrap.config.sources import Sources
from hepwrap.config.stack import Stack
from hepwrap.errors import ConfigurationError, FetchFailed
from hepwrap.records import replace
from hepwrap.settings import CacheSettings, RepositorySettings, Settings

if TYPE_CHECKING:
    from hepwrap.config.show import Shown
    from hepwrap.config.toml_file import TomlFile

#: Handed the name of the configuration repository and its settings; answers its files by path (`etc/cvmfs/...`), each
#: verified, or None where it has none.
ReadConfigRepository = Callable[[str, RepositorySettings], Mapping[str, bytes] | None]


def _nothing(_fqrn: str, _settings: RepositorySettings) -> None:
    return None


def _silent(_text: str) -> None:
    pass


def _random_number() -> int:
    import random

    return random.randrange(32768)


class LoadedSettings:
    """All that is configured; files are read when something is asked of it.  Safe for any number of threads.

    `root` is where /etc is looked for; `warn` takes sentences for the user; `random` makes `$RANDOM` of scripts.
    UsageError and ConfigurationError, naming the place, for what is wrong in flags and HEPWRAP_ variables.
    """

    def __init__(
        self,
        overrides: Overrides | None = None,
        *,
        environ: Mapping[str, str],
        cwd: Path,
        root: Path = Path("/"),
        read_config_repository: ReadConfigRepository = _nothing,
        warn: Callable[[str], None] = _silent,
        random: Callable[[], int] = _random_number,
    ) -> None:
        overrides = overrides or Overrides()
        self._environ, self._cwd, self._root = environ, cwd, root
        self._read_config_repository, self._warn, self._random = read_config_repository, warn, random
        self._lock = threading.RLock()
        self._views: dict[str, View] = {}
        self._built_in = BuiltIn()
        self._flags = from_flags(overrides, cwd)
        self._arguments = from_environment(environ, cwd, self._flags.named)
        self._ordered = tuple(each.name for each in overrides.repositories)
        self._config_files_read: tuple[Mapping[str, bytes] | None] | None = None

    # The files of hepwrap itself.

    @cached_property
    def files(self) -> tuple[TomlFile, ...]:
        """The hepwrap.toml files that exist, strongest first."""
        found = (_toml_file(path) for path in self._toml_paths())
        return tuple(file for file in found if file is not None)

    def _toml_paths(self) -> list[Path]:
        paths = [self._cwd / "hepwrap.toml"]
        user = _base_directory(self._environ, "XDG_CONFIG_HOME", ".config")
        if user is not None:
            paths.append(user / "hepwrap" / "hepwrap.toml")
        return list(dict.fromkeys([*paths, *Sources(self._root).listed("/etc/hepwrap", ".toml")]))

    def _strong(self, fqrn: str | None) -> Stack:
        """The layers that outdo those of the real client."""
        return Stack((self._flags, self._arguments, *self.files), fqrn)

    # The job.

    @cached_property
    def settings(self) -> Settings:
        """Everything that is not about one repository, and the repositories wanted at launch, complete."""
        return replace(self.job, repositories=tuple(self.known(name) for name in self.required))

    @cached_property
    def job(self) -> Settings:
        """`settings` without repositories: nothing is fetched for it."""
        stack = self._strong(None)
        if stack.get("prefix") is None:
            parameters = self._client("", Sources(self._root)).defaults()
            stack = Stack((*stack.layers, ClientLayer(parameters.values, {})))
        fields: dict[str, Any] = {}
        for option in OPTIONS:
            room, _, field = option.target.partition(".")
            if room in ("job", "cache") and option.key != "repo":
                value = stack.read_all(option.key) if option.separator else stack.read(option.key)
                if value is not None:
                    fields[field] = value
        size, workers = fields.pop("size", None), fields.pop("workers", None)
        state, log, stats = (fields.pop(key, None) for key in ("state_directory", "log", "stats"))
        return Settings(
            cache=_cache(size, workers),
            state_directory=Path(state) if state else self._default_state_directory(),
            log=Path(log) if log else None,
            stats=stats if stats in (None, "-") else os.path.normpath(self._cwd / stats),
            **fields,
        )

    def _default_state_directory(self) -> Path | None:
        base = _base_directory(self._environ, "XDG_STATE_HOME", ".local/state")
        return None if base is None else base / "hepwrap"

    def revision_asked(self, fqrn: str) -> tuple[str, str]:
        """Tag and root hash that flags, the environment or our own files ask for; "" where they do not."""
        stack = self._strong(fqrn)
        return stack.read("tag") or "", stack.read("root_hash") or ""

    def _in_places(self) -> Iterator[str]:
        """Repositories that the root is in, or that something of the host is shown in."""
        for place in (self.job.root, *(place for place, _ in self.job.binds)):
            if place is not None and place.startswith(self.job.prefix + "/"):
                name, inside, _ = place[len(self.job.prefix) + 1 :].partition("/")
                if (inside or place == self.job.root) and is_repository_name(name):
                    yield name

    @cached_property
    def required(self) -> tuple[str, ...]:
        """Repositories that shall be there at launch: --repo, then HEPWRAP_REPO, then `repo` of the files."""
        said = [file.top["repo"] for file in self.files if "repo" in file.top]
        for value in said:
            for name in value.items:
                if not is_repository_name(name):
                    raise value.origin.error(f"{name[:80]!r} is no name of a repository; a name is like atlas.cern.ch")
        from_files = [name for value in said for name in value.items]
        return tuple(dict.fromkeys((*self._ordered, *self._arguments.repositories, *from_files, *self._in_places())))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Every repository that is named anywhere: what a listing of /cvmfs shows."""
        tables = [name for file in self.files for name in file.repositories]
        client = self.client(None)
        domain = client.parameter("CVMFS_DEFAULT_DOMAIN")
        listed = client.get(BY_KEY["repositories"], None)
        full = [
            name if "." in name or domain is None else f"{name}.{domain.text}"
            for name in (listed.items if listed else ())
        ]
        return tuple(dict.fromkeys(name for name in (*self.required, *tables, *full) if is_repository_name(name)))

    # Repositories.

    def repository(self, fqrn: str) -> RepositorySettings | None:
        """The settings of one repository; None where nothing says where it is.

        ConfigurationError with the place of what is wrong; FetchFailed or Untrusted where the configuration repository,
        which may say it, cannot be had.
        """
        if not is_repository_name(fqrn):
            return None
        view = self._view(fqrn)
        if not view.stack.items("url") or not self._is_allowed(view):
            return None
        return build(view, offline=self.job.offline)

    def known(self, fqrn: str) -> RepositorySettings:
        """As `repository`, for one that somebody asked for by name; ConfigurationError where nothing is known."""
        found = self.repository(fqrn)
        if found is None:
            raise ConfigurationError(
                f"nothing says where the repository {fqrn} is; say it with --repo {fqrn}=URL and --key FILE"
            )
        return found

    def _is_allowed(self, view: View) -> bool:
        """With CVMFS_STRICT_MOUNT the client mounts what CVMFS_REPOSITORIES lists; whoever names one here, means it."""
        return not view.stack.read("strict_mount") or view.fqrn in self.names or view.fqrn in self._flags.named

    def _view(self, fqrn: str) -> View:
        with self._lock:
            if fqrn not in self._views:
                self._views[fqrn] = self._make_view(fqrn)
            return self._views[fqrn]

    def _make_view(self, fqrn: str) -> View:
        """`fqrn` "": for no repository in particular."""
        sources, directory = self._sources(fqrn)
        client = self._client(fqrn, sources).read(fqrn, directory)
        layers: tuple[Layer, ...] = (*self._strong(fqrn).layers, client, self._built_in)
        variables: dict[str, str] = {}
        for file in reversed(self.files):
            variables |= {name: value.items[0] for name, value in file.variables_of(fqrn).items()}
        return View(fqrn, Stack(layers, fqrn or None), client, sources, directory, variables)

    # The real client's files.

    def client(self, fqrn: str | None) -> ClientLayer:
        """What the client's files say of a repository (None: of none in particular)."""
        return self._view(fqrn or "").client

    def _client(self, fqrn: str, sources: Sources) -> Client:
        strong = self._strong(fqrn or None)
        stronger: dict[str, str] = {}
        for option in OPTIONS:
            value = strong.get(option.key) if option.cvmfs and option.scope is not Scope.ONE else None
            if value is not None:
                stronger[option.cvmfs] = (option.separator or " ").join(value.items)
        default = self._built_in.get(BY_KEY["proxy"], None)
        return Client(sources, self._environ, stronger, default.text if default else "", self._random)

    def _sources(self, fqrn: str) -> tuple[Sources, str]:
        """The client's files for `fqrn`, and their directory in the configuration repository where that counts."""
        name = self.config_repository
        if not fqrn or not name or name == fqrn or self._is_self_sufficient(fqrn):
            return Sources(self._root), ""
        held = self._config_files(name, fqrn)
        if held is None:
            return Sources(self._root), ""
        mount_point = f"{self.job.prefix}/{name}"
        return Sources(self._root, mount_point, held), f"{mount_point}/etc/cvmfs"

    @cached_property
    def config_repository(self) -> str:
        """The name of the configuration repository, "" for none."""
        parameters = self._client("", Sources(self._root)).defaults()
        name = parameters.get(CONFIG_REPOSITORY) or ""
        if name and not is_repository_name(name):
            message = f"{CONFIG_REPOSITORY} is {name[:80]!r}, which is no name of a repository"
            raise parameters.values[CONFIG_REPOSITORY].origin.error(message)
        return name

    def _is_self_sufficient(self, fqrn: str) -> bool:
        """Whether flags, environment or hepwrap.toml say both where `fqrn` is and whom to believe."""
        strong = self._strong(fqrn)
        return bool(strong.get("url") and (strong.get("keys") or strong.get("keys_directory")))

    def _config_files(self, name: str, fqrn: str) -> Mapping[str, bytes] | None:
        """The files of the configuration repository, read when `fqrn` is the first to need them."""
        if self._config_files_read is None:
            self._config_files_read = (self._fetch_config_files(name, fqrn),)
        return self._config_files_read[0]

    def _fetch_config_files(self, name: str, fqrn: str) -> Mapping[str, bytes] | None:
        settings = self.repository(name)
        if settings is None:
            raise ConfigurationError(
                f"nothing says where the configuration repository {name} is; set CVMFS_SERVER_URL in "
                f"{ETC}/config.d/{name}.conf"
            )
        try:
            return self._read_config_repository(name, settings)
        except FetchFailed as error:
            client = self._client(fqrn, Sources(self._root)).read(fqrn, "")
            if Stack((*self._strong(fqrn).layers, client, self._built_in), fqrn).get("url") is None:
                message = f"the configuration repository {name}, which may say where {fqrn} is, cannot be read: {error}"
                raise type(error)(message) from error
            self._warn(f"the configuration repository {name} cannot be read, going on without it: {error}")
            return None

    # For people.

    def origins(self, fqrn: str | None = None) -> list[Shown]:
        """What is set, and where: of a repository (None: of the job), the client's other parameters included."""
        from hepwrap.config.show import show

        view = self._view(fqrn or "")
        return show(view.stack, view.client, self.job if fqrn is None else build(view, offline=self.job.offline))

    @property
    def places(self) -> list[Path]:
        """The hepwrap.toml files that would be read, strongest first, whether or not they exist."""
        return self._toml_paths()


def _toml_file(path: Path) -> TomlFile | None:
    """The file at `path`, None where there is none: most directories have none, and need no reader of TOML."""
    try:
        path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError:  # which the reader explains
        pass
    from hepwrap.config import toml_file

    return toml_file.read(path)


def _cache(size: int | float | None, workers: int | None) -> CacheSettings:
    cache = CacheSettings()
    if isinstance(size, float):
        cache = replace(cache, share=size)
    elif size is not None:
        cache = replace(cache, limit=size)
    return cache if workers is None else replace(cache, workers=workers)


def _base_directory(environ: Mapping[str, str], variable: str, below_home: str) -> Path | None:
    """A base directory as the XDG specification finds it; relative ones do not count."""
    named = environ.get(variable, "")
    if named.startswith("/"):
        return Path(named)
    home = environ.get("HOME", "")
    return Path(home) / below_home if home.startswith("/") else None
