import random
import subprocess
import sys
import zlib

import msgspec
import pytest
from backports import zstd
from hypothesis import given
from hypothesis import strategies as st

from apicache import envelope
from apicache.entry import Entry
from apicache.envelope import KEY_LENGTH, PlainSealer

KEY = bytes(range(KEY_LENGTH))
SMALL = Entry(
    operation="completion",
    codec="value",
    payload=b"\x01",
    created=1.0,
    fresh_until=2.0,
    expires=4.0,
    cost=0.5,
    compute_seconds=0.25,
    tags=("a",),
    validators=(("etag", '"x"'),),
    must_revalidate=True,
)
LARGE = msgspec.structs.replace(SMALL, payload=b"abcd" * 300)
SEALER = PlainSealer()

GOLDEN_SMALL = (
    "617069630250a2a22000000000000000007692c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d"
    "1e1f9daa636f6d706c6574696f6ea576616c7565c40101cb3ff0000000000000cb4000000000000000cb4010000000000000cb"
    "3fe0000000000000cb3fd000000000000091a1619192a465746167a3227822c3c3c2"
)
GOLDEN_OF_TWELVE_FIELDS = (
    "6170696302374349e200000000000000007592c420000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e"
    "1f9caa636f6d706c6574696f6ea576616c7565c40101cb3ff0000000000000cb4000000000000000cb4010000000000000cb3fe0"
    "000000000000cb3fd000000000000091a1619192a465746167a3227822c3c3"
)
GOLDEN_LARGE = (
    "6170696302bcd0bac7010000000000000083000000000000052528b52ffd6025048d0300f40592c420000102030405060708090a"
    "0b0c0d0e0f101112131415161718191a1b1c1d1e1f9caa636f6d706c6574696f6ea576616c7565c504b061626364cb3ff000cb40"
    "00cb401000cb3fe000cb3fd00091a1619192a465746167a3227822c3c30600400838021a0138702de154fe1d14"
)


def noise(length: int) -> bytes:
    return random.Random(1).randbytes(length)  # noqa: S311 - the same on each run


def with_payload(payload: bytes) -> Entry:
    return msgspec.structs.replace(SMALL, payload=payload)


def is_compressed(sealed: bytes) -> bool:
    return sealed[9] == 1


def made_up(flags: int, rest: bytes) -> bytes:
    """An envelope whose checksum and length are right, whatever is in it."""
    head = bytes([flags]) + len(rest).to_bytes(8, "big")
    return b"apic\x02" + zlib.crc32(head + rest).to_bytes(4, "big") + head + rest


def body_of(entry: Entry, key: bytes = KEY) -> bytes:
    return msgspec.msgpack.encode((key, entry))


def compressed(body: bytes, declared: int | None = None) -> bytes:
    return (len(body) if declared is None else declared).to_bytes(8, "big") + zstd.compress(body)


def test_an_envelope_is_what_it_was_in_the_first_release() -> None:
    assert SEALER.seal(KEY, SMALL).hex() == GOLDEN_SMALL
    assert SEALER.unseal(bytes.fromhex(GOLDEN_SMALL)) == (KEY, SMALL)


def test_an_envelope_from_before_the_last_field_is_still_read() -> None:
    assert SEALER.unseal(bytes.fromhex(GOLDEN_OF_TWELVE_FIELDS)) == (KEY, SMALL)


def test_a_compressed_envelope_of_the_first_release_is_still_read() -> None:
    # Another version of zstd may compress differently: what was written must stay readable, that is all.
    assert SEALER.unseal(bytes.fromhex(GOLDEN_LARGE)) == (KEY, LARGE)


def test_the_name_of_an_entry_is_its_key_in_hexadecimal_digits() -> None:
    assert SEALER.name(KEY) == KEY.hex()


