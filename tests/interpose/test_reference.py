"""The reference tracer sees every path of every task, and leaves the program as it was."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

TRACER = [sys.executable, "-m", "hepwrap.interpose.reference"]


def trace(tmp_path: Path, *command: str) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Run a command under the tracer; what it did and the lines of the trace."""
    out = tmp_path / "trace"
    done = subprocess.run(
        [*TRACER, "-o", str(out), "--", *command], capture_output=True, text=True, timeout=60, check=False
    )
    return done, out.read_text().splitlines() if out.exists() else []


def test_a_line_has_task_name_arguments_and_result(tmp_path: Path) -> None:
    _, lines = trace(tmp_path, "cat", "/etc/hostname-that-is-not-there")
    wanted = r'\d+ openat\(AT_FDCWD, "/etc/hostname-that-is-not-there", 0, 0\) = -2 ENOENT'
    assert any(re.fullmatch(wanted, line) for line in lines), lines


def test_paths_that_the_kernel_reveals_are_shown(tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to("a target")
    _, lines = trace(tmp_path, "sh", "-c", f"cd {tmp_path}; /bin/pwd -P; readlink link")
    assert any(f'getcwd("{tmp_path}", ' in line for line in lines), lines
    assert any(re.search(r'readlink\("link", "a target", \d+\) = 8', line) for line in lines), lines


def test_bytes_that_would_break_a_line_are_escaped(tmp_path: Path) -> None:
    _, lines = trace(tmp_path, "cat", '/x\n"\\\x7f')
    assert any(r'"/x\x0a\x22\x5c\x7f"' in line for line in lines)


@pytest.mark.parametrize("code", [0, 3, 127])
def test_the_exit_code_is_that_of_the_command(tmp_path: Path, code: int) -> None:
    assert trace(tmp_path, "sh", "-c", f"exit {code}")[0].returncode == code


def test_death_by_signal_is_told_as_a_shell_tells_it(tmp_path: Path) -> None:
    assert trace(tmp_path, "sh", "-c", "kill -TERM $$")[0].returncode == 128 + 15


def test_children_of_fork_vfork_and_clone_are_followed(tmp_path: Path) -> None:
    code = (
        "import os, subprocess, threading\n"
        "if os.fork() == 0: os.access('/by-fork', 0); os._exit(0)\n"
        "os.wait()\n"
        "t = threading.Thread(target=os.access, args=('/by-thread', 0)); t.start(); t.join()\n"
        "subprocess.run(['cat', '/by-vfork'], stderr=subprocess.DEVNULL)\n"
    )
    _, lines = trace(tmp_path, sys.executable, "-c", code)
    tasks = {word: {line.split()[0] for line in lines if word in line} for word in ("by-fork", "by-thread", "by-vfork")}
    assert all(len(found) == 1 for found in tasks.values()), tasks
    assert len(set.union(*tasks.values())) == 3


def test_many_processes_at_once_are_all_seen_to_their_end(tmp_path: Path) -> None:
    script = "for i in $(seq 40); do cat /number-$i 2>/dev/null & done; wait; exit 5"
    done, lines = trace(tmp_path, "sh", "-c", script)
    assert done.returncode == 5
    for number in range(1, 41):
        assert sum(f'"/number-{number}"' in line and "openat" in line for line in lines) == 1


def test_stop_and_continue_work_as_untraced(tmp_path: Path) -> None:
    script = "sh -c 'kill -STOP $$; cat /after-stop 2>/dev/null' & p=$!; \
while ! grep -q '^State:.[tT]' /proc/$p/status; do :; done; sleep 0.2; kill -CONT $p; wait $p"
    done, lines = trace(tmp_path, "bash", "-c", script)
    assert done.returncode == 1
    assert any("/after-stop" in line for line in lines)


def test_a_process_killed_inside_a_call_does_not_hang_the_tracer(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    script = f"cat {fifo} & p=$!; sleep 0.3; kill -KILL $p; wait $p"
    done, lines = trace(tmp_path, "sh", "-c", script)
    assert done.returncode == 128 + 9
    assert any(f'"{fifo}"' in line and line.endswith("= ?") for line in lines)


def test_a_missing_program_is_exit_127_with_one_line(tmp_path: Path) -> None:
    done, _ = trace(tmp_path, "no-such-program-anywhere")
    assert done.returncode == 127
    assert done.stderr.count("\n") == 1
    assert "no-such-program-anywhere" in done.stderr


def test_without_python_ptrace_one_sentence_says_what_to_do() -> None:
    code = (
        "import sys; sys.modules['ptrace'] = None\n"
        "from hepwrap.interpose.reference import main\n"
        "sys.exit(main(['--', 'true']))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 125
    assert done.stderr.count("\n") == 1
    assert "python-ptrace is not installed" in done.stderr


def test_importing_the_module_does_not_load_python_ptrace() -> None:
    """GPL code is loaded only by a process that does nothing but trace."""
    code = "import sys, hepwrap.interpose.reference; sys.exit('ptrace' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], timeout=60, check=False).returncode == 0


def test_the_tracing_process_loads_none_of_the_apache_licensed_libraries(tmp_path: Path) -> None:
    code = (
        "import sys\nfrom hepwrap.interpose.reference import main\n"
        f"main(['-o', {str(tmp_path / 'trace')!r}, '--', 'true'])\n"
        "print(*sorted({'requests', 'cryptography', 'urllib3'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "", done.stderr
