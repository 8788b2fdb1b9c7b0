"""Certificates are taken as they are: strange ones do no harm, since only their bytes and their key count."""

from __future__ import annotations

import base64
import hashlib
import zlib
from pathlib import Path

import pytest

from hepwrap.errors import UntrustedManifest
from hepwrap.vfs import certificate
from hepwrap.vfs.certificate import Certificate
from tests.helpers.shared import shared_path
from tests.helpers.workshop import Workshop


def load(der: bytes) -> Certificate:
    pem = b"-----BEGIN CERTIFICATE-----\n" + base64.encodebytes(der) + b"-----END CERTIFICATE-----\n"
    return certificate.load(pem, what="certificate")


@pytest.fixture
def usual() -> Certificate:
    pem = shared_path("data/test.hep.example/keys/test.hep.example.crt").read_bytes()
    return certificate.load(pem, what="certificate")


def test_fingerprints_are_over_the_der_bytes_in_each_algorithm(usual: Certificate) -> None:
    assert usual.fingerprint().replace(":", "").lower() == hashlib.sha1(usual.der).hexdigest()
    shake = hashlib.shake_128(usual.der).hexdigest(20)
    assert usual.fingerprint("shake128") == ":".join(shake[i : i + 2] for i in range(0, 40, 2)).upper() + "-SHAKE128"


def serial_at(der: bytes) -> tuple[int, int]:
    """Begin and length of the serial number: after two SEQUENCE headers of four bytes and the version, if any."""
    position = 8 + (5 if der[8] == 0xA0 else 0)
    assert der[position] == 2
    return position + 2, der[position + 1]


@pytest.mark.parametrize("byte", [0x00, 0xFF])
def test_a_serial_number_that_is_zero_or_negative_does_no_harm(byte: int, usual: Certificate) -> None:
    begin, length = serial_at(usual.der)
    odd = load(usual.der[:begin] + bytes([byte]) * length + usual.der[begin + length :])
    assert odd.key == usual.key
    assert odd.fingerprint() != usual.fingerprint()


def test_dates_in_a_certificate_do_not_matter(usual: Certificate) -> None:
    at = usual.der.index(b"Z\x17\r") - 12
    odd = load(usual.der[:at] + b"999999999999" + usual.der[at + 12 :])
    assert odd.key == usual.key


def test_text_around_the_certificate_does_not_matter(usual: Certificate) -> None:
    pem = shared_path("data/test.hep.example/keys/test.hep.example.crt").read_bytes()
    assert certificate.load(b"Certificate:\n  Data: ...\n" + pem + b"\n\n", what="c").der == usual.der


def test_a_certificate_with_another_kind_of_key_is_refused() -> None:
    from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    key = generate_private_key(SECP256R1()).public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    body = b"\x02\x01\x01" + b"\x30\x00" * 4 + key
    inner = b"\x30\x81" + bytes([len(body)]) + body
    with pytest.raises(UntrustedManifest, match=r"no RSA key can be read from it \(a key of another kind .* than RSA"):
        load(b"\x30\x81" + bytes([len(inner)]) + inner)


def test_a_length_that_leads_out_of_the_certificate_is_refused(usual: Certificate) -> None:
    for position in (1, 5, serial_at(usual.der)[0] - 1):
        with pytest.raises(UntrustedManifest, match="no RSA key can be read from it"):
            load(usual.der[:position] + b"\x84\xff\xff\xff\xff" + usual.der[position + 5 :])


def test_a_certificate_is_found_in_a_list_by_whichever_algorithm_its_line_uses(usual: Certificate) -> None:
    zeros = "00:" * 19 + "00"
    for algorithm in ("sha1", "shake128"):
        own = usual.fingerprint(algorithm)
        assert usual.listed_in(frozenset((zeros, own))) == own
    assert usual.listed_in(frozenset((zeros, zeros + "-SHAKE128"))) is None
    assert usual.listed_in(frozenset()) is None
    # The right digits under the wrong algorithm are another certificate's.
    assert usual.listed_in(frozenset((usual.fingerprint() + "-SHAKE128",))) is None


def test_a_repository_with_a_fingerprint_of_another_algorithm_opens(tmp_path: Path, usual: Certificate) -> None:
    workshop = Workshop(tmp_path)
    workshop.sign_whitelist(lines=[usual.fingerprint("shake128")])
    assert workshop.open().revision == 2


def test_the_stored_certificate_is_the_one_beside_the_keys(usual: Certificate) -> None:
    repo = shared_path("data/test.hep.example/repo")
    stored = zlib.decompress((repo / "data/1d/e42d2ac7708ae06bf5113a34638087ffef4775X").read_bytes())
    assert certificate.load(stored, what="c").der == usual.der