@pytest.mark.parametrize("payload", [b"", b"x", b"x" * 1023, b"x" * 1024, noise(5000), b"x" * 300_000])
@pytest.mark.parametrize("compress", [True, False])
def test_what_is_sealed_comes_back(payload: bytes, *, compress: bool) -> None:
    entry = with_payload(payload)
    assert PlainSealer(compress=compress).unseal(PlainSealer(compress=compress).seal(KEY, entry)) == (KEY, entry)


def test_payloads_are_compressed_from_one_kibibyte() -> None:
    assert not is_compressed(SEALER.seal(KEY, with_payload(b"x" * 1023)))
    assert is_compressed(SEALER.seal(KEY, with_payload(b"x" * 1024)))


def test_a_compressed_envelope_is_kept_only_when_a_tenth_smaller() -> None:
    assert not is_compressed(SEALER.seal(KEY, with_payload(noise(10_000))))
    assert not is_compressed(SEALER.seal(KEY, with_payload(noise(9_500) + b"x" * 500)))
    assert is_compressed(SEALER.seal(KEY, with_payload(noise(8_000) + b"x" * 2_000)))


def test_compression_can_be_switched_off_and_what_was_compressed_is_still_read() -> None:
    off = PlainSealer(compress=False)
    assert not is_compressed(off.seal(KEY, LARGE))
    assert off.unseal(SEALER.seal(KEY, LARGE)) == (KEY, LARGE)


