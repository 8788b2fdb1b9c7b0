"""`hepwrap serve`: what is given out, what is not, and how it ends."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from hepwrap.errors import ConfigurationError
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.serve import StoreServer
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import GOOD, LIMIT, NAME, put
from tests.helpers.shared import shared_path

FQRN = "test.hep.example"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    repository = put(tmp_path / "store" / FQRN, GOOD)
    put(repository, b"signed", ".cvmfspublished")
    put(repository, b"private", f"{FQRN}.masterkey")
    put(tmp_path, b"outside", "secret")
    return tmp_path / "store"


@pytest.fixture
def server(store: Path) -> Iterator[StoreServer]:
    with StoreServer(store) as running:
        yield running


def ask(server: StoreServer, target: str, method: str = "GET", **headers: str) -> http.client.HTTPResponse:
    """One request with exactly that target; the body is in `.body`."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    connection.putrequest(method, target, skip_host=False)
    for name, value in headers.items():
        connection.putheader(name.replace("_", "-"), value)
    connection.endheaders()
    response = connection.getresponse()
    response.body = response.read()  # type: ignore[attr-defined]
    connection.close()
    return response


@pytest.mark.parametrize("prefix", ["", "/cvmfs"])
def test_a_repository_is_there_under_both_addresses(server: StoreServer, prefix: str) -> None:
    response = ask(server, f"{prefix}/{FQRN}/{NAME}")
    assert (response.status, response.body) == (200, GOOD)
    assert response.headers["Content-Length"] == str(len(GOOD))


def test_head_tells_the_length_and_sends_nothing(server: StoreServer) -> None:
    response = ask(server, f"/{FQRN}/{NAME}", "HEAD")
    assert (response.status, response.body) == (200, b"")
    assert response.headers["Content-Length"] == str(len(GOOD))


def test_objects_may_be_kept_for_ever_and_signed_files_for_a_minute(server: StoreServer) -> None:
    assert "immutable" in ask(server, f"/{FQRN}/{NAME}").headers["Cache-Control"]
    assert ask(server, f"/{FQRN}/.cvmfspublished").headers["Cache-Control"] == "public, max-age=61"


def test_a_cache_that_has_it_already_is_told_so_until_it_changes(server: StoreServer, store: Path) -> None:
    tag = ask(server, f"/{FQRN}/.cvmfspublished").headers["ETag"]
    assert ask(server, f"/{FQRN}/.cvmfspublished", If_None_Match=tag).status == 304
    (store / FQRN / "new").write_bytes(b"replaced")
    (store / FQRN / "new").rename(store / FQRN / ".cvmfspublished")
    assert ask(server, f"/{FQRN}/.cvmfspublished", If_None_Match=tag).body == b"replaced"


REFUSED = [
    "/",
    "/cvmfs",
    "/cvmfs/",
    f"/{FQRN}",
    f"/{FQRN}/",
    f"/{FQRN}/data",
    f"/{FQRN}/data/",
    f"/{FQRN}/data/ab",
    f"/{FQRN}/data/ab/",
    f"/{FQRN}/data/00/nothing",
    f"/{FQRN}/{FQRN}.masterkey",
    f"/{FQRN}/data/../{FQRN}.masterkey",
    f"/{FQRN}/../../secret",
    f"/{FQRN}/..%2f..%2fsecret",
    f"/{FQRN}/%2e%2e/%2e%2e/secret",
    f"/{FQRN}/data/../../../secret",
    f"/{FQRN}/data//ab/cdef0123456789",
    f"/{FQRN}/data/leads-out",
    f"/{FQRN}/data/pipe",
    f"/{FQRN}/.cvmfs/../../../secret",
    f"/{FQRN}/.cvmfspublished/",
    f"/{FQRN}/.cvmfspublished%00",
    "/../secret",
    "/secret",
    "//secret",
    "/cvmfs/../secret",
    "http://elsewhere/secret",
    "*",
]


@pytest.mark.parametrize("target", REFUSED)
def test_nothing_else_is_there(server: StoreServer, store: Path, target: str) -> None:
    (store / FQRN / "data" / "leads-out").symlink_to(store.parent / "secret")
    os.mkfifo(store / FQRN / "data" / "pipe")
    response = ask(server, target)
    assert (response.status, response.body) == (404, b"")


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PROPFIND", "CONNECT"])
def test_other_methods_are_not_known(server: StoreServer, method: str) -> None:
    assert ask(server, f"/{FQRN}/{NAME}", method).status == 501


