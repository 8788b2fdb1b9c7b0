"""Links of the host that a job changes while it runs: what they lead to is found anew each time, here and there.

One program re-points its own links, directories and the like from the host into /cvmfs and back, and looks through them
in every way; under hepwrap it must see what it sees where the repository is mounted.
"""

from __future__ import annotations

from tests.helpers.launches import PYTHON
from tests.helpers.oracle import HOST, MOUNT, NAME, Host, Oracle, make_host

GUEST = (
    f"""
import itertools, os, shutil
MOUNT, HOST, NAME = {MOUNT!r}, {HOST!r}, {NAME!r}
"""
    + """
def look(path, **where):
    "Every way to look, twice: what was remembered the first time must not be wrong the second."
    for _ in range(2):
        yield from (attempt(call, path, **where) for call in (content, size, link, access, listing, attribute))

def attempt(call, path, **where):
    try:
        return call(path, **where)
    except OSError as error:
        return error.errno

def content(path, **where):
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK, **where)
    try:
        return os.read(fd, 30)
    finally:
        os.close(fd)

def size(path, **where):
    status = os.stat(path, **where)
    return status.st_mode, status.st_size if status.st_mode & 0o100000 else None

def link(path, **where):
    return os.lstat(path, **where).st_mode, attempt(os.readlink, path, **where)

def access(path, **where):
    return os.access(path, os.R_OK, **where), os.access(path, os.X_OK, **where)

def listing(path, **where):
    if where:
        return None
    return sorted(name for name in os.listdir(path) if name not in ("new", "next"))[:5]

def attribute(path, **where):
    return None if where else sorted(os.listxattr(path))

def point(name, target):
    "One call: the name always leads somewhere."
    os.symlink(target, "next")
    os.replace("next", name)

def show(what, path, **where):
    for number, found in enumerate(look(path, **where)):
        print(what, path, number, found)

def main():
    os.chdir(HOST)
    os.mkdir("new")
    for name in ("one", "two"):
        os.mkdir("new/" + name)
        with open(f"new/{name}/other", "w") as file:
            file.write(f"of the host's {name}")
    files = [MOUNT + "/file", HOST + "/new/one/other", "../../cvmfs/" + NAME + "/dir/other", "new/two/other",
             MOUNT + "/missing", "nowhere", MOUNT + "/link", MOUNT + "/out", "/cvmfs", HOST + "/intofile"]
    directories = [MOUNT + "/dir", HOST + "/new/one", "../../cvmfs/" + NAME + "/dir", "new/two", MOUNT + "/nowhere",
                   "into/dir", MOUNT + "/outdir", "new/one"]
    for target in around(files):
        point("mine", target)
        show(target, "mine")
        show(target, HOST + "/mine")
        show(target, "new/../mine")
    for target in around(directories):
        point("place", target)
        for path in ("place", "place/other", "place/", "place/./other", "place/../file", "place/sub/deep/file"):
            show(target, path)
            show(target, HOST + "/" + path)
        entered(target)
    for target in around([MOUNT + "/file", HOST + "/new/one/other", "new/two/other", MOUNT + "/missing"]):
        point("real", target)  # where the repository's own link leads
        show(target, MOUNT + "/outfile2")
        show(target, "intothere")
    for target in around([MOUNT + "/dir", HOST + "/new/one"]):
        swap(target)
        show(target, "swapped/other")
        show(target, MOUNT + "/dir/../../../oracle/host/swapped/other")

    late()

def late():
    "What was missing behind a link comes, as each of these, and goes."
    os.symlink(".", "turn")
    for target in [MOUNT + "/dir", HOST + "/new/one", MOUNT + "/missing", MOUNT + "/file", "new"]:
        for name in ("other", "sub/deep", "one/other"):
            for path in (HOST + "/turn/late/" + name, "turn/late/" + name, HOST + "/turn/../host/turn/late/" + name):
                show("not yet", path)
                os.symlink(target, "late")
                show(target, path)
                os.unlink("late")
                show("no more", path)

def around(targets):
    "Each after each other."
    pairs = itertools.permutations(targets, 2) if len(targets) < 5 else zip(targets + targets[::-1], targets[1:])
    return [target for pair in pairs for target in pair]

def entered(target):
    here = os.open(".", os.O_RDONLY)
    fd = attempt(lambda path: os.open(path, os.O_RDONLY | os.O_DIRECTORY), "place")
    if type(attempt(os.chdir, "place")) is int:
        return
    print(target, "in", os.getcwd())
    show(target, "other")
    show(target, "../file")
    show(target, "other", dir_fd=fd)
    os.fchdir(here)
    os.close(here)

def swap(target):
    "A directory of the host becomes a link, and a directory again."
    shutil.rmtree("swapped", ignore_errors=True) if not os.path.islink("swapped") else os.unlink("swapped")
    if target.startswith(MOUNT):
        os.symlink(target, "swapped")
    else:
        shutil.copytree(target, "swapped")

os.path.lexists("/oracle/host/intothere") or os.symlink(MOUNT + "/outfile2", "/oracle/host/intothere")
main()
"""
)


