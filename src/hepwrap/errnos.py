"""The one table from meaning to errno.  A test requires a row for every class of `hepwrap.errors`."""

from __future__ import annotations

import errno

from hepwrap import errors

ERRNO_OF: dict[type[errors.HepwrapError], int] = {
    errors.HepwrapError: errno.EIO,
    errors.PathError: errno.EIO,
    errors.NotFound: errno.ENOENT,
    errors.NotADirectory: errno.ENOTDIR,
    errors.IsADirectory: errno.EISDIR,
    errors.TooManyLinks: errno.ELOOP,
    errors.NameTooLong: errno.ENAMETOOLONG,
    errors.ReadOnly: errno.EROFS,
    errors.Exists: errno.EEXIST,
    errors.CrossesDevices: errno.EXDEV,
    errors.InvalidOperation: errno.EINVAL,
    errors.NotSupportedHere: errno.EOPNOTSUPP,
    errors.NoAttribute: errno.ENODATA,
    errors.ResultTooLarge: errno.ERANGE,
    errors.BadAddress: errno.EFAULT,
    errors.Denied: errno.EACCES,
    errors.Untrusted: errno.EIO,
    errors.UntrustedManifest: errno.EIO,
    errors.CorruptObject: errno.EIO,
    errors.FetchFailed: errno.EIO,
    errors.MissingObject: errno.EIO,
    errors.NoRoom: errno.ENOMEM,
    errors.StaleHandle: errno.ESTALE,
    errors.Unsupported: errno.ENOSYS,
    errors.UsageError: errno.EINVAL,
    errors.ConfigurationError: errno.EIO,
    errors.LaunchError: errno.EIO,
    errors.PublishFailed: errno.EIO,
}


def errno_of(error: BaseException) -> int:
    """The positive errno for `error`; EIO for whatever is not ours (a bug must not look like ENOENT)."""
    return ERRNO_OF.get(type(error), errno.EIO) if isinstance(error, errors.HepwrapError) else errno.EIO
