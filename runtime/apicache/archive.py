"""Archives: the entries of a cache in one file, to carry a warmed cache into an image or a CI run.

Layout: a mark with the format's number, then records: a length (4 bytes, big-endian) and an envelope as `PlainSealer`
makes it, which has its own checksum. A length of zero ends the file, so that one that was cut short is known as such.
Times are kept as they are: an entry ends when it would have ended.
"""

import contextlib
import math
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from apicache.entry import Entry, Verdict, decide
from apicache.envelope import PlainSealer
from apicache.errors import InputError
from apicache.markers import MarkerTable
from apicache.tier import SharedTier

_MARK: Final = b"apicache archive "
_HEADER: Final = _MARK + b"1\n"
_LENGTH: Final = 4
_LONGEST: Final = 2**31
"""Bytes of one envelope; a length beyond is damage."""
_BATCH_ENTRIES: Final = 200
_BATCH_BYTES: Final = 8 * 2**20


class UnwritableError(InputError):
    """An archive's file cannot be written. What reading the entries raises is never this."""


class Exported(msgspec.Struct, frozen=True, kw_only=True):
    """What an archive was given."""

    entries: int
    bytes: int
    """The file's length."""
    left_out: int
    """Entries that are over or invalidated, of another operation, or too old."""


class Imported(msgspec.Struct, kw_only=True):
    """What a tier took from an archive."""

    tier: str
    stored: int = 0
    expired: int = 0
    invalidated: int = 0
    """Entries older than an invalidation that the tier knows."""
    kept: int = 0
    """Entries of which the tier has one as new or newer."""
    damaged: int = 0
    cut_short: bool = False
    """Whether the file's end is missing."""


class Contents(msgspec.Struct, kw_only=True):
    """What was met while an archive was read; complete once the reading is over."""

    entries: int = 0
    damaged: int = 0
    cut_short: bool = False


def export_entries(
    tier: SharedTier, file: Path, now: float, *, operation: str | None = None, max_age: float = math.inf
) -> Exported:
    """Write the tier's living entries into `file`, readable by its owner only, in one step once it is complete.

    `max_age` is in seconds since an entry was created. Raises UnwritableError when the file cannot be written; what the
    tier raises passes through. Then, and when there is nothing to export, a file that was there stays as it was.
    """
    markers = MarkerTable()
    markers.add(tier.markers())
    left_out = 0

    def chosen() -> Iterator[tuple[bytes, Entry]]:
        nonlocal left_out
        for key, entry in tier.entries():
            is_wanted = operation in (None, entry.operation) and now - entry.created <= max_age
            if is_wanted and _is_alive(key, entry, markers, now):
                yield key, entry
            else:
                left_out += 1

    entries, length = write_archive(file, chosen())
    return Exported(entries=entries, bytes=length, left_out=left_out)


def write_archive(file: Path, entries: Iterable[tuple[bytes, Entry]]) -> tuple[int, int]:
    """Write entries through a temporary file beside `file`; how many there were, and the file's length in bytes.

    Without entries nothing is written, and a file that was there stays. Raises UnwritableError; what iterating over the
    entries raises passes through.
    """
    with _blamed_on(file):  # made by mkstemp: 0600, and never another's file
        descriptor, name = tempfile.mkstemp(prefix=f".{file.name}.", dir=file.parent)
    try:
        with os.fdopen(descriptor, "wb") as stream:
            count, length = _write(file, stream, entries)
        if count == 0:
            return 0, 0
        with _blamed_on(file):
            Path(name).replace(file)
    finally:
        Path(name).unlink(missing_ok=True)
    return count, length


