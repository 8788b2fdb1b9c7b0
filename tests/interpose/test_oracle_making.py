"""The kernel as oracle: what would make something by way of the host's own links into /cvmfs makes nothing anywhere."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.helpers.oracle import HOST, MOUNT, NAME, Host, Oracle, agree

#: Links of the host: to /cvmfs itself, which the host may lack and its root could get, and to what is below.
TO_TOP = ("totop", "tototop", "besidetop", "overusr", "slashedtop", "cvmfs", "toroot/cvmfs")
INTO = ("intop", "into", "intofile", "intomissing", "intolink", "relative", "first", f"totop/{NAME}/dir")
TAILS = ("", "/", "/new", "/new/", "/.", "/..", "/dir/new", "/file/new")
#: O_CREAT with: nothing; O_WRONLY; O_EXCL; O_WRONLY and O_TRUNC; O_NOFOLLOW; O_DIRECTORY; O_PATH; O_APPEND and O_RDWR.
OPENED = (0o100, 0o101, 0o300, 0o1101, 0o400100, 0o200100, 0o10000100, 0o2102)
RULES = (1, 2, 4, 8, 16, 32)
WHAT_IS_THERE = (
    "reset",
    f"h=257 i-100 s{HOST} i0 i0",
    "217 @h g32768 i32768",
    "r=257 i-100 s/ i0 i0",
    "262 @r scvmfs t i256",
)


def calls(path: str) -> Iterator[str]:
    """Everything that could make the name, or what it leads to."""
    yield from (f"257 i-100 s{path} i{flags | 0o4000} i0644" for flags in OPENED)
    yield from (f"85 s{path} i0644", f"2 s{path} i0101 i0644")
    yield from (f"437 i-100 s{path} p0101,0644,{rules} i24" for rules in (0, *RULES))
    yield from (f"83 s{path} i0755", f"133 s{path} i0100644 i0", f"88 starget s{path}", f"86 s{HOST}/real s{path}")
    yield from ("k=41 i1 i1 i0", f"49 @k n{path} i110")


@pytest.mark.parametrize("links", [TO_TOP, INTO], ids=["to the top", "into it"])
def test_nothing_is_made_by_a_link_of_the_host(oracle: Oracle, user: bool, host: Host, links: tuple[str, ...]) -> None:
    names = [link + tail for link in links for tail in TAILS]
    script = [line for name in names for line in (*calls(f"{HOST}/{name}"), "reset")]
    script += [f"80 s{HOST}", *(line for name in names for line in calls(name)), "80 s/"]
    script += [f"d=257 i-100 s{HOST} i0x200000 i0"]
    script += [f"437 @d s{name} p0101,0644,{rules} i24" for name in names for rules in (0, *RULES)]
    agree(oracle, [*script, *WHAT_IS_THERE], user=user, host=host, at_least=2000)


def test_what_is_scoped_to_the_root_makes_nothing_there(oracle: Oracle, user: bool, host: Host) -> None:
    names = [f"{HOST}/{link}{tail}" for link in (*TO_TOP, *INTO) for tail in TAILS]
    script = ["d=257 i-100 s/ i0x200000 i0"]
    script += [
        f"437 @d s{way}{name[1:]} p0101,0644,{rules} i24" for name in names for rules in RULES for way in ("", "/")
    ]
    agree(oracle, [*script, *WHAT_IS_THERE], user=user, host=host, at_least=1000)


def test_a_link_to_where_something_can_be_made_makes_it_there(oracle: Oracle, user: bool, host: Host) -> None:
    """A link of the host's to a name of the host's, also by way of the repository."""
    script = [
        f"88 s{there} s{HOST}/way{number}" for number, there in enumerate(("made", f"{HOST}/made2", "directory/x"))
    ]
    script += [
        f"88 s{MOUNT}/toroot{HOST}/made3 s{HOST}/way3",
        f"88 stoway s{HOST}/way4",
        f"88 s../host/made4 s{HOST}/toway",
    ]
    for way in (*(f"{HOST}/way{number}" for number in range(5)), f"{HOST}/dangling", f"{MOUNT}/toroot{HOST}/made5"):
        script += [
            f"257 i-100 s{way} i0101 i0600",
            f"4 s{way} t",
            f"257 i-100 s{way} i0300 i0600",
            f"257 i-100 s{way} i01101 i0600",
        ]
    agree(oracle, [*script, *WHAT_IS_THERE], user=user, host=host, at_least=30)


def test_nothing_is_relative_to_a_link_that_is_opened_itself(oracle: Oracle, user: bool, host: Host) -> None:
    links = (f"{HOST}/into", f"{HOST}/intomissing", f"{HOST}/totop", f"{MOUNT}/dirlink", f"{MOUNT}/dangling")
    script = [f"80 s{MOUNT}/dir"]
    for link in links:
        script += [f"d=257 i-100 s{link} i0x220000 i0", "265 i-100 sother @d s../new i0", f"83 s{link} i0755"]
        for name in ("..", "../new", "new", ".", "../dir/sub", "x/y"):
            script += [f"265 i-100 s{way} @d s{name} i0" for way in ("other", "/proc/self/cwd/other", f"{HOST}/real")]
            script += [
                f"264 @d s{name} @d s{name}",
                f"258 @d s{name} i0755",
                f"257 @d s{name} i0101 i0600",
                f"262 @d s{name} t i0",
            ]
    agree(oracle, [*script, *WHAT_IS_THERE], user=user, host=host, at_least=200)
