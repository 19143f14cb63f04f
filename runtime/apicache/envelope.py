"""The envelope: an entry as bytes for the tiers that leave the process.

Layout: mark and format number (5 bytes), CRC-32 of all that follows (4, big-endian), flags (1), the length of the rest
(8), the rest: the body, or with `_COMPRESSED` the body's length (8) and a zstd frame of it. The body is msgpack: the
key and the entry's fields. The key inside makes sure that an entry is never taken for another's.
"""

import functools
import struct
import sys
import zlib
from types import ModuleType
from typing import Final, Protocol

import msgspec

from apicache.entry import Entry

_MAGIC: Final = b"apic\x02"
"""File mark and format number. A further field, at the end and with a default, is no other format: older readers pass
over it. Any other change of the body's fields raises the number, and older entries are then misses."""
_CRC_END: Final = len(_MAGIC) + 4
_HEADER: Final = struct.Struct(">5sIBQ")
"""The mark, the checksum, the flags, the length of the rest."""
_HEADER_LENGTH: Final = _HEADER.size

_STORED_AS_IS: Final = 0
_COMPRESSED: Final = 1

_COMPRESS_FROM: Final = 1024
"""Bytes of payload from which compression is tried."""
_KEPT_RATIO: Final = 0.9
"""A compressed body is kept up to this share of the plain one: less is not worth decompressing on each read."""
_BODY_MAX: Final = 512 * 1024 * 1024
"""Bytes that a compressed body may have when decompressed: a few bytes of zstd can stand for any number."""

KEY_LENGTH: Final = 32
"""Bytes in a key: a sha256 digest."""


class Sealer(Protocol):
    """How entries and their names look outside the process."""

    def name(self, key: bytes) -> str:
        """The name under which a tier stores the entry of a key."""

    def seal(self, key: bytes, entry: Entry) -> bytes:
        """The envelope of an entry."""

    def unseal(self, data: bytes) -> tuple[bytes, Entry] | None:
        """The key and the entry in an envelope; None for anything damaged, cut short, foreign or of another format."""


class PlainSealer:
    """Names are the keys' hexadecimal digits; envelopes are readable."""

    def __init__(self, *, compress: bool = True) -> None:
        self._compress_from = _COMPRESS_FROM if compress else sys.maxsize

    def name(self, key: bytes) -> str:
        """The key's hexadecimal digits."""
        return key.hex()

    def seal(self, key: bytes, entry: Entry) -> bytes:
        """The envelope of an entry."""
        body = _encoder.encode((key, entry))
        compresses = entry.may_compress and len(entry.payload) >= self._compress_from
        compressed = _compressed(body) if compresses else None
        flags, rest = (_STORED_AS_IS, body) if compressed is None else (_COMPRESSED, compressed)
        head = bytes((flags,)) + len(rest).to_bytes(8, "big")
        checksum = zlib.crc32(rest, zlib.crc32(head))
        return b"".join((_MAGIC, checksum.to_bytes(4, "big"), head, rest))

    def unseal(self, data: bytes) -> tuple[bytes, Entry] | None:
        """The key and the entry; None for anything damaged, cut short or of another format."""
        if len(data) < _HEADER_LENGTH:
            return None
        mark, checksum, flags, length = _unpack(data)
        if mark != _MAGIC or length != len(data) - _HEADER_LENGTH:
            return None
        rest = data[_HEADER_LENGTH:]
        if _crc32(rest, _crc32(data[_CRC_END:_HEADER_LENGTH])) != checksum:
            return None
        body = rest if flags == _STORED_AS_IS else _decompressed(rest) if flags == _COMPRESSED else None
        if body is None:
            return None
        try:
            opened = _decode(body)
        except (ValueError, RecursionError, MemoryError):  # none, though its checksum is right: another format, made up
            return None
        return opened if len(opened[0]) == KEY_LENGTH else None


def _compressed(body: bytes) -> bytes | None:
    """The length of the body and a zstd frame of it; None when that is not worth it, or cannot be done."""
    zstd = _zstd()
    if zstd is None or len(body) > _BODY_MAX:
        return None
    compressed = len(body).to_bytes(8, "big") + zstd.compress(body)
    return compressed if len(compressed) <= len(body) * _KEPT_RATIO else None


def _decompressed(rest: bytes) -> bytes | None:
    """The body, of exactly the length that was stored with it; None for anything else, found out within that length."""
    zstd, length = _zstd(), int.from_bytes(rest[:8], "big")
    if zstd is None or not 0 < length <= _BODY_MAX:
        return None
    decompressor = zstd.ZstdDecompressor()
    try:
        body: bytes = decompressor.decompress(rest[8:], max_length=length + 1)
    except (zstd.ZstdError, ValueError, EOFError, MemoryError):
        return None
    whole = decompressor.eof and not decompressor.unused_data
    return body if whole and len(body) == length else None


@functools.cache
def _zstd() -> ModuleType | None:
    """The zstd module: the standard library's from 3.14, else `backports.zstd`; None where there is neither."""
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd  # noqa: PLC0415 - when there is something to compress
        else:
            from backports import zstd  # noqa: PLC0415 - when there is something to compress
    except ImportError:
        return None
    return zstd


_encoder = msgspec.msgpack.Encoder()
# Every hit outside memory comes by these.
_decode: Final = msgspec.msgpack.Decoder(tuple[bytes, Entry]).decode
_unpack: Final = _HEADER.unpack_from
_crc32: Final = zlib.crc32
