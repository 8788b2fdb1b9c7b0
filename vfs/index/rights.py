"""What the index says of everybody's rights: flags that let the runtime answer without knowing who asks."""

from __future__ import annotations

from hepwrap.vfs.index import _index
from hepwrap.vfs.permissions import R_OK, X_OK, common
from hepwrap.vfs.shown import Attributes


def rights(mode: int, enforced: bool) -> int:
    """INODE_... for an object of that st_mode, as shown; owners do not matter to what holds for all."""
    attributes = Attributes(mode, 0, 0, 0, 1, enforced)
    read, search = common(attributes, R_OK), common(attributes, X_OK)
    return (
        (_index.INODE_READ_YES if read else 0)
        | (_index.INODE_EXEC_YES if search else 0)
        | (_index.INODE_EXEC_NO if search is False else 0)
        | (0 if enforced else _index.INODE_UNCHECKED)
    )
