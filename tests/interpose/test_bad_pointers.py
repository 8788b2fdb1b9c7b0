"""A bad pointer gives what it gives natively, on every call of the table and in every place that a pointer has."""

from __future__ import annotations

import pytest

from tests.helpers.bad_pointers import (
    places_asked,
    places_of_pointers,
    script_of_addresses,
    script_of_lists,
    script_of_mounts,
    script_of_others,
    script_of_paths,
    script_of_results,
    with_open_files,
)
from tests.helpers.oracle import HOST, MOUNT, Host, Oracle, agree


def test_every_pointer_of_the_table_is_asked_about() -> None:
    assert places_of_pointers() - places_asked() == set()


@pytest.mark.parametrize("start", [HOST, f"{MOUNT}/dir"])
def test_a_bad_path_gives_every_call_the_errno_of_the_kernel(oracle: Oracle, user: bool, start: str) -> None:
    agree(oracle, list(script_of_paths(start)), user=user, at_least=3000)


def test_a_bad_place_for_the_result_gives_the_errno_of_the_kernel(oracle: Oracle, user: bool) -> None:
    agree(oracle, list(script_of_results()), user=user, at_least=500)


def test_a_bad_pointer_to_anything_else_gives_the_errno_of_the_kernel(oracle: Oracle, user: bool) -> None:
    agree(oracle, list(script_of_others()), user=user, at_least=650)


@pytest.mark.parametrize(("start", "host"), [(f"{MOUNT}/dir", "bare"), (HOST, "decoy")])
def test_a_bad_address_of_a_socket_gives_the_errno_of_the_kernel(
    oracle: Oracle, user: bool, start: str, host: Host
) -> None:
    """Also one whose path only the address itself ends: nothing is bound in its place on the host."""
    agree(oracle, list(script_of_addresses(start)), user=user, host=host, at_least=20000)


def test_a_bad_pointer_to_what_is_mounted_gives_the_errno_of_the_kernel(oracle: Oracle) -> None:
    agree(oracle, list(script_of_mounts()), user=True, at_least=450)


@pytest.mark.xfail(strict=True, reason="of two things that are wrong with an exec the other one is told than natively")
def test_a_bad_list_of_an_exec_gives_the_errno_of_the_kernel(oracle: Oracle) -> None:
    agree(oracle, list(script_of_lists()), user=False, at_least=70)


def test_a_path_that_ends_with_its_page_is_read_to_its_end_and_no_further(oracle: Oracle, user: bool) -> None:
    """Found, missing and without an end, of every length: whoever reads words must not touch the next page."""
    script = []
    for start in (HOST, f"{MOUNT}/many"):
        script.append(f"80 s{start}")
        for number in range(40):
            name = f"entry-{number:03}-{'x' * (number % 40)}"
            for path in (f"{MOUNT}/many/{name}", f"{MOUNT}/many/{name}y", name, f"../many/{name}", f"../many/{name}z"):
                script += [f"{call} {kind}{path} t" for call in (4, 6) for kind in "EeCc"]
    agree(oracle, script, user=user, at_least=3200)


def test_a_path_of_two_pointers_is_read_as_far_as_the_kernel_reads(oracle: Oracle) -> None:
    script = []
    for number in ("82 {} {}", "86 {} {}"):
        for first in ("u", "c", f"s{MOUNT}/file", "s/oracle/host/real"):
            script += [
                number.format(first, second) for second in ("u", "c", f"s{MOUNT}/new", "s/oracle/host/x/y", "e/cv")
            ]
    agree(oracle, script, user=False, at_least=40)


def test_a_listing_that_does_not_fit_where_it_goes_begins_again(oracle: Oracle, user: bool) -> None:
    """The kernel gives what it could write before the fault; the runtime EFAULT, and the next call lists all."""
    script = with_open_files()
    for number in (217, 78):
        for size in (0, 8, 23, 24, 100):
            script += [
                "8 @e i0 i0",
                f"{number} @e h{size} i4096",
                "8 @e i0 i1",
                "8 @e i0 i0",
                f"{number} @e g4096 i4096",
            ]
    path = oracle.place / "script"
    path.write_text("\n".join(script) + "\n")
    path.chmod(0o644)
    _, ours = oracle.both("call_script", path, user=user)
    results = [line.partition(": ")[2] for line in ours.splitlines()[3:-1]]
    for begin in range(0, len(results), 5):
        _, faulted, position, _, whole = results[begin : begin + 5]
        assert (faulted, position) == ("EFAULT", "0")
        assert whole.startswith("some")
