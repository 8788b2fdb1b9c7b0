"""The rules of mode bits and capabilities, one by one; `test_permissions_kernel` asks the kernel about all."""

from __future__ import annotations

import stat

import pytest

from hepwrap.errors import Denied, ReadOnly
from hepwrap.vfs.permissions import R_OK, W_OK, X_OK, Credentials, access, common, common_follow, may, may_follow
from hepwrap.vfs.shown import Attributes

OWNER, MEMBER, OTHER = Credentials(1, 9), Credentials(8, 9, frozenset({2})), Credentials(8, 9)
ROOT = Credentials(0, 0, dac_override=True, dac_read_search=True)
POWERLESS_ROOT = Credentials(0, 0)
READER = Credentials(8, 9, dac_read_search=True)


def file(mode: int, kind: int = stat.S_IFREG, *, enforced: bool = True) -> Attributes:
    return Attributes(kind | mode, 1, 2, 0, 1, enforced)


def directory(mode: int, *, enforced: bool = True) -> Attributes:
    return file(mode, stat.S_IFDIR, enforced=enforced)


def test_only_the_first_class_that_fits_counts() -> None:
    attributes = file(0o037)
    assert not may(attributes, OWNER, X_OK)
    assert may(attributes, MEMBER, W_OK | X_OK)
    assert not may(attributes, MEMBER, R_OK)
    assert may(attributes, OTHER, R_OK | W_OK | X_OK)


def test_primary_group_counts_as_supplementary_ones_do() -> None:
    assert may(file(0o040), Credentials(8, 2), R_OK)
    assert may(file(0o040), MEMBER, R_OK)
    assert not may(file(0o040), OTHER, R_OK)


def test_root_without_capabilities_is_a_user_like_others() -> None:
    assert not may(file(0o700), POWERLESS_ROOT, R_OK)
    assert not may(directory(0o700), POWERLESS_ROOT, X_OK)


def test_dac_override_executes_only_what_has_an_execute_bit() -> None:
    assert may(file(0), ROOT, R_OK | W_OK)
    assert not may(file(0o666), ROOT, X_OK)
    assert may(file(0o010), ROOT, X_OK)
    assert may(directory(0), ROOT, R_OK | W_OK | X_OK)


def test_dac_read_search_reads_files_and_searches_directories_and_no_more() -> None:
    assert may(file(0), READER, R_OK)
    assert not may(file(0o100), READER, X_OK)
    assert not may(file(0o100), READER, R_OK | X_OK)
    assert may(directory(0), READER, R_OK | X_OK)
    assert not may(directory(0), READER, W_OK)


def test_wanting_nothing_is_granted_to_everyone() -> None:
    assert may(file(0), OTHER, 0)
    assert common(file(0), 0) is True


def test_common_is_true_only_where_every_class_has_the_bits() -> None:
    assert common(directory(0o755), X_OK) is True
    assert common(directory(0o711), R_OK) is None
    assert common(directory(0o655), X_OK) is None
    assert common(file(0o644), R_OK) is True
    assert common(file(0o640), R_OK) is None


def test_common_is_false_only_for_executing_what_nobody_can() -> None:
    assert common(file(0o666), X_OK) is False
    assert common(file(0o766), X_OK) is None
    assert common(directory(0), X_OK) is None


def test_modes_that_are_not_enforced_still_need_an_execute_bit_to_execute() -> None:
    assert may(file(0, enforced=False), OTHER, R_OK | W_OK)
    assert may(directory(0, enforced=False), OTHER, X_OK)
    assert not may(file(0o666, enforced=False), OTHER, X_OK)
    assert common(directory(0, enforced=False), R_OK | X_OK) is True
    assert common(file(0o666, enforced=False), X_OK) is False


@pytest.mark.parametrize("kind", [stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK])
def test_writing_is_erofs_before_it_is_eacces(kind: int) -> None:
    with pytest.raises(ReadOnly):
        access(file(0, kind), OTHER, R_OK | W_OK)
    with pytest.raises(ReadOnly):
        access(file(0o777, kind), ROOT, W_OK)


@pytest.mark.parametrize("kind", [stat.S_IFIFO, stat.S_IFSOCK, stat.S_IFCHR, stat.S_IFBLK])
def test_special_files_are_written_to_as_their_modes_say(kind: int) -> None:
    access(file(0o666, kind), OTHER, R_OK | W_OK)
    with pytest.raises(Denied, match="ask whoever publishes"):
        access(file(0o644, kind), OTHER, W_OK)


def test_access_refuses_what_the_mode_does() -> None:
    access(file(0o644), OTHER, R_OK)
    with pytest.raises(Denied):
        access(file(0o640), OTHER, R_OK)


def test_link_in_a_shared_directory_is_followed_by_its_owner_or_where_the_directory_is_the_owners() -> None:
    shared = Attributes(stat.S_IFDIR | 0o1777, 5, 0, 0, 2)
    link = Attributes(stat.S_IFLNK | 0o777, 1, 0, 0, 1)
    assert may_follow(link, shared, OWNER)
    assert not may_follow(link, shared, OTHER)
    assert not may_follow(link, shared, ROOT)
    assert common_follow(link, shared) is None
    assert common_follow(link, Attributes(stat.S_IFDIR | 0o1777, 1, 0, 0, 2)) is True
    assert common_follow(link, Attributes(stat.S_IFDIR | 0o1775, 5, 0, 0, 2)) is True
    assert common_follow(link, Attributes(stat.S_IFDIR | 0o777, 5, 0, 0, 2)) is True
