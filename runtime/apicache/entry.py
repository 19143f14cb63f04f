"""Entries, their envelope, and the one decision about them."""

import enum
import zlib
from typing import Final

import msgspec

PLAIN_CODEC: Final = "value"
"""The codec name of values that are no client library's response."""

_MAGIC: Final = b"apic\x01"
"""File mark and format number; a change of the body's fields raises the number, older entries are then misses."""
_HEADER_LENGTH: Final = len(_MAGIC) + 12


class Entry(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A stored value with its metadata; times are seconds since the epoch. Field order is the stored format."""

    operation: str
    codec: str
    payload: bytes
    created: float
    expires: float
    cost: float
    compute_seconds: float


class Freshness(enum.Enum):
    """What an entry is worth at a moment."""

    FRESH = "fresh"
    EXPIRED = "expired"


def decide(entry: Entry, now: float) -> Freshness:
    """Whether `entry` may be served at `now`; an entry is expired at its very expiry time."""
    return Freshness.FRESH if now < entry.expires else Freshness.EXPIRED


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Entry)


def seal(entry: Entry) -> bytes:
    """The envelope: mark, CRC-32 and length of the body, then the body as msgpack."""
    body = _encoder.encode(entry)
    return b"".join((_MAGIC, zlib.crc32(body).to_bytes(4, "big"), len(body).to_bytes(8, "big"), body))


def unseal(data: bytes) -> Entry | None:
    """The entry in an envelope; None for anything damaged, cut short or of another format."""
    if not data.startswith(_MAGIC) or len(data) < _HEADER_LENGTH:
        return None
    checksum, length = data[len(_MAGIC) : len(_MAGIC) + 4], data[len(_MAGIC) + 4 : _HEADER_LENGTH]
    body = data[_HEADER_LENGTH:]
    if len(body) != int.from_bytes(length, "big") or zlib.crc32(body) != int.from_bytes(checksum, "big"):
        return None
    try:
        return _decoder.decode(body)
    except msgspec.MsgspecError:
        return None
