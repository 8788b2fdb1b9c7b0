"""A Jupyter kernel whose Python and packages are in a repository, as a notebook uses it: run, interrupt, restart."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.helpers import packages, python_tree
from tests.helpers.fixtures import publishes
from tests.helpers.launches import Launches
from tests.helpers.publishing import Published
from tests.helpers.unprivileged import UID, Unprivileged

jupyter_client = pytest.importorskip("jupyter_client", reason="jupyter_client is not installed: pip install ipykernel")
MOST_SECONDS = 90


def build(tree: Path) -> None:
    python_tree.build(tree)
    packages.copy(tree / "packages", "ipykernel")
    (tree / "data").write_text("content\n" * 1000)


published = publishes("jupyter.hep.example", build)


class Notebook:
    """One kernel, and what it answers."""

    def __init__(self, launches: Launches, top: str, desk: Path) -> None:
        from jupyter_client.manager import KernelManager

        self.manager: Any = KernelManager(
            transport="ipc", ip=str(desk / "channel"), connection_file=str(desk / "connection")
        )
        words = launches.words(f"{top}/bin/python3", "-m", "ipykernel_launcher", "-f", "{connection_file}")
        self.manager.kernel_spec.argv[:] = words
        self.manager.kernel_spec.interrupt_mode = "signal"
        self.environment = {**launches.environment, **python_tree.environment(top), "PYTHONPATH": f"{top}/packages"}
        self.environment |= {
            "IPYTHONDIR": str(desk),
            "JUPYTER_RUNTIME_DIR": str(desk),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        self.manager.write_connection_file()
        if os.geteuid() == 0:
            os.chown(desk / "connection", UID, UID)
        self.manager.start_kernel(env=self.environment, cwd=str(desk))
        self.client: Any = None
        self.connect()

    def connect(self) -> None:
        self.client = self.manager.blocking_client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=MOST_SECONDS)

    def run(self, code: str, at_line: Callable[[], None] = lambda: None) -> tuple[str, str]:
        """`ok`, or the name of the exception; and what was printed.  `at_line` is called at its first line."""
        shown = ""
        asked = self.client.execute(code)
        while True:
            message = self.client.get_iopub_msg(timeout=MOST_SECONDS)
            if message["parent_header"].get("msg_id") != asked:
                continue
            content = message["content"]
            if message["msg_type"] == "stream":
                had_line = "\n" in shown
                shown += content["text"]
                if "\n" in shown and not had_line:
                    at_line()
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        while True:
            message = self.client.get_shell_msg(timeout=MOST_SECONDS)
            if message["parent_header"].get("msg_id") == asked:
                return message["content"].get("ename", message["content"]["status"]), shown

    def end(self) -> None:
        if self.client is not None:
            self.client.stop_channels()
        with contextlib.suppress(RuntimeError, queue.Empty):
            self.manager.shutdown_kernel(now=True)


@pytest.fixture
def notebook(published: Published, unprivileged: Unprivileged, patching: list[str], desk: Path) -> Iterator[Notebook]:
    launches = Launches.of(unprivileged, [*published.flags, *patching])
    one = Notebook(launches, f"/cvmfs/{published.name}", desk)
    yield one
    one.end()


def test_a_kernel_runs_is_interrupted_and_restarted(notebook: Notebook) -> None:
    top = "/cvmfs/jupyter.hep.example"
    assert notebook.run("import sys, IPython, os; print(sys.executable, IPython.__file__, os.getuid())") == (
        "ok",
        f"{top}/bin/python3 {top}/packages/IPython/__init__.py {UID if os.geteuid() == 0 else os.getuid()}\n",
    )
    assert notebook.run(f"print(len(open('{top}/data').read()))\n!cat {top}/data | wc -l") == (
        "ok",
        "8000\n1000\r\n",  # by a terminal
    )
    loops = {  # an exception in a destructor is dropped, and a signal just before a sleep seen after it: natively too
        "in Python": f"print('begun', flush=True)\nwhile True:\n  with open('{top}/data') as data: data.read()",
        "asleep": "import time\nprint('begun', flush=True)\nwhile True: time.sleep(0.5)",
        "missing": f"print('begun', flush=True)\nwhile True: os.path.exists('{top}/missing')",
    }
    for name, loop in loops.items():
        done = notebook.run(loop, at_line=notebook.manager.interrupt_kernel)
        assert done == ("KeyboardInterrupt", "begun\n"), name
        assert notebook.run("print(6 * 7)") == ("ok", "42\n")
    assert notebook.run(f"open('{top}/new', 'w')")[0] == "OSError"
    notebook.client.stop_channels()
    notebook.manager.restart_kernel(now=True)
    notebook.connect()
    assert notebook.run("print('sys' in globals())") == ("ok", "False\n")


def test_a_kernel_that_is_killed_is_gone(notebook: Notebook) -> None:
    pid = int(notebook.run("import os; print(os.getpid())")[1])
    os.kill(pid, signal.SIGKILL)
    until = time.monotonic() + MOST_SECONDS
    while notebook.manager.is_alive():
        assert time.monotonic() < until
        time.sleep(0.05)