def _write(file: Path, stream: BinaryIO, entries: Iterable[tuple[bytes, Entry]]) -> tuple[int, int]:
    sealer = PlainSealer()
    count = 0
    stream.write(_HEADER)  # into a buffer
    for key, entry in entries:
        envelope = sealer.seal(key, entry)
        with _blamed_on(file):
            stream.write(len(envelope).to_bytes(_LENGTH, "big"))
            stream.write(envelope)
        count += 1
    with _blamed_on(file):
        stream.write(bytes(_LENGTH))
        stream.flush()
        os.fsync(stream.fileno())
    return count, stream.tell()


@contextlib.contextmanager
def _blamed_on(file: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UnwritableError(f"{file} cannot be written: {error.strerror or error}") from error


def read_archive(file: Path, contents: Contents) -> Iterator[tuple[bytes, Entry]]:
    """The readable entries of an archive; `contents` counts them, and the damaged ones that are passed over.

    Raises InputError for a file that is no archive of this format.
    """
    sealer = PlainSealer()
    try:
        with file.open("rb") as stream:
            _check_header(file, stream.readline(len(_HEADER) + 8))
            for envelope in _envelopes(stream, file.stat().st_size, contents):
                opened = sealer.unseal(envelope)
                if opened is None:
                    contents.damaged += 1
                else:
                    contents.entries += 1
                    yield opened
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror or error}") from error


def _check_header(file: Path, header: bytes) -> None:
    if header == _HEADER:
        return
    if header.startswith(_MARK):
        found = header.removeprefix(_MARK).strip().decode("ascii", "replace")
        raise InputError(f"{file} is an archive of format {found}, this version knows 1; export it again")
    raise InputError(f"{file} is no archive of a cache; make one with: apicache export FILE")


def _envelopes(stream: BinaryIO, size: int, contents: Contents) -> Iterator[bytes]:
    while True:
        prefix = stream.read(_LENGTH)
        length = int.from_bytes(prefix, "big")
        if len(prefix) == _LENGTH and length == 0:
            return
        if len(prefix) < _LENGTH or length > min(_LONGEST, size - stream.tell()):
            contents.cut_short = True
            return
        yield stream.read(length)


def import_entries(file: Path, tier: SharedTier, now: float) -> Imported:
    """Store an archive's living entries in a tier, except where it has one as new.

    Raises InputError for a file that is no archive, before anything is stored; what the tier raises passes through.
    """
    contents, imported = Contents(), Imported(tier=tier.name)
    markers: MarkerTable | None = None
    for batch in _batches(read_archive(file, contents)):
        if markers is None:
            markers = MarkerTable()
            markers.add(tier.markers())
        _take(batch, imported, tier, markers, now)
    imported.damaged, imported.cut_short = contents.damaged, contents.cut_short
    return imported


def _batches(entries: Iterator[tuple[bytes, Entry]]) -> Iterator[dict[bytes, Entry]]:
    batch: dict[bytes, Entry] = {}
    held = 0
    for key, entry in entries:
        batch[key] = entry
        held += len(entry.payload)
        if len(batch) >= _BATCH_ENTRIES or held >= _BATCH_BYTES:
            yield batch
            batch, held = {}, 0
    if batch:
        yield batch


def _take(batch: dict[bytes, Entry], imported: Imported, tier: SharedTier, markers: MarkerTable, now: float) -> None:
    present = tier.get_many(list(batch))
    wanted: dict[bytes, Entry] = {}
    for key, entry in batch.items():
        known = present.get(key)
        if now >= entry.expires:
            imported.expired += 1
        elif not _is_alive(key, entry, markers, now):
            imported.invalidated += 1
        elif known is not None and known.created >= entry.created:
            imported.kept += 1
        else:
            wanted[key] = entry
    if wanted:
        tier.set_many(wanted, now)
        imported.stored += len(wanted)


def _is_alive(key: bytes, entry: Entry, markers: MarkerTable, now: float) -> bool:
    gone_at, stale_at = markers.concerning(entry.operation, entry.tags, key)
    return decide(entry, now, gone_at=gone_at, stale_at=stale_at) is not Verdict.GONE
