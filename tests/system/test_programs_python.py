"""A Python whose interpreter, libraries and standard library are all in the repository."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.helpers import python_tree, walking
from tests.helpers.fixtures import pairs, publishes
from tests.helpers.launches import quiet
from tests.helpers.programs import Pair

PYTHON = "{top}/bin/python3"


published = publishes("python.hep.example", python_tree.build)
python = pairs()


def run_same(pair: Pair, code: str, *words: str) -> bytes:
    """The same code in both Pythons; what it prints."""
    shown = []
    for run, top in ((pair.native, str(pair.tree)), (pair.wrapped, pair.top)):
        done = run([PYTHON, "-c", code, *words], env=python_tree.environment(top))
        shown.append(quiet(done))
    assert shown[0] == shown[1]
    return shown[1]


def test_it_knows_where_it_is(python: Pair) -> None:
    code = (
        "import sys, os, sysconfig, json; print(sys.prefix, sys.executable, sys.path, sep='\\n');"
        "print(os.readlink('/proc/self/exe'), os.__file__, json.__spec__.origin, sysconfig.get_path('stdlib'))"
    )
    text = run_same(python, code)
    assert text.startswith(b"TOP\nTOP/bin/python3\n")
    assert text.count(b"TOP") > 7


def test_the_whole_standard_library_can_be_imported(python: Pair) -> None:
    """Every public module that can be imported natively, and no other: the extension modules too."""
    code = (
        "import sys, importlib\n"
        "skip = {'antigravity', 'this', 'idlelib', 'turtle', 'turtledemo', 'lib2to3', 'nt', 'ensurepip'}\n"
        "for name in sorted(sys.stdlib_module_names - skip):\n"
        "    if not name.startswith('_'):\n"
        "        try:\n"
        "            print(name, getattr(importlib.import_module(name), '__file__', None))\n"
        "        except ImportError as error:\n"
        "            print(name, type(error).__name__)\n"
    )
    text = run_same(python, code)
    assert text.count(b"TOP/lib/python3") > 150
    assert b"lib-dynload" in text


def test_threads_read_the_library_together(python: Pair) -> None:
    code = (
        "import concurrent.futures, hashlib, os, sys\n"
        "walk = os.walk(sys.argv[1])\n"
        "names = sorted(os.path.join(d, n) for d, _, files in walk for n in files if n.endswith('.py'))\n"
        "def digest(name):\n"
        "    with open(name, 'rb') as file:\n"
        "        return hashlib.sha256(file.read()).hexdigest()\n"
        "with concurrent.futures.ThreadPoolExecutor(16) as pool:\n"
        "    digests = list(pool.map(digest, names[:400]))\n"
        "print(len(digests), hashlib.sha256(''.join(digests).encode()).hexdigest())\n"
    )
    text = run_same(python, code, "{top}/lib")
    assert text.startswith(b"400 ")


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_every_start_method_work(python: Pair, desk: Path, method: str) -> None:
    script = desk / "job.py"
    script.write_text(
        "import hashlib, multiprocessing, os, sys\n"
        "def work(name):\n"
        "    return hashlib.sha256(open(name, 'rb').read()).hexdigest(), os.readlink('/proc/self/exe')\n"
        "if __name__ == '__main__':\n"
        "    place = os.path.dirname(os.__file__)\n"
        "    names = [f'{place}/{n}.py' for n in ('os', 'ast', 'abc', 'csv', 'cmd', 'dis', 'bdb', 'pdb')]\n"
        f"    with multiprocessing.get_context('{method}').Pool(3) as pool:\n"
        "        print(*pool.map(work, names), sep='\\n')\n"
    )
    shown = []
    for run, top in ((python.native, str(python.tree)), (python.wrapped, python.top)):
        shown.append(quiet(run([PYTHON, str(script)], env=python_tree.environment(top))))
    assert shown[0] == shown[1]
    assert shown[1].count(b"'TOP/bin/python3.") == 8


def test_it_runs_itself_in_every_way_of_subprocess(python: Pair) -> None:
    code = (
        "import subprocess, sys, os\n"
        "say = [sys.executable, '-c', 'import sys; print(sys.executable, sys.argv)']\n"
        "for options in ({}, {'close_fds': False}, {'cwd': sys.prefix}, {'preexec_fn': os.getpid}, {'shell': True},\n"
        "                {'executable': os.path.realpath(sys.executable)}, {'start_new_session': True}):\n"
        "    words = ' '.join([say[0], '-c', repr(say[2])]) if options.get('shell') else say\n"
        "    print(subprocess.run(words, capture_output=True, text=True, **options))\n"
        "pid = os.posix_spawn(sys.executable, say, os.environ); print(os.waitpid(pid, 0)[1])\n"
        "pid = os.posix_spawnp('sh', ['sh', '-c', sys.executable + ' -V'], os.environ); print(os.waitpid(pid, 0)[1])\n"
        "sys.stdout.flush(); os.execv(sys.executable, [sys.executable, '-c', 'print(7)'])\n"
    )
    text = run_same(python, code)
    assert text.count(b"returncode=0") == 7
    assert text.endswith(b"7\n")


def test_an_environment_made_by_venv_works(python: Pair, desk: Path) -> None:
    """Its interpreter is a link on the host that leads into the repository."""
    environment = python_tree.environment(python.top)
    place = desk / "venv"
    quiet(python.wrapped([PYTHON, "-m", "venv", "--without-pip", str(place)], env=environment))
    code = "import sys, json; print(sys.prefix, sys.base_prefix, sys.executable)"
    text = quiet(python.wrapped([str(place / "bin/python"), "-c", code], env=environment)).decode()
    assert text == f"{place} TOP {place}/bin/python\n"
    script = desk / "script"
    script.write_text(f"#!{place}/bin/python\nimport sys; print(sys.argv, sys.prefix)\n")
    script.chmod(0o755)
    assert quiet(python.wrapped([str(script), "x"], env=environment)) == f"['{script}', 'x'] {place}\n".encode()


def test_bytecode_is_not_written_into_the_repository_and_that_is_no_error(python: Pair) -> None:
    environment = {**python_tree.environment(python.top), "PYTHONDONTWRITEBYTECODE": ""}
    done = python.wrapped([PYTHON, "-c", "import colorsys, chunk, wave; print('fine')"], env=environment)
    assert done.stdout == b"fine\n", done.stderr


def test_a_module_is_imported_by_64_processes_at_once(python: Pair) -> None:
    environment = python_tree.environment(python.top)
    loop = f"for i in $(seq 64); do {PYTHON} -S -c 'import json; print(json.dumps(1))' & done; wait"
    done = python.wrapped(["sh", "-c", loop], env=environment)
    assert done.stdout == b"1\n" * 64, done.stderr


def test_walking_the_library_shows_the_tree(python: Pair) -> None:
    """Some thousand files and hundreds of directories, as an ordinary user, with every content."""
    top = "{top}/lib"
    native = walking.parse(quiet(python.native(walking.command(python.launcher.user.python, top))))
    environment = {"CVMFS_CLAIM_OWNERSHIP": "no"}
    wrapped = walking.parse(quiet(python.wrapped(walking.command(python.launcher.user.python, top), env=environment)))
    assert len(native.entries) > 500
    assert wrapped.told("attributes") == native.told("attributes")
