"""Which signatures and keys are believed: no more than by another implementation, and only the one block."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import pytest
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_der_public_key
from hypothesis import given, settings
from hypothesis import strategies as st

from hepwrap.vfs.signature import NotRsa, RsaKey, Signatures, load_der, load_pem

TEXT = b"5c46ccfb4b4ed1d9f7b0f3b2f6d9e1c0a1b2c3d4"
PREFIX = bytes.fromhex("3021300906052b0e03021a05000414")


def signs_text(key: RsaKey, signature: bytes, text: bytes) -> bool:
    return Signatures().signs_text(key, signature, text)


def signs_sha1(key: RsaKey, signature: bytes, text: bytes) -> bool:
    return Signatures().signs_sha1(key, signature, text)


@dataclass(frozen=True)
class Signer:
    """A private key, and the public half as we read it."""

    private: rsa.RSAPrivateKey
    key: RsaKey

    @property
    def size(self) -> int:
        return self.private.key_size // 8

    def raw(self, block: bytes) -> bytes:
        """The signature whose recovered block is exactly `block`."""
        numbers = self.private.private_numbers()
        number = pow(int.from_bytes(block, "big"), numbers.d, numbers.public_numbers.n)
        return number.to_bytes(self.size, "big")

    def block(self, wanted: bytes) -> bytes:
        return b"\0\1" + b"\xff" * (self.size - 3 - len(wanted)) + b"\0" + wanted

    def is_the_block(self, signature: bytes, wanted: bytes) -> bool:
        """Whether plain arithmetic (RFC 8017, 5.2.2) leads from the signature to the one block of `wanted`."""
        numbers = self.private.public_key().public_numbers()
        number = int.from_bytes(signature, "big")
        return (
            len(signature) == self.size
            and number < numbers.n
            and pow(number, numbers.e, numbers.n) == int.from_bytes(self.block(wanted), "big")
        )


def signer_of(bits: int, exponent: int = 65537) -> Signer:
    private = rsa.generate_private_key(exponent, bits)
    der = private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return Signer(private, load_der(der))


@pytest.fixture(scope="module")
def signer() -> Signer:
    return signer_of(1024)


@pytest.mark.parametrize(("bits", "exponent"), [(1024, 65537), (1032, 65537), (1025, 3), (2048, 3), (3072, 65537)])
def test_what_the_owner_signed_is_believed(bits: int, exponent: int) -> None:
    one = signer_of(bits, exponent)
    size = (bits + 7) // 8
    signature = one.private.sign(TEXT, padding.PKCS1v15(), SHA1())
    assert len(signature) == size
    assert signs_sha1(one.key, signature, TEXT)
    assert not signs_sha1(one.key, signature, TEXT + b"0")
    assert not signs_text(one.key, signature, TEXT)
    assert not signs_sha1(signer_of(bits, exponent).key, signature, TEXT)


def test_numbers_are_those_that_the_other_implementation_reads(signer: Signer) -> None:
    numbers = signer.private.public_key().public_numbers()
    assert (signer.key.modulus, signer.key.exponent) == (numbers.n, numbers.e)
    for form in (PublicFormat.SubjectPublicKeyInfo, PublicFormat.PKCS1):
        pem = signer.private.public_key().public_bytes(Encoding.PEM, form)
        assert load_pem(pem) == load_pem(b"# ours\n" + pem.replace(b"\n", b"\r\n") + b"more") == signer.key


BLOCKS = {
    "type 2": lambda b: b"\0\2" + b[2:],
    "type 0": lambda b: b"\0\0" + b[2:],
    "first byte": lambda b: b"\1" + b[1:],
    "padding is not all ones": lambda b: b[:9] + b"\xfe" + b[10:],
    "padding with a zero in it": lambda b: b[:20] + b"\0" + b[21:],
    "no end of the padding": lambda b: b.replace(b"\xff\0", b"\xff\xff"),
    "something behind": lambda b: b[:2] + b[3:] + b"\0",
    "short padding, and the rest free": lambda b: b[:10] + b[b.index(b"\xff\0") + 1 :].ljust(len(b) - 10, b"\x55"),
    "shifted": lambda b: b[1:] + b"\0",
    "nothing": lambda b: bytes(len(b)),
    "one": lambda b: bytes(len(b) - 1) + b"\1",
}


@pytest.mark.parametrize("name", BLOCKS)
@pytest.mark.parametrize("wanted", [TEXT, PREFIX + hashlib.sha1(TEXT).digest()])
def test_any_other_block_is_refused(name: str, wanted: bytes, signer: Signer) -> None:
    good = signer.block(wanted)
    other = BLOCKS[name](good)
    assert len(other) == len(good)
    assert other != good
    assert signer.key.recovers(signer.raw(good), wanted)
    assert not signer.key.recovers(signer.raw(other), wanted)
    assert signer.is_the_block(signer.raw(good), wanted)
    assert not signer.is_the_block(signer.raw(other), wanted)


def test_a_digest_info_that_a_lenient_reader_would_take_is_refused(signer: Signer) -> None:
    digest = hashlib.sha1(TEXT).digest()
    without_null = bytes.fromhex("301f300706052b0e03021a0414") + digest
    long_form = bytes.fromhex("308121300906052b0e03021a05000414") + digest
    for info in (without_null, long_form, digest, PREFIX + digest + b"\0"):
        assert not signs_sha1(signer.key, signer.raw(signer.block(info)), TEXT)


def test_padding_is_at_least_eight_bytes(signer: Signer) -> None:
    for length, is_enough in ((signer.size - 11, True), (signer.size - 10, False), (signer.size, False)):
        text = b"x" * length
        block = signer.block(text) if length < signer.size - 2 else bytes(signer.size)
        assert signer.key.recovers(signer.raw(block), text) is is_enough


def test_a_signature_has_one_length_and_one_number(signer: Signer) -> None:
    good = signer.raw(signer.block(TEXT))
    beyond = int.from_bytes(good, "big") + signer.key.modulus
    for other in (b"", good[1:], good[:-1], b"\0" + good, good + b"\0", beyond.to_bytes(signer.size + 1, "big")):
        assert not signs_text(signer.key, other, TEXT)
    if beyond < 1 << (8 * signer.size):
        assert not signs_text(signer.key, beyond.to_bytes(signer.size, "big"), TEXT)


@settings(deadline=None)
@given(st.data())
def test_a_changed_signature_is_believed_only_where_arithmetic_does(data: st.DataObject) -> None:
    one = ONE
    good = one.raw(one.block(TEXT))
    at = data.draw(st.integers(0, len(good) - 1))
    changed = good[:at] + bytes([data.draw(st.integers(0, 255))]) + good[at + 1 :]
    assert signs_text(one.key, changed, TEXT) == one.is_the_block(changed, TEXT) == (changed == good)


ONE = signer_of(1024)
DER = ONE.private.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


@settings(deadline=None)
@given(st.integers(0, len(DER) - 1), st.integers(0, 255), st.booleans())
def test_damaged_key_is_refused_or_the_key_that_the_other_reads(at: int, byte: int, cut: bool) -> None:
    damaged = DER[:at] if cut else DER[:at] + bytes([byte]) + DER[at + 1 :]
    try:
        key = load_der(damaged)
    except NotRsa:
        return
    assert damaged[20:] == DER[20:] or not cut
    try:
        other = load_der_public_key(damaged)
    except ValueError:  # it is stricter about what stands in the algorithm, which we do not read
        assert damaged[24:] == DER[24:]
        return
    assert isinstance(other, rsa.RSAPublicKey)
    assert (key.modulus, key.exponent) == (other.public_numbers().n, other.public_numbers().e)


def encoded(modulus: int, exponent: int) -> bytes:
    """A SubjectPublicKeyInfo of any two numbers."""

    def element(tag: int, content: bytes) -> bytes:
        return bytes([tag, 0x82]) + len(content).to_bytes(2, "big") + content

    def number(value: int) -> bytes:
        return element(2, value.to_bytes(value.bit_length() // 8 + 1, "big"))

    algorithm = element(0x30, bytes.fromhex("06092a864886f70d0101010500"))
    return element(0x30, algorithm + element(3, b"\0" + element(0x30, number(modulus) + number(exponent))))


@pytest.mark.parametrize(
    ("modulus", "exponent"),
    [
        (1 << 2047 | 2, 65537),
        (1 << 1022 | 1, 65537),
        (1 << 16384 | 1, 65537),
        (0, 65537),
        (1 << 2047 | 1, 1),
        (1 << 2047 | 1, 65536),
        (1 << 2047 | 1, 0),
        (1 << 2047 | 1, 1 << 64 | 1),
    ],
    ids=["even", "small", "large", "none", "identity", "even exponent", "no exponent", "large exponent"],
)
def test_numbers_that_no_key_has_are_refused(modulus: int, exponent: int) -> None:
    assert load_der(encoded(1 << 2047 | 1, 65537)) == RsaKey(1 << 2047 | 1, 65537)
    with pytest.raises(NotRsa):
        load_der(encoded(modulus, exponent))


def test_keys_of_other_kinds_are_named() -> None:
    kinds = {
        "1.2.840.10045.2.1": ec.generate_private_key(ec.SECP256R1()),
        "1.3.101.112": ed25519.Ed25519PrivateKey.generate(),
        "1.2.840.10040.4.1": dsa.generate_private_key(1024),
    }
    for kind, private in kinds.items():
        pem = private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
        with pytest.raises(NotRsa, match=rf"a key of another kind \({kind}\) than RSA"):
            load_pem(pem)


def test_what_was_verified_before_is_not_verified_again(signer: Signer, monkeypatch: pytest.MonkeyPatch) -> None:
    signature = signer.raw(signer.block(TEXT))
    first = Signatures()
    assert first.signs_text(signer.key, signature, TEXT)
    asked: list[bytes] = []
    monkeypatch.setattr(RsaKey, "recovers", lambda _key, _signature, wanted: asked.append(wanted))
    again = Signatures(first.held)
    assert again.signs_text(signer.key, signature, TEXT)
    assert (again.held, asked) == (first.held, [])


def test_what_was_verified_before_stands_for_nothing_else(signer: Signer) -> None:
    signature = signer.raw(signer.block(TEXT))
    first = Signatures()
    assert first.signs_text(signer.key, signature, TEXT)
    again = Signatures(first.held)
    other = signer_of(1024)
    assert not again.signs_text(other.key, signature, TEXT)
    assert not again.signs_text(signer.key, signature, TEXT + b"0")
    assert not again.signs_text(signer.key, bytes([signature[0] ^ 1]) + signature[1:], TEXT)
    assert not again.signs_sha1(signer.key, signature, TEXT)
    assert again.held == []
