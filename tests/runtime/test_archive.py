"""Export and import of a cache: a round trip keeps every entry, and nothing unfit gets in."""

import stat
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from apicache.archive import Contents, UnwritableError, export_entries, import_entries, read_archive, write_archive
from apicache.entry import Entry
from apicache.errors import InputError
from apicache.markers import Marker
from apicache.tier import TierPlace
from apicache.tiers.disk import DiskTier
from apicache.tiers.disk import build as build_disk

NOW = 4_000_000_000.0  # the disk tier reads the machine's clock


def key(number: int) -> bytes:
    return number.to_bytes(32, "big")


def entry(**changes) -> Entry:
    plain = Entry("quote", "value", b"\x01", created=NOW - 50, fresh_until=NOW + 50, expires=NOW + 100, cost=0.5)
    return msgspec.structs.replace(plain, **changes)


@pytest.fixture
def tiers(tmp_path: Path) -> Iterator[tuple[DiskTier, DiskTier]]:
    made = tuple(build_disk(TierPlace(directory=tmp_path / name, timeout=2.0)) for name in ("one", "two"))
    yield made
    for tier in made:
        tier.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "cache.bin"


def test_a_round_trip_between_two_folders_keeps_entries_as_they_are(tiers, file: Path) -> None:
    one, two = tiers
    entries = {key(number): entry(payload=bytes(number), tags=("a", "b")) for number in range(450)}
    one.set_many(entries, NOW)
    exported = export_entries(one, file, NOW)
    assert (exported.entries, exported.left_out, exported.bytes) == (450, 0, file.stat().st_size)
    imported = import_entries(file, two, NOW)
    assert (imported.damaged, imported.cut_short) == (0, False)
    assert (imported.tier, imported.stored) == ("disk", 450)
    assert dict(two.entries()) == entries


def test_an_archive_is_its_owners_alone_and_written_in_one_step(tiers, file: Path) -> None:
    file.write_text("old")
    file.chmod(0o644)
    one, _ = tiers
    one.set_many({key(1): entry()}, NOW)
    export_entries(one, file, NOW)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert [path.name for path in file.parent.iterdir() if path.is_file()] == [file.name]


def test_only_writing_is_blamed_on_the_file(tmp_path: Path, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UnwritableError, match=r"a\.bin cannot be written: No such file"):
        write_archive(tmp_path / "missing" / "a.bin", [(key(1), entry())])

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("apicache.archive.os.fsync", full)
    with pytest.raises(UnwritableError, match=r"cache\.bin cannot be written: No space left"):
        write_archive(file, [(key(1), entry())])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_export_leaves_the_old_file_as_it_was(file: Path) -> None:
    file.write_text("old")

    def failing() -> Iterator[tuple[bytes, Entry]]:
        yield key(1), entry()
        raise OSError("the tier is gone")

    with pytest.raises(OSError, match="the tier is gone"):
        write_archive(file, failing())
    assert [path.read_text() for path in file.parent.iterdir()] == ["old"]


def test_an_export_of_nothing_leaves_the_old_file_as_it_was(tiers, file: Path) -> None:
    file.write_text("old")
    assert export_entries(tiers[0], file, NOW).entries == 0
    assert file.read_text() == "old"


def test_only_living_entries_that_were_asked_for_are_exported(tiers, file: Path) -> None:
    one, _ = tiers
    one.set_many(
        {
            key(1): entry(),
            key(2): entry(operation="other"),
            key(3): entry(created=NOW - 500),
            key(4): entry(expires=NOW - 1),
            key(5): entry(tags=("gone",)),
            key(6): entry(fresh_until=NOW - 10),
        },
        NOW - 1000,
    )
    one.publish([Marker("tag", "gone", gone_at=NOW - 10)])
    exported = export_entries(one, file, NOW, operation="quote", max_age=100)
    assert {found for found, _ in read_archive(file, Contents())} == {key(1), key(6)}
    assert (exported.entries, exported.left_out) == (2, 4)


def test_newer_entries_are_never_replaced(tiers, file: Path) -> None:
    one, two = tiers
    one.set_many({key(number): entry(payload=b"archived") for number in range(3)}, NOW)
    export_entries(one, file, NOW)
    two.set_many(
        {
            key(0): entry(payload=b"newer", created=NOW - 49),
            key(1): entry(payload=b"older", created=NOW - 51),
        },
        NOW,
    )
    imported = import_entries(file, two, NOW)
    assert (imported.stored, imported.kept) == (2, 1)
    assert [two.get_many([key(number)])[key(number)].payload for number in range(3)] == [
        b"newer",
        b"archived",
        b"archived",
    ]
    again = import_entries(file, two, NOW)
    assert (again.stored, again.kept) == (0, 3)


def test_what_expired_or_was_invalidated_since_is_passed_over(tiers, file: Path) -> None:
    _, two = tiers
    write_archive(file, [(key(1), entry(expires=NOW)), (key(2), entry(tags=("t",))), (key(3), entry())])
    two.publish([Marker("tag", "t", gone_at=NOW - 50)])
    imported = import_entries(file, two, NOW)
    assert (imported.expired, imported.invalidated, imported.stored) == (1, 1, 1)
    assert list(dict(two.entries())) == [key(3)]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no archive"),
        (b"garbage", "no archive"),
        (b"apicache", "no archive"),
        (bytes(10_000), "no archive"),
        (b"apicache archive 2\n", "format 2"),
        (b"apicache archive \xff\n", "format"),
    ],
)
def test_a_file_that_is_no_archive_is_refused(tiers, file: Path, content: bytes, message: str) -> None:
    file.write_bytes(content)
    with pytest.raises(InputError, match=message):
        import_entries(file, tiers[0], NOW)


def test_a_missing_file_and_a_folder_are_refused(tiers, tmp_path: Path) -> None:
    for path in (tmp_path / "missing", tmp_path):
        with pytest.raises(InputError, match="cannot be read"):
            import_entries(path, tiers[0], NOW)


def test_a_damaged_entry_is_passed_over_and_the_others_are_taken(tiers, file: Path) -> None:
    write_archive(file, [(key(number), entry(payload=b"x" * 50 + bytes([number]))) for number in range(3)])
    content = bytearray(file.read_bytes())
    content[content.index(b"xxxx")] = 0
    file.write_bytes(content)
    imported = import_entries(file, tiers[0], NOW)
    assert (imported.damaged, imported.stored, imported.cut_short) == (1, 2, False)


def test_wherever_an_archive_is_cut_it_is_known_as_cut_short(file: Path) -> None:
    write_archive(file, [(key(1), entry()), (key(2), entry())])
    whole = file.read_bytes()
    start = len(b"apicache archive 1\n")
    for length in range(start, len(whole)):
        file.write_bytes(whole[:length])
        contents = Contents()
        found = list(read_archive(file, contents))
        assert contents.cut_short, length
        assert len(found) < 3


def test_any_flipped_byte_is_found(file: Path) -> None:
    entries = [(key(1), entry()), (key(2), entry(payload=b"abc"))]
    write_archive(file, entries)
    whole = file.read_bytes()
    for place in range(len(b"apicache archive 1\n"), len(whole)):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        contents = Contents()
        assert all(found in entries for found in read_archive(file, contents))
        assert contents.damaged or contents.cut_short, place
