"""https: certificates are verified, and every law of the plain wire holds under TLS."""

from __future__ import annotations

import datetime
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from hepwrap.errors import FetchFailed, MissingObject
from hepwrap.fetchers.http import HttpFetcher
from hepwrap.settings import FetchSettings
from tests.contracts.fetcher_contract import GOOD, LIMIT, NAME, put
from tests.helpers import faulty_server as faults
from tests.helpers.faulty_server import FaultyServer
from tests.helpers.forward_proxy import ForwardProxy


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Certificate and key for localhost, in one PEM file, trusted by nobody yet."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "test")])
    now = datetime.datetime.now(datetime.UTC)
    names = x509.SubjectAlternativeName([x509.DNSName("localhost")])
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + private)
    return path


@pytest.fixture
def server(tmp_path: Path, certificate: Path) -> Iterator[FaultyServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with FaultyServer(put(tmp_path / "one", GOOD), tls=context) as one:
        yield one


@pytest.fixture
def _trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))


def open_https(server: FaultyServer, **changes: object) -> HttpFetcher:
    values = {"proxy": "DIRECT", "retries": 0, "timeout": 30.0, "timeout_direct": 30.0, **changes}
    return HttpFetcher(FetchSettings(servers=(server.url,), **values), fqrn="test.hep.example")  # type: ignore[arg-type]


@pytest.mark.usefixtures("_trusted")
def test_a_server_with_a_trusted_certificate_is_read_over_one_connection(server: FaultyServer) -> None:
    fetcher = open_https(server)
    for _ in range(3):
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
    assert len({request.client for request in server.requests}) == 1


def test_a_certificate_that_nobody_signed_is_refused(server: FaultyServer) -> None:
    fetcher = open_https(server, retries=3)
    with pytest.raises(FetchFailed, match="certificate that is not accepted") as caught:
        fetcher.fetch(NAME, limit=LIMIT)
    assert not isinstance(caught.value, MissingObject)
    assert server.requests == []
    assert fetcher.counters.retries == 0


@pytest.mark.usefixtures("_trusted")
def test_a_certificate_for_another_name_is_refused(server: FaultyServer) -> None:
    settings = FetchSettings(servers=(server.url.replace("localhost", "127.0.0.1"),), proxy="DIRECT", retries=0)
    with pytest.raises(FetchFailed, match="certificate that is not accepted"):
        HttpFetcher(settings, fqrn="test.hep.example").fetch(NAME, limit=LIMIT)
    assert server.requests == []


@pytest.mark.usefixtures("_trusted")
@pytest.mark.parametrize(
    ("fault", "text"),
    [
        (faults.Stall(), "sent nothing"),
        (faults.Drip(), "stalled: under 1024 bytes a second"),
        (faults.Drip(head=True), "stalled: under 1024 bytes a second"),
        (faults.CloseEarly(), "too early"),
        (faults.Endless(), "more than the"),
    ],
)
def test_faults_are_the_same_under_tls(server: FaultyServer, fault: faults.Fault, text: str) -> None:
    server.fault("data/*", fault)
    with pytest.raises(FetchFailed, match=text):
        open_https(server, timeout_direct=0.5).fetch(NAME, limit=LIMIT)


@pytest.mark.usefixtures("_trusted")
def test_close_ends_what_is_pending_under_tls(server: FaultyServer) -> None:
    server.fault("data/*", faults.Stall())
    fetcher = open_https(server, timeout_direct=3600.0)
    with ThreadPoolExecutor(1) as pool:
        pending = pool.submit(fetcher.fetch, NAME, limit=LIMIT)
        assert server.stalled.acquire(timeout=30)
        fetcher.close()
        with pytest.raises(FetchFailed, match="closed"):
            pending.result(30)


@pytest.mark.usefixtures("_trusted")
def test_a_proxy_is_asked_to_connect_and_sees_no_names(server: FaultyServer) -> None:
    with ForwardProxy() as proxy:
        fetcher = open_https(server, proxy=proxy.url)
        assert fetcher.fetch(NAME, limit=LIMIT) == GOOD
        fetcher.close()
        assert [url for url, _ in proxy.requests] == [server.url.removeprefix("https://")]


@pytest.mark.usefixtures("_trusted")
def test_a_redirect_out_of_https_is_refused(server: FaultyServer) -> None:
    server.fault("data/*", faults.Redirect("http://127.0.0.1:9/"))
    with pytest.raises(FetchFailed, match="not allowed"):
        open_https(server, follow_redirects=True).fetch(NAME, limit=LIMIT)


def test_plain_http_at_an_https_address_is_said(tmp_path: Path) -> None:
    with FaultyServer(tmp_path) as plain:
        settings = FetchSettings(servers=(plain.url.replace("http:", "https:"),), proxy="DIRECT", retries=0)
        with pytest.raises(FetchFailed, match="does not speak TLS"):
            HttpFetcher(settings, fqrn="test.hep.example").fetch(NAME, limit=LIMIT)
