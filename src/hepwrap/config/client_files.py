"""The configuration of the real client: which files below /etc/cvmfs, in which order (format notes, section 13).

Owns the order, which parameter is protected when, and what the client itself puts into the variables of its scripts.
Later files win.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping

from hepwrap.config.layers import split
from hepwrap.config.origin import BUILT_IN, Origin, Value
from hepwrap.config.parameters import Option
from hepwrap.config.shell_parameters import Parameters
from hepwrap.config.sources import Sources
from hepwrap.records import dataclass

CONFIG_REPOSITORY, MOUNT_DIR, PROXY = "CVMFS_CONFIG_REPOSITORY", "CVMFS_MOUNT_DIR", "CVMFS_HTTP_PROXY"
DEFAULT_MOUNT_DIR = "/cvmfs"
_PREFIX = "CVMFS_"
ETC = "/etc/cvmfs"


@dataclass(frozen=True, slots=True)
class ClientLayer:
    """What the client's files and the CVMFS_ variables of the environment say, for one repository."""

    #: Set by files.
    assigned: Mapping[str, Value]
    #: CVMFS_ variables of the environment that no file changes.
    inherited: Mapping[str, Value]

    def get(self, option: Option, fqrn: str | None) -> Value | None:
        """What was said; a parameter set to nothing is as good as unset, except for proxies, where it is a mistake."""
        if not option.cvmfs:
            return None
        value = self.parameter(option.cvmfs)
        if value is None:
            return None
        text = value.items[0]
        if not text and option.cvmfs != PROXY:
            return None
        return Value(split(option, text), value.origin)

    def name_of(self, option: Option) -> str:
        """See Layer."""
        return option.cvmfs

    def parameter(self, name: str) -> Value | None:
        """A parameter as it was written."""
        return self.assigned.get(name) or self.inherited.get(name)

    def variables(self) -> dict[str, str]:
        """What the client puts into its own environment, where variant links look: all that files set."""
        return {name: value.items[0] for name, value in self.assigned.items() if value.origin is not BUILT_IN}

    def all(self) -> dict[str, Value]:
        """Every parameter by name, those that hepwrap has no use for included."""
        return {**self.inherited, **self.assigned}


@dataclass(frozen=True, slots=True)
class Client:
    """Reads the client's files.

    `stronger` are parameters that a stronger layer has said, which the files see and cannot change.  `default_proxy` is
    what the proxy is where no file of this machine sets it.
    """

    sources: Sources
    environ: Mapping[str, str]
    stronger: Mapping[str, str]
    default_proxy: str
    random: Callable[[], int]

    def defaults(self) -> Parameters:
        """What default.conf and default.d say: up to where the configuration repository is fixed."""
        parameters = self._start("")
        self._run(parameters, _defaults(self.sources))
        return parameters

    def read(self, fqrn: str, config_directory: str) -> ClientLayer:
        """All files for `fqrn` ("": for no repository in particular); see section 13 for the order.

        `config_directory` is /cvmfs/<configuration repository>/etc/cvmfs, "" where there is none to be read.
        """
        parameters = self._start(fqrn)
        self._run(parameters, _defaults(self.sources))
        parameters.protected.setdefault(CONFIG_REPOSITORY, parameters.get(CONFIG_REPOSITORY) or "")
        if config_directory:
            self._run(parameters, [f"{config_directory}/default.conf"])
        self._run(parameters, [f"{ETC}/default.local"])
        if parameters.get(PROXY) is None:
            # The client would refuse to mount.  What follows asks whether proxies are used.
            parameters.set(PROXY, self.default_proxy, BUILT_IN)
        if fqrn:
            self._run(parameters, _specific(fqrn, config_directory))
        return self._layer(parameters)

    def _start(self, fqrn: str) -> Parameters:
        inherited = {MOUNT_DIR: DEFAULT_MOUNT_DIR, **self.environ}
        inherited |= {"CVMFS_FQRN": fqrn, "CVMFS_ARCH": os.uname().machine}
        return Parameters(inherited, protected=dict(self.stronger), random=self.random)

    def _run(self, parameters: Parameters, paths: list[str]) -> None:
        for path in paths:
            if not self._is_missing(path):
                from hepwrap.config.shell import run_file

                run_file(path, parameters, self.sources)

    def _is_missing(self, path: str) -> bool:
        try:
            return self.sources.read(path) is None
        except OSError:  # which `run_file` explains
            return False

    def _layer(self, parameters: Parameters) -> ClientLayer:
        names = [name for name in self.environ if name.startswith(_PREFIX) and name not in parameters.removed]
        inherited = {name: Value((self.environ[name],), Origin.environment(name)) for name in names}
        return ClientLayer(dict(parameters.values), inherited)


def _defaults(sources: Sources) -> list[str]:
    """What every repository gets, up to where the configuration repository is fixed."""
    listed = sources.listed(f"{ETC}/default.d", ".conf")
    return [f"{ETC}/default.conf", *(f"{ETC}/default.d/{path.name}" for path in listed)]


def _specific(fqrn: str, config_directory: str) -> list[str]:
    def three(folder: str, name: str) -> Iterator[str]:
        if config_directory:
            yield f"{config_directory}/{folder}/{name}.conf"
        yield f"{ETC}/{folder}/{name}.conf"
        yield f"{ETC}/{folder}/{name}.local"

    return [*three("domain.d", fqrn.partition(".")[2]), *three("config.d", fqrn)]