def test_without_zstd_nothing_is_compressed_and_a_compressed_envelope_is_a_miss(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = SEALER.seal(KEY, LARGE)
    monkeypatch.setattr(envelope, "_zstd", lambda: None)
    plain = SEALER.seal(KEY, LARGE)
    assert not is_compressed(plain)
    assert SEALER.unseal(plain) == (KEY, LARGE)
    assert SEALER.unseal(written) is None


def test_zstd_is_loaded_when_there_is_something_to_compress() -> None:
    code = (
        "import sys; from apicache.envelope import PlainSealer; from apicache.entry import Entry\n"
        "seal = lambda payload: PlainSealer().seal(bytes(32), Entry('o', 'value', payload, 1.0, 2.0, 3.0))\n"
        "loaded = lambda: any('zstd' in name for name in sys.modules)\n"
        "seal(b'x'); before = loaded(); seal(b'x' * 5000); print(before, loaded())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["False", "True"]


@pytest.mark.parametrize("golden", [GOLDEN_SMALL, GOLDEN_LARGE])
def test_any_byte_changed_is_a_miss(golden: str) -> None:
    sealed = bytes.fromhex(golden)
    for position in range(len(sealed)):
        for flip in (1, 128, 255):
            assert SEALER.unseal(sealed[:position] + bytes([sealed[position] ^ flip]) + sealed[position + 1 :]) is None


@pytest.mark.parametrize("golden", [GOLDEN_SMALL, GOLDEN_LARGE])
def test_an_envelope_cut_short_anywhere_or_with_bytes_after_it_is_a_miss(golden: str) -> None:
    sealed = bytes.fromhex(golden)
    assert all(SEALER.unseal(sealed[:length]) is None for length in range(len(sealed)))
    assert SEALER.unseal(sealed + b"x") is None
    assert SEALER.unseal(sealed + sealed) is None


@given(st.binary(max_size=200), st.sampled_from([b"", b"apic", b"apic\x01", b"apic\x02"]))
def test_any_bytes_are_a_miss_and_never_an_exception(data: bytes, start: bytes) -> None:
    assert SEALER.unseal(start + data) is None


@given(st.binary(max_size=200), st.integers(0, 255))
def test_any_body_with_a_right_checksum_is_a_miss_and_never_an_exception(body: bytes, flags: int) -> None:
    assert SEALER.unseal(made_up(flags, body)) is None
    assert SEALER.unseal(made_up(1, compressed(body))) is None


@given(st.data())
def test_damage_within_a_compressed_body_is_a_miss_even_with_a_right_checksum(data: st.DataObject) -> None:
    rest = bytearray(compressed(body_of(LARGE)))
    position = data.draw(st.integers(0, len(rest) - 1))
    rest[position] ^= data.draw(st.integers(1, 255))
    opened = SEALER.unseal(made_up(1, bytes(rest)))
    # A literal inside the frame may change the content, as in an uncompressed body; it must never raise.
    assert opened is None or isinstance(opened[1], Entry)


@pytest.mark.parametrize("flags", [2, 3, 128, 255])
def test_flags_of_a_later_version_are_a_miss(flags: int) -> None:
    assert SEALER.unseal(made_up(flags, body_of(SMALL))) is None


@pytest.mark.parametrize(
    "rest",
    [
        compressed(body_of(LARGE), declared=0),
        compressed(body_of(LARGE), declared=len(body_of(LARGE)) - 1),
        compressed(body_of(LARGE), declared=len(body_of(LARGE)) + 1),
        compressed(body_of(LARGE)) + b"x",
        compressed(body_of(LARGE)) + zstd.compress(b"more"),
        compressed(body_of(LARGE))[:-1],
        b"",
        b"\0" * 7,
    ],
)
def test_a_compressed_body_of_another_length_than_declared_is_a_miss(rest: bytes) -> None:
    assert SEALER.unseal(made_up(1, rest)) is None


def test_a_bomb_that_declares_its_length_is_refused_before_it_is_decompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zstd, "ZstdDecompressor", None)
    assert SEALER.unseal(made_up(1, compressed(b"\0" * 1000, declared=512 * 1024 * 1024 + 1))) is None
    assert SEALER.unseal(made_up(1, compressed(b"\0" * 1000, declared=2**64 - 1))) is None


def test_a_bomb_that_declares_too_little_is_not_decompressed_beyond_that(monkeypatch: pytest.MonkeyPatch) -> None:
    produced: list[int] = []
    real = zstd.ZstdDecompressor

    class Watched:
        def __init__(self) -> None:
            self._inner = real()

        def decompress(self, data: bytes, max_length: int) -> bytes:
            body = self._inner.decompress(data, max_length=max_length)
            produced.append(len(body))
            return body

        def __getattr__(self, name: str) -> object:
            return getattr(self._inner, name)

    bomb = made_up(1, compressed(b"\0" * 50_000_000, declared=1000))
    assert len(bomb) < 5000
    monkeypatch.setattr(zstd, "ZstdDecompressor", Watched)
    assert SEALER.unseal(bomb) is None
    assert produced == [1001]


def test_a_body_beyond_the_cap_is_stored_uncompressed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(envelope, "_BODY_MAX", 1200)
    sealed = SEALER.seal(KEY, LARGE)
    assert not is_compressed(sealed)
    assert SEALER.unseal(sealed) == (KEY, LARGE)


@pytest.mark.parametrize(
    "body",
    [
        body_of(SMALL, b"short"),
        body_of(SMALL) + b"\0",
        msgspec.msgpack.encode((KEY,)),
        msgspec.msgpack.encode((KEY, "entry")),
        msgspec.msgpack.encode((KEY, ["o", "value", b"", "1", 2.0, 3.0])),
        b"\x92" + msgspec.msgpack.encode(KEY) + b"\xdd\xff\xff\xff\xff",
        b"\x92" + msgspec.msgpack.encode(KEY) + b"\x91" * 100_000,
        b"\x92" + msgspec.msgpack.encode(KEY) + b"\x96\xa2\xff\xfe",
    ],
)
def test_a_body_that_is_no_entry_is_a_miss(body: bytes) -> None:
    assert SEALER.unseal(made_up(0, body)) is None


def test_what_its_policy_forbids_to_compress_is_not_compressed() -> None:
    assert is_compressed(SEALER.seal(KEY, LARGE))
    assert not is_compressed(SEALER.seal(KEY, msgspec.structs.replace(LARGE, may_compress=False)))