#: The machine's own links, seen before and after the job has put other ones there.
LOOK = (
    GUEST[: GUEST.index("def main")]
    + """
import sys
for path in sys.argv[1:]:
    show("", path)
"""
)
SYSTEMS = "/usr/local/man"
SEEN = '"$@"'
MAKE = f"mkdir {HOST}/fake && ln -s {MOUNT}/dir {HOST}/fake/man"
INTO_ANOTHER = f"""{SEEN}; {MAKE}
unshare --user --map-root-user --mount sh -c 'mount --bind {HOST}/fake /usr/local && exec "$@"' sh "$@"; "$@"
"""
INTO_A_ROOT = f"""{SEEN}; {MAKE}; mount --rbind / /mnt && mount --bind {HOST}/fake /mnt/usr/local && chroot /mnt "$@"
umount /mnt/usr/local && umount --recursive --lazy /mnt; "$@"
"""
UNDER_ITS_FEET = f"""mount -t tmpfs none /usr/local && mkdir /usr/local/share && ln -s share /usr/local/man
{SEEN}; ln -sfn {MOUNT}/dir /usr/local/man; {SEEN}; ln -sfn share /usr/local/man; {SEEN}
"""


def compare(oracle: Oracle, command: list[str], *, user: bool, host: Host, lines: int) -> None:
    make_host(oracle.place / "host")
    truth = oracle.native(command, user=user).splitlines()
    make_host(oracle.place / "host")
    ours = oracle.interposed(command, user=user, host=host).splitlines()
    assert len(truth) >= lines, truth[-5:]
    wrong = [f"{ours}\n  kernel: {kernels}" for ours, kernels in zip(ours, truth, strict=False) if ours != kernels]
    assert not wrong, f"{len(wrong)} differ:\n" + "\n".join(wrong[:20])
    assert len(ours) == len(truth)


def test_a_link_that_the_job_repoints_leads_where_it_leads_now(oracle: Oracle, host: Host, user: bool) -> None:
    compare(oracle, [PYTHON, "-c", GUEST], user=user, host=host, lines=1000)


def test_a_link_of_the_system_is_another_one_among_other_mounts(oracle: Oracle, host: Host, user: bool) -> None:
    """Any user may mount in a user namespace; what was remembered of the system's own link does not hold there."""
    compare(oracle, shell(INTO_ANOTHER), user=user, host=host, lines=100)


def test_a_link_of_the_system_is_another_one_below_another_root(oracle: Oracle, host: Host) -> None:
    compare(oracle, shell(INTO_A_ROOT), user=False, host=host, lines=100)


def test_a_link_of_the_system_that_roots_job_changes_leads_where_it_leads_now(oracle: Oracle, host: Host) -> None:
    compare(oracle, shell(UNDER_ITS_FEET), user=False, host=host, lines=100)


def shell(script: str) -> list[str]:
    """The script, with the words of SEEN as its arguments."""
    return ["sh", "-c", script, "sh", PYTHON, "-c", LOOK, SYSTEMS, f"{SYSTEMS}/other", f"{SYSTEMS}/sub/deep"]
