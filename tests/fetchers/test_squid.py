"""The proxy that sites really run.  Skipped where squid is not installed; the small one of the other tests never is."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from hepwrap.errors import FetchFailed, MissingObject
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import BAD, GOOD, LIMIT, NAME, must_be_good, put
from tests.helpers import faulty_server as faults
from tests.helpers import needs
from tests.helpers.faulty_server import FaultyServer

CONFIGURATION = """
http_port 127.0.0.1:{port}
http_access allow all
cache_mem 8 MB
pid_filename none
access_log stdio:{directory}/access.log
cache_log {directory}/cache.log
coredump_dir {directory}
visible_hostname test
shutdown_lifetime 0 seconds
pinger_enable off
connect_retries 0
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def squid() -> Iterator[str]:
    """A squid with a cache in memory; its URL.  Not in pytest's directory, which nobody but the caller may enter."""
    program = needs.program("squid", "squid")
    with tempfile.TemporaryDirectory() as name:
        if os.geteuid() == 0:
            shutil.chown(name, "nobody")
        yield from run_squid(program, Path(name))


def run_squid(squid: str, directory: Path) -> Iterator[str]:
    port = free_port()
    file = directory / "squid.conf"
    user = "cache_effective_user nobody\n" if os.geteuid() == 0 else ""
    file.write_text(CONFIGURATION.format(port=port, directory=directory) + user)
    service = f"hepwrap{os.getpid()}"  # its shared memory is called so, and that of another worker's squid otherwise
    command = [squid, "-N", "-n", service, "-f", str(file)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        for _ in range(300):
            if process.poll() is not None:
                assert process.stderr is not None
                pytest.fail(f"squid does not start: {process.stderr.read().decode()[-500:]}")
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()  # killed it would leave its shared memory
        process.wait(20)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[FaultyServer]:
    with FaultyServer(put(tmp_path / "one", GOOD)) as one:
        yield one


def open_http(proxy: str, *servers: str) -> HttpFetcher:
    return HttpFetcher(FetchSettings(servers=servers, proxy=proxy, retries=0, timeout=30.0), fqrn="test.hep.example")


def test_an_object_is_asked_of_the_server_once(squid: str, server: FaultyServer) -> None:
    server.fault("data/*", faults.Body(GOOD, {"Cache_Control": "public, max-age=259200"}))
    for _ in range(3):
        assert open_http(squid, server.url).fetch(NAME, limit=LIMIT) == GOOD
    assert server.count("data/*") == 1


def test_wrong_bytes_in_its_cache_are_replaced(squid: str, server: FaultyServer) -> None:
    server.fault("data/*", faults.Body(GOOD, {"Cache_Control": "public, max-age=259200"}))
    server.fault("data/*", faults.Body(BAD, {"Cache_Control": "public, max-age=259200"}), times=1)
    assert open_http(squid, server.url).fetch(NAME, limit=LIMIT) == BAD
    for _ in range(2):
        assert open_http(squid, server.url).fetch(NAME, limit=LIMIT, check=must_be_good) == GOOD
    assert server.count("data/*") == 2


def test_what_the_server_does_not_have_is_missing(squid: str, server: FaultyServer) -> None:
    with pytest.raises(MissingObject):
        open_http(squid, server.url).fetch("data/00/nothing", limit=LIMIT)


def test_a_dead_server_is_not_missing_and_leads_to_the_next(squid: str, server: FaultyServer) -> None:
    with FaultyServer(server.directory) as gone:
        pass
    with pytest.raises(FetchFailed, match="of its own") as caught:
        open_http(squid, gone.url).fetch(NAME, limit=LIMIT)
    assert not isinstance(caught.value, MissingObject)
    assert open_http(squid, gone.url, server.url).fetch(NAME, limit=LIMIT) == GOOD
