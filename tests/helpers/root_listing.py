"""A program that reads a directory in all ways that its positions allow, and says where something is amiss.

Owns the program, which knows nothing of hepwrap; what the directory holds is for the caller to compare.
"""

from __future__ import annotations

#: `python -c GUEST DIRECTORY`: the names with their types, sorted, and a line for each way to read.
GUEST = """
import ctypes, os, struct, sys

system = ctypes.CDLL(None, use_errno=True).syscall
BUFFER = ctypes.create_string_buffer(1 << 16)

def take(fd, size=1 << 16):
    "One getdents64: (name, position behind it, inode, type) of each entry; an errno where it fails."
    got = system(217, fd, BUFFER, size)
    if got < 0:
        return ctypes.get_errno()
    entries, at = [], 0
    while at < got:
        inode, behind, length, kind = struct.unpack_from("<QqHB", BUFFER, at)
        entries.append((BUFFER.raw[at + 19 : at + length].split(b"\\0")[0], behind, inode, kind))
        at += length
    return entries

def rest(fd, size=1 << 16):
    found = []
    while (some := take(fd, size)) and isinstance(some, list):
        found += some
    return found if some == [] else some

def names(entries):
    return entries if isinstance(entries, int) else [entry[0] for entry in entries]

def main(path):
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    whole = rest(fd)
    for name, kind in sorted((entry[0], entry[3]) for entry in whole):
        print(name, kind)
    print("an inode number each:", all(entry[2] for entry in whole), "each once:", len({*names(whole)}) == len(whole))
    print("behind the end:", rest(fd), rest(os.dup(fd)))
    for size in (24, 32, 40, 64, 100, 512, 4096):
        os.lseek(fd, 0, 0)
        found = names(rest(fd, size))
        print("by", size, found if isinstance(found, int) else found == names(whole))
    for number, entry in enumerate(whole):
        os.lseek(fd, entry[1], 0)
        if names(rest(fd)) != names(whole[number + 1 :]):
            print("from behind", entry[0], "something else comes")
    at_last_but_one = whole[-2][1]
    os.lseek(fd, at_last_but_one, 0)
    print("too little room for the last:", take(fd, 16), "then it:", names(rest(fd)) == names(whole[-1:]))
    os.lseek(fd, at_last_but_one, 0)
    for way in ("middle", "end"):
        os.set_inheritable(fd, True)
        sys.stdout.flush()
        if not (child := os.fork()):
            os.execv(sys.executable, [sys.executable, *sys.orig_argv[1:3], "rest", str(fd), way])
        os.waitpid(child, 0)
    print("after the child", rest(fd))
    print("a bad pointer at the end:", system(217, fd, None, 4096))
    os.lseek(fd, at_last_but_one, 0)
    print("and before the last:", system(217, fd, None, 4096))
    print("again from the start:", names(os.lseek(fd, 0, 0) or rest(fd)) == names(whole))

if sys.argv[1] == "rest":
    print(sys.argv[3], len(rest(int(sys.argv[2]))))
else:
    main(sys.argv[1])
"""
