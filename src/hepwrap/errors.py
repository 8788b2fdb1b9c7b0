"""Everything that can go wrong, by meaning and without numbers.

Owns the one hierarchy of exceptions.  Must not know errno values: `hepwrap.errnos` maps each class, once.
The law: NotFound only when a verified catalogue (or the host's kernel) says so, never because a fetch failed.
"""

from __future__ import annotations

from collections.abc import Sequence


class HepwrapError(Exception):
    """Base of all our errors.  `str()` is one line: what happened, on which object, what to do next."""


# What a path can answer.


class PathError(HepwrapError):
    """A path does not lead where the caller wanted.

    `universal` is True where every user would get this answer, so that it may be remembered.
    """

    universal: bool = True
    #: The directory in which the search ended (None: one of the host's), and what was passed on the way: links that
    #: were followed, directories left by `..`.  Nodes of vfs.resolve, for who writes down what has been seen.
    place: object = None
    passed: Sequence[object] = ()


class NotFound(PathError):
    """A verified catalogue says that there is no such entry."""

    #: Only the last component is missing: its directory is there, and what would make the name answers ReadOnly.
    last_component: bool = False


class NotADirectory(PathError):
    """A component that must be a directory is not."""


class IsADirectory(PathError):
    """A directory stands where a file is wanted."""


class TooManyLinks(PathError):
    """More than 40 symbolic links on the way (path_resolution(7))."""


class NameTooLong(PathError):
    """A component over 255 bytes or a path over 4095."""


class ReadOnly(PathError):
    """Something would have to be written below /cvmfs."""


class Exists(PathError):
    """The name that should be made is there already."""


class CrossesDevices(PathError):
    """A link or rename between the virtual and the host's file system."""


class InvalidOperation(PathError):
    """The object is of a kind that does not have this operation (readlink of a file ...)."""


class NotSupportedHere(PathError):
    """The kernel would say EOPNOTSUPP."""


class NoAttribute(PathError):
    """There is no extended attribute of that name."""


class ResultTooLarge(PathError):
    """The caller's buffer is too small for the answer."""


class BadAddress(PathError):
    """A pointer of the program's leads nowhere."""


class Denied(PathError):
    """Mode bits do not let this user do that."""

    universal = False


# What bytes from elsewhere can be.


class Untrusted(HepwrapError):
    """Bytes failed a check of the trust chain or of a digest."""


class UntrustedManifest(Untrusted):
    """Manifest, whitelist or certificate failed a check; the repository is not served."""


class CorruptObject(Untrusted):
    """An object does not have the digest it is named by, or its content breaks the format."""


class FetchFailed(HepwrapError):
    """No server could be asked, or none gave a usable answer."""


class MissingObject(FetchFailed):
    """Every server that answered says that it does not have this object."""


class NoRoom(HepwrapError):
    """No memory, or no descriptor, is left to hold an opened file; says which limit to raise."""


class StaleHandle(HepwrapError):
    """What stood for something has left memory, and only who asks for it anew can have it made again."""


class Unsupported(HepwrapError):
    """A documented feature of the format or of the kernel that hepwrap does not serve."""


# What a person got wrong, and what a launch can fail on.


class UsageError(HepwrapError):
    """Flags or arguments make no sense."""


class ConfigurationError(HepwrapError):
    """A configuration file, variable or key is missing or wrong; names the place."""


class LaunchError(HepwrapError):
    """The command cannot be started at all (exit 125)."""


class PublishFailed(HepwrapError):
    """A tree could not be published; the revision that the store had before still stands."""
