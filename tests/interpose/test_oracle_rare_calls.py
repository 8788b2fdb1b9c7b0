"""The kernel as oracle: calls on paths that need a mount, a device, a watch, a handle or a rule give the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

import pytest

from tests.helpers import rare_calls
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle, agree

KINDS: dict[str, tuple[int, Callable[[Iterable[str]], Iterator[str]]]] = {
    "trees": (400, rare_calls.tree_calls),
    "devices": (250, rare_calls.device_calls),
    "watchers": (450, rare_calls.watcher_calls),
    "handles": (300, rare_calls.handle_calls),
    "sockets": (700, rare_calls.socket_calls),
    "rules": (250, rare_calls.rule_calls),
}


@pytest.mark.parametrize("kind", KINDS)
def test_rare_calls_give_what_they_do_on_a_mount(oracle: Oracle, user: bool, host: Host, kind: str) -> None:
    at_least, calls = KINDS[kind]
    agree(oracle, list(calls(rare_calls.PATHS)), user=user, host=host, at_least=at_least)


def test_who_may_not_mount_is_told_what_on_a_mount(oracle: Oracle, host: Host) -> None:
    agree(oracle, list(rare_calls.mount_calls(rare_calls.PATHS)), user=True, host=host, at_least=350)


def test_a_program_that_confines_itself_keeps_what_it_has_a_rule_for(oracle: Oracle, user: bool) -> None:
    """The loader, the C library and our own names in /proc are out of its reach then: files are handed to it."""
    kernel, ours = oracle.both("confines_itself", f"{MOUNT}/dir", "other", HOST, user=user)
    assert kernel.count("\n") >= 25 or "create a ruleset: -1" in kernel
    assert ours == kernel


def test_a_socket_of_the_hosts_is_found_through_a_link_of_the_repository(
    oracle: Oracle, user: bool, host: Host
) -> None:
    through = f"{MOUNT}/toroot{HOST}"
    script = ["k=41 i1 i1 i0", f"49 @k n{HOST}/one i110", "50 @k i1", "c=41 i1 i1 i0", f"42 @c n{through}/one i110"]
    script += [
        "k=41 i1 i1 i0",
        f"49 @k n{through}/two i110",
        f"49 @k n{through}/two i110",
        f"6 s{HOST}/two t",
        "50 @k i1",
    ]
    script += [
        "c=41 i1 i1 i0",
        f"42 @c n{HOST}/two i110",
        f"80 s{MOUNT}/toroot{HOST}",
        "c=41 i1 i1 i0",
        "42 @c ntwo i110",
    ]
    script += [f"80 s{MOUNT}/dir", "k=41 i1 i1 i0", "49 @k nother i110", "49 @k nnew i110", "42 @k n../socket i110"]
    agree(oracle, script, user=user, host=host, at_least=20)


def test_who_watches_a_file_is_not_told_that_it_leaves_memory(oracle: Oracle, user: bool) -> None:
    """Nor is the watch over: what happens to the file after that is told."""
    others = [
        call
        for name in ("exec", "dir/other", "dir/sub/deep/file", "script", "notexecutable") * 3
        for call in (f"o=257 i-100 s{MOUNT}/{name} i0", "0 @o b64 i64", "3 @o")
    ]
    use = [f"f=257 i-100 s{MOUNT}/file i0", "0 @f b64 i64", "3 @f"]
    script = ["w=294 i2048", *use, f"254 @w s{MOUNT}/link i0xFFF", *use, *others, "0 @w b256 i256", *use]
    script += [*others, f"257 i-100 s{MOUNT}/file i0", "0 @w b256 i256"]
    agree(oracle, script, user=user, at_least=100, flags=("--cache-size", "1"))


def test_there_is_no_mount_to_be_watched(oracle: Oracle, user: bool) -> None:
    """Neither that of memory files, nor that of the host where what stands for directories is made."""
    calls = [
        f"301 @w i{1 | kind} i0x20 {which}"
        for kind in (0x10, 0x100)
        for which in ("@f i0", "@d i0", *(f"i-100 s{MOUNT}{name}" for name in ("/file", "/dir", "", "/fifo", "/link")))
    ]
    script = ["w=300 i0x202 i0", f"f=257 i-100 s{MOUNT}/file i0", f"d=257 i-100 s{MOUNT}/dir i0", *calls]
    if user:
        agree(oracle, script, user=True, at_least=17)
        return
    found = oracle.differences(script, user=False)
    assert [each.splitlines() for each in found] == [[call, "    kernel:  0", "    hepwrap: EINVAL"] for call in calls]
