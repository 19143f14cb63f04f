"""Packed entries: an entry as one immutable bytes object, as the memory tier holds it; never written anywhere.

Layout, little-endian: `HEADER`, then the payload. What entries have in common (their `Meta`) stands once in this
process's table, and the header names its number. An entry that has tags or validators, that outlives its callers' ttl,
or that finds the table full, carries the number `INLINE`, and its meta as msgpack at the end, with the meta's length in
4 bytes after it.
"""

import itertools
import math
import struct
from typing import Final

import msgspec

from apicache.entry import Entry

HEADER: Final = struct.Struct("<dffeH")
"""created (seconds since the epoch), fresh for, kept for, computed in (seconds each), the meta's number: 20 bytes."""
INLINE: Final = 0xFFFF
"""The number of a meta that stands in the entry itself."""

_HALF_MAX: Final = 65504.0
"""The largest finite half-precision float: a load that took longer counts as that many seconds, 18 hours."""
_SINGLE_MAX: Final[float] = struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]
_A_LITTLE_LESS: Final = 1 - 2.0**-23
"""The relative distance of single-precision numbers."""
_LONG, _FOREVER, _FAR_FUTURE = 64.0, 2.0**64, 2.0**34
_SINGLE: Final = struct.Struct("<f")
_BITS: Final = struct.Struct("<I")
_LENGTH: Final = struct.Struct("<I")
_TIMES: Final = struct.Struct("<dff")
_pack_header: Final = HEADER.pack


class Meta(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The fields of an entry that many entries share."""

    operation: str
    codec: str
    cost: float = 0.0
    tags: tuple[str, ...] = ()
    validators: tuple[tuple[str, str], ...] = ()
    must_revalidate: bool = False
    outlives: bool = False


# A meta is in the table of numbers before its number is published by `setdefault`: no lock, so none that a fork could
# leave held. Of two threads that add the same meta, one wastes a number.
_metas: dict[int, Meta] = {}
_numbers: dict[tuple[str, str, float, bool], int] = {}
_unused = itertools.count()
_PRICED_MAX: Final = INLINE // 2
"""Metas with a cost take at most the first half: an API priced by length has as many as it has answers."""

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Meta)


def pack(entry: Entry) -> bytes:
    """The entry as bytes. Times are rounded down: what `unpack` returns is neither fresh nor kept any longer."""
    number = INLINE
    if not (entry.tags or entry.validators or entry.outlives):
        number = number_of(entry.operation, entry.codec, entry.cost, must_revalidate=entry.must_revalidate)
    value = pack_value(entry.payload, entry.created, entry.fresh_until, entry.expires, entry.compute_seconds, number)
    if number != INLINE:
        return value
    meta = Meta(
        entry.operation,
        entry.codec,
        entry.cost,
        entry.tags,
        entry.validators,
        entry.must_revalidate,
        entry.outlives,
    )
    tail = _encoder.encode(meta)
    return b"".join((value, tail, _LENGTH.pack(len(tail))))


def pack_value(  # noqa: PLR0917 - by name, it would be a tenth of a miss
    payload: bytes, created: float, fresh_until: float, expires: float, compute_seconds: float, number: int
) -> bytes:
    """What `pack` gives for an entry whose meta has that number."""
    fresh_for = _span(created, fresh_until)
    keep_for = fresh_for if expires == fresh_until else _span(created, expires)
    if compute_seconds > _HALF_MAX:  # noqa: PLR1730 - a function call less
        compute_seconds = _HALF_MAX
    return _pack_header(created, fresh_for, keep_for, compute_seconds, number) + payload


def number_of(operation: str, codec: str, cost: float = 0.0, *, must_revalidate: bool = False) -> int:
    """The number of the meta with these fields, and none of the others; `INLINE` for none."""
    number = _numbers.get((operation, codec, cost, must_revalidate))
    return _add(Meta(operation, codec, cost, must_revalidate=must_revalidate)) if number is None else number


def unpack(packed: bytes) -> Entry:
    """The entry; `compute_seconds` has 3 significant digits."""
    created, fresh_for, keep_for, compute_seconds, number = HEADER.unpack_from(packed)
    if number == INLINE:
        start = _tail_start(packed)
        meta, body = _decoder.decode(packed[start : -_LENGTH.size]), packed[HEADER.size : start]
    else:
        meta, body = _metas[number], packed[HEADER.size :]
    return Entry(
        meta.operation,
        meta.codec,
        body,
        created,
        created + fresh_for,
        created + keep_for,
        meta.cost,
        compute_seconds,
        meta.tags,
        meta.validators,
        meta.must_revalidate,
        outlives=meta.outlives,
    )


def meta(number: int) -> Meta:
    """The meta of a header's number; raises KeyError for `INLINE`."""
    return _metas[number]


def expires(packed: bytes) -> float:
    """When the entry is forgotten, in seconds since the epoch."""
    created, _, keep_for = _TIMES.unpack_from(packed)
    return float(created + keep_for)


def _tail_start(packed: bytes) -> int:
    (length,) = _LENGTH.unpack_from(packed, len(packed) - _LENGTH.size)
    return len(packed) - _LENGTH.size - int(length)


def _add(meta: Meta) -> int:
    """The number of a meta that is new, if there is room; `INLINE` if there is none."""
    if len(_metas) >= (_PRICED_MAX if meta.cost else INLINE):
        return INLINE
    number = next(_unused)
    if number >= INLINE:  # several threads took the last numbers at once
        return INLINE
    _metas[number] = meta
    return _numbers.setdefault((meta.operation, meta.codec, meta.cost, meta.must_revalidate), number)


def _span(created: float, until: float) -> float:
    """Seconds, single-precision, rounded down: `span <= until - created` and `created + span <= until`.

    Both, because a reader may compare ages or moments.
    """
    seconds = until - created
    if _LONG < seconds < _FOREVER and created < _FAR_FUTURE and seconds % 1:
        # Packing rounds by half of what this takes away at most, and so does the addition. Whole seconds stay whole.
        return seconds * _A_LITTLE_LESS
    span: float
    try:
        (span,) = _SINGLE.unpack(_SINGLE.pack(seconds))
    except OverflowError:
        span = _SINGLE_MAX if seconds > 0 else -math.inf
    # The conversion may have rounded up, and so may the subtraction, between numbers of very different size.
    if span > seconds:
        span = _below(span)
    return _below(span) if created + span > until else span


def _below(number: float) -> float:
    """The next smaller single-precision number: one less in the bits where positive, one more where negative."""
    (bits,) = _BITS.unpack(_SINGLE.pack(number))
    if number > 0:
        bits -= 1
    elif number == 0:
        bits = 0x80000001
    else:
        bits += 1
    (below,) = _SINGLE.unpack(_BITS.pack(bits))
    return float(below)