def test_a_repository_may_be_a_link_to_where_it_is(server: StoreServer, store: Path, tmp_path: Path) -> None:
    put(tmp_path / "elsewhere", GOOD)
    (store / "linked.hep.example").symlink_to(tmp_path / "elsewhere")
    assert ask(server, f"/linked.hep.example/{NAME}").body == GOOD


def test_a_connection_stays_open_after_answers_and_after_404s(server: StoreServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    statuses = []
    connection.connect()
    first = connection.sock
    for name in (NAME, "data/00/nothing", ".cvmfspublished"):
        connection.request("GET", f"/{FQRN}/{name}")
        response = connection.getresponse()
        response.read()
        statuses.append(response.status)
    assert statuses == [200, 404, 200]
    assert connection.sock is first
    connection.close()


def test_64_clients_are_served_while_64_others_hold_connections_open(server: StoreServer) -> None:
    address = ("127.0.0.1", server.port)
    idle = [socket.create_connection(address, timeout=30) for _ in range(64)]
    barrier = threading.Barrier(64)

    def one(_: int) -> bytes:
        barrier.wait(30)
        return ask(server, f"/{FQRN}/{NAME}").body  # type: ignore[attr-defined,no-any-return]

    with ThreadPoolExecutor(64) as pool:
        assert list(pool.map(one, range(64))) == [GOOD] * 64
    for connection in idle:
        connection.close()


def test_a_large_object_comes_whole(server: StoreServer, store: Path) -> None:
    body = os.urandom(1 << 20) * 20
    put(store / FQRN, body, "data/00/large")
    assert ask(server, f"/{FQRN}/data/00/large").body == body


def test_a_client_that_goes_away_disturbs_nobody(store: Path) -> None:
    lines: list[str] = []
    put(store / FQRN, b"x" * (1 << 24), "data/00/large")
    with StoreServer(store, log=lines.append) as server:
        for _ in range(4):
            with socket.create_connection(("127.0.0.1", server.port), timeout=30) as connection:
                connection.sendall(f"GET /{FQRN}/data/00/large HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        assert ask(server, f"/{FQRN}/{NAME}").body == GOOD  # type: ignore[attr-defined]
    assert not [line for line in lines if "Error" in line]


def test_after_close_nobody_listens_and_open_connections_end(store: Path) -> None:
    server = StoreServer(store)
    connection = socket.create_connection(("127.0.0.1", server.port), timeout=30)
    connection.sendall(f"HEAD /{FQRN}/{NAME} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    assert connection.recv(10)
    server.close()
    while connection.recv(4096):
        pass
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", server.port), timeout=30)


def test_a_real_repository_is_fetched_through_it(tmp_path: Path) -> None:
    (tmp_path / FQRN).symlink_to(shared_path("data/test.hep.example/repo"))
    with StoreServer(tmp_path) as server:
        settings = FetchSettings(servers=(f"{server.url}/cvmfs/{FQRN}",), proxy="DIRECT")
        fetcher = HttpFetcher(settings, fqrn=FQRN)
        manifest = fetcher.fetch(".cvmfspublished", limit=LIMIT)
        root = next(line[1:].decode() for line in manifest.split(b"\n") if line.startswith(b"C"))
        assert fetcher.fetch(f"data/{root[:2]}/{root[2:]}C", limit=LIMIT)
        fetcher.close()


def test_a_store_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="is not a directory"):
        StoreServer(tmp_path / "nothing")


def test_a_port_that_is_taken_is_one_sentence(server: StoreServer, store: Path) -> None:
    with pytest.raises(ConfigurationError, match="Address already in use"):
        StoreServer(store, port=server.port)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_command_prints_its_address_and_ends_on_a_signal(store: Path, number: signal.Signals) -> None:
    program = (
        "import sys; from pathlib import Path; from hepwrap.serve import serve; sys.exit(serve(Path(sys.argv[1])))"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(store)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    url = process.stdout.readline().strip()
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=30)
    connection.request("GET", f"/{FQRN}/{NAME}")
    assert connection.getresponse().read() == GOOD
    process.send_signal(number)
    output, errors = process.communicate(timeout=30)
    assert process.returncode == 0
    assert output == ""
    assert len(errors.splitlines()) == 1
    assert "Traceback" not in errors
