"""The disk tier's own promises: a folder that several processes share, and that any of them may leave in any state."""

import contextlib
import hashlib
import multiprocessing
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import diskcache
import pytest

from apicache.entry import Entry
from apicache.envelope import PlainSealer
from apicache.errors import ApicacheError
from apicache.markers import Marker
from apicache.tier import TierPlace
from apicache.tiers.disk import DiskTier, Options, _BytesOnly, build

NOW = 1_700_000_000.0
KEY = bytes(range(32))
LARGE = b"x" * 100_000


def entry(payload: bytes = b"\x01", lasts: float = 1000.0) -> Entry:
    return Entry("o", "value", payload, NOW, NOW + lasts, NOW + lasts)


def key(n: object) -> bytes:
    return hashlib.sha256(str(n).encode()).digest()


def tier_at(directory: Path, timeout: float = 2.0, **bounds: int) -> DiskTier:
    # Uncompressed, so that the tests know how large a stored value is.
    return build(TierPlace(directory=directory, options=bounds, timeout=timeout, sealer=PlainSealer(compress=False)))


@pytest.fixture
def tier(tmp_path: Path) -> Iterator[DiskTier]:
    tier = tier_at(tmp_path)
    yield tier
    tier.close()


def payload(tier: DiskTier, wanted: bytes) -> bytes | None:
    found = tier.get_many([wanted]).get(wanted)
    return None if found is None else found.payload


def change(directory: Path, statement: str, *values: object) -> None:
    with contextlib.closing(sqlite3.connect(directory / "entries" / "cache.db")) as database:
        database.execute(statement, values)
        database.commit()


def rows(directory: Path) -> int:
    with contextlib.closing(sqlite3.connect(directory / "entries" / "cache.db")) as database:
        return int(database.execute("SELECT count(*) FROM Cache").fetchone()[0])


def files(directory: Path) -> list[Path]:
    return list((directory / "entries").glob("??/??/*.val"))


def test_the_folder_and_its_databases_are_their_owners_alone(tmp_path: Path) -> None:
    tier = tier_at(tmp_path / "deep" / "cache")
    tier.set_many({KEY: entry()}, NOW)
    tier.publish([Marker("all", "", NOW)])
    folder = tmp_path / "deep" / "cache" / "entries"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("cache.db", "cache.db-wal", "shared.db", "shared.db-wal"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    tier.close()


def test_a_folder_that_exists_keeps_its_permissions(tmp_path: Path, tier: DiskTier) -> None:
    tmp_path.chmod(0o755)
    tier.set_many({KEY: entry()}, NOW)
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755
    assert stat.S_IMODE((tmp_path / "entries").stat().st_mode) == 0o700


def test_an_open_folder_of_entries_is_closed_to_others(tmp_path: Path, tier: DiskTier) -> None:
    (tmp_path / "entries").mkdir(mode=0o777)
    tier.get_many([KEY])
    assert stat.S_IMODE((tmp_path / "entries").stat().st_mode) == 0o700


def test_git_leaves_the_recorded_answers_alone(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry()}, NOW)
    assert (tmp_path / "entries" / ".gitignore").read_text() == "*\n"


def test_making_a_tier_touches_nothing(tmp_path: Path) -> None:
    tier_at(tmp_path / "cache").close()
    assert list(tmp_path.iterdir()) == []


def test_a_relative_folder_stays_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    tier = tier_at(Path("cache"))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")
    tier.set_many({KEY: entry()}, NOW)
    tier.close()
    assert (tmp_path / "cache" / "entries" / "cache.db").exists()


def test_it_is_bounded_in_bytes_and_the_oldest_go(tmp_path: Path) -> None:
    tier = tier_at(tmp_path, max_bytes=2_000_000)
    for n in range(60):
        tier.set_many({key(n): entry(LARGE)}, NOW)
    size = tier.size()
    assert size.bytes < 2_200_000
    assert size.evictions == 60 - size.entries
    assert size.max_bytes == 2_000_000
    assert payload(tier, key(59)) == LARGE
    assert payload(tier, key(0)) is None
    assert len(files(tmp_path)) == size.entries
    tier.close()


def test_a_batch_evicts_no_more_than_it_must(tmp_path: Path) -> None:
    tier = tier_at(tmp_path, max_bytes=2_000_000)
    for start in range(0, 60, 12):
        tier.set_many({key(n): entry(b"x" * 30_000) for n in range(start, start + 12)}, NOW)
    tier.set_many({key(n): entry(b"x" * 30_000) for n in range(100, 112)}, NOW)
    assert len(tier.get_many([key(n) for n in range(100, 112)])) == 12
    assert tier.size().entries > 40
    tier.close()


def test_it_is_bounded_in_entries_and_the_oldest_stored_go(tmp_path: Path) -> None:
    tier = tier_at(tmp_path, max_entries=10)
    tier.set_many({key(n): entry() for n in range(10)}, NOW)
    tier.set_many({key(0): entry(b"stored anew")}, NOW)
    tier.set_many({key(n): entry() for n in range(10, 15)}, NOW)
    assert tier.size().entries == 10
    assert tier.size().evictions == 5
    assert payload(tier, key(0)) == b"stored anew"
    assert tier.get_many([key(n) for n in range(1, 6)]) == {}
    tier.close()


def test_bounds_made_smaller_are_reached_by_and_by(tmp_path: Path) -> None:
    tier = tier_at(tmp_path)
    tier.set_many({key(n): entry() for n in range(500)}, NOW)
    tier.close()
    tier = tier_at(tmp_path, max_entries=20)
    for n in range(1000, 1010):
        tier.set_many({key(n): entry()}, NOW)
    assert tier.size().entries == 20
    tier.close()


def test_an_entry_larger_than_the_bound_is_not_kept_and_does_not_empty_it(tmp_path: Path) -> None:
    tier = tier_at(tmp_path, max_bytes=200_000)
    tier.set_many({key(1): entry(b"small"), key(2): entry(b"older")}, NOW)
    tier.set_many({key(2): entry(LARGE * 3)}, NOW)
    assert payload(tier, key(1)) == b"small"
    assert payload(tier, key(2)) is None
    tier.close()


def test_expired_entries_are_misses_and_leave_with_the_next_set(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({key(n): entry(LARGE, lasts=1e-6) for n in range(5)}, NOW)
    assert tier.get_many([key(n) for n in range(5)]) == {}
    assert list(tier.entries()) == []
    tier.set_many({KEY: entry(LARGE)}, NOW)
    assert rows(tmp_path) == len(files(tmp_path)) == 1


def test_an_expired_entry_can_be_deleted_with_its_file(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry(LARGE, lasts=1e-6)}, NOW)
    tier.delete_many([KEY])
    assert rows(tmp_path) == len(files(tmp_path)) == 0


def test_overwritten_and_deleted_values_leave_no_files(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({key(n): entry(LARGE) for n in range(3)}, NOW)
    tier.set_many({key(0): entry(LARGE * 2), key(1): entry(b"small")}, NOW)
    assert len(files(tmp_path)) == 2
    tier.delete_many([key(n) for n in range(3)])
    assert files(tmp_path) == []


def test_a_set_that_fails_leaves_no_files_and_what_was_there(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry(LARGE)}, NOW)
    change(
        tmp_path,
        "CREATE TRIGGER refuse BEFORE INSERT ON Cache BEGIN SELECT RAISE(ABORT, 'refused'); END",
    )
    with pytest.raises(sqlite3.IntegrityError, match="refused"):
        tier.set_many({KEY: entry(LARGE * 2), key(1): entry(LARGE)}, NOW)
    assert payload(tier, KEY) == LARGE
    assert payload(tier, key(1)) is None
    assert len(files(tmp_path)) == 1


def test_a_value_cut_short_by_a_full_disk_leaves_no_file(tmp_path: Path) -> None:
    def chunks() -> Iterator[bytes]:
        yield b"some"
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space left"):
        _BytesOnly(str(tmp_path))._write(str(tmp_path / "ab" / "value"), chunks(), "xb")
    assert list((tmp_path / "ab").iterdir()) == []


def test_clearing_removes_what_a_killed_writer_left(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry(LARGE)}, NOW)
    left = tmp_path / "entries" / "ab" / "cd" / "0123.val"
    left.parent.mkdir(parents=True)
    left.write_bytes(b"an answer")
    tier.clear()
    assert files(tmp_path) == []


BOMB = "cos\nsystem\n(S'touch {}'\ntR."


@pytest.mark.parametrize("many", [False, True])
def test_a_pickle_planted_in_the_database_is_a_miss_and_is_never_loaded(
    tmp_path: Path, tier: DiskTier, many: bool
) -> None:
    tier.set_many({KEY: entry(), key(1): entry(LARGE)}, NOW)
    executed = tmp_path / "executed"
    bomb = BOMB.format(executed).encode()
    change(tmp_path, "UPDATE Cache SET mode = 4, value = ?", bomb)
    for file in files(tmp_path):
        file.write_bytes(bomb)
    assert list(tier.entries()) == []
    wanted = [[KEY, key(1)]] if many else [[KEY], [key(1)]]
    assert [tier.get_many(keys) for keys in wanted] == [{}] * len(wanted)
    assert rows(tmp_path) == 0
    assert not executed.exists()


def test_a_pickled_key_is_never_loaded(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry()}, NOW)
    executed = tmp_path / "executed"
    change(tmp_path, "UPDATE Cache SET raw = 0, key = ?", BOMB.format(executed).encode())
    assert list(tier.entries()) == []
    assert payload(tier, KEY) is None
    tier.clear()
    assert not executed.exists()


def test_nothing_is_ever_pickled(tmp_path: Path) -> None:
    disk = _BytesOnly(str(tmp_path))
    for value in ({"a": 1}, "text", 1, None, bytearray(b"x")):
        with pytest.raises(TypeError, match="stores bytes"):
            disk.store(value, read=False)
    for wrong in (b"bytes", 1, ("a",)):
        with pytest.raises(TypeError, match="keys are str"):
            disk.put(wrong)


def damaged_values() -> Iterator[tuple[str, str, tuple[Any, ...]]]:
    yield "cut", "UPDATE Cache SET value = substr(value, 1, 40)", ()
    yield "text", "UPDATE Cache SET value = 'text'", ()
    yield "null", "UPDATE Cache SET value = NULL", ()
    yield "number", "UPDATE Cache SET value = 5", ()
    yield "unknown mode", "UPDATE Cache SET mode = 77", ()
    yield "text mode", "UPDATE Cache SET mode = 3, filename = 'x'", ()
    yield "of another key", "UPDATE Cache SET value = ?", (PlainSealer().seal(key("other"), entry()),)


@pytest.mark.parametrize(("statement", "values"), [case[1:] for case in damaged_values()])
@pytest.mark.parametrize("many", [False, True])
def test_damaged_values_are_misses_and_are_removed(
    tmp_path: Path, tier: DiskTier, statement: str, values: tuple[Any, ...], many: bool
) -> None:
    tier.set_many({KEY: entry(b"x" * 100)}, NOW)
    change(tmp_path, statement, *values)
    assert list(tier.entries()) == []
    assert tier.get_many([KEY, key(1)] if many else [KEY]) == {}
    assert rows(tmp_path) == 0


def test_a_value_file_that_is_gone_or_damaged_is_a_miss(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry(LARGE)}, NOW)
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    file.write_bytes(whole[:-5] + b"other")
    assert payload(tier, KEY) is None
    tier.set_many({KEY: entry(LARGE)}, NOW)
    (file,) = files(tmp_path)
    file.unlink()
    assert payload(tier, KEY) is None
    assert tier.get_many([KEY, key(1)]) == {}


@pytest.mark.parametrize("path", ["../../letter", "{}/letter", "ab/cd/../../../letter"])
def test_a_planted_file_name_neither_reads_nor_removes_what_is_not_the_tiers(
    tmp_path: Path, tier: DiskTier, path: str
) -> None:
    letter = tmp_path / "letter"
    letter.write_bytes(PlainSealer().seal(KEY, entry()))
    tier.set_many({KEY: entry(LARGE)}, NOW)
    change(tmp_path, "UPDATE Cache SET filename = ?", path.format(tmp_path))
    assert payload(tier, KEY) is None
    assert rows(tmp_path) == 0
    assert letter.exists()


def test_a_locked_database_fails_at_once_instead_of_waiting_for_minutes(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry()}, NOW)
    hasty = tier_at(tmp_path, timeout=0.01)
    with contextlib.closing(sqlite3.connect(tmp_path / "entries" / "cache.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            hasty.get_many([KEY])
        other.rollback()
    assert payload(hasty, KEY) == b"\x01"
    with contextlib.closing(sqlite3.connect(tmp_path / "entries" / "cache.db")) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(diskcache.Timeout):
            hasty.set_many({key(1): entry(LARGE)}, NOW)
        # A reader does not wait for a writer.
        assert payload(hasty, KEY) == b"\x01"
        other.rollback()
    assert files(tmp_path) == []
    hasty.set_many({key(1): entry()}, NOW)
    hasty.close()


def test_a_database_that_is_no_database_is_named(tmp_path: Path, tier: DiskTier) -> None:
    (tmp_path / "entries").mkdir()
    (tmp_path / "entries" / "cache.db").write_bytes(b"this is not SQLite" * 100)
    for use in (lambda: tier.get_many([KEY]), lambda: tier.set_many({KEY: entry()}, NOW), tier.clear, tier.size):
        with pytest.raises(ApicacheError, match=r"cache\.db is damaged .*; delete .*entries"):
            use()


def test_a_database_damaged_while_it_is_open_is_named(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({key(n): entry() for n in range(300)}, NOW)
    tier.close()
    tier.get_many([KEY])
    database = tmp_path / "entries" / "cache.db"
    with database.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * (database.stat().st_size - 4096))
    with pytest.raises(ApicacheError, match=r"cache\.db is damaged"):
        tier.get_many([key(n) for n in range(300)])


def test_a_folder_removed_while_it_is_in_use_is_made_again(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry()}, NOW)
    shutil.rmtree(tmp_path / "entries")
    tier.set_many({key(1): entry()}, NOW)
    assert payload(tier, key(1)) == b"\x01"
    assert payload(tier, KEY) is None
    other = tier_at(tmp_path)
    assert payload(other, key(1)) == b"\x01"
    other.close()


def test_a_reader_of_a_removed_folder_looks_again_after_a_while(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry()}, NOW)
    shutil.rmtree(tmp_path / "entries")
    tier._look_again = 0.0
    assert payload(tier, KEY) is None


def test_a_removed_folder_is_made_again_for_threads_too(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry()}, NOW)
    shutil.rmtree(tmp_path / "entries")

    def use() -> None:
        # In threads of their own, whose connections are new.
        with contextlib.suppress(sqlite3.Error, OSError):
            tier.get_many([KEY])

    for _ in range(2):
        thread = threading.Thread(target=use)
        thread.start()
        thread.join()
    tier.set_many({key(1): entry()}, NOW)
    assert payload(tier, key(1)) == b"\x01"


def test_another_process_reads_the_entries(tmp_path: Path, tier: DiskTier) -> None:
    tier.set_many({KEY: entry(b"*")}, NOW)
    code = (
        "import sys, pathlib; from apicache.tier import TierPlace; from apicache.tiers.disk import build; "
        "t = build(TierPlace(directory=pathlib.Path(sys.argv[1]))); k = bytes(range(32)); "
        "print(t.get_many([k])[k].payload.decode()); t.close()"
    )
    printed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=True)
    assert printed.stdout.strip() == "*"


def test_a_forked_child_opens_its_own_database_and_leaves_the_parents(tier: DiskTier) -> None:
    tier.set_many({KEY: entry()}, NOW)
    parents = tier._opened
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            tier.set_many({key("child"): entry()}, NOW)
            code = 0 if tier._opened is not parents and payload(tier, KEY) == b"\x01" else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert tier._opened is parents
    assert len(tier.get_many([KEY, key("child")])) == 2


def write_and_tell(directory: Path, own: int, told: Callable[[Any], None]) -> None:
    tier = tier_at(directory, timeout=20.0)
    for n in range(40):
        batch = {key((own, n, m)): entry(bytes([own, n]) * (m * 20_000 + 1)) for m in range(3)}
        tier.set_many(batch, NOW)
        tier.set_many({key("all write it"): entry(bytes([own]))}, NOW)
        told(list(batch))
    tier.close()


def test_four_processes_writing_at_once_lose_nothing_that_was_stored(tmp_path: Path, tier: DiskTier) -> None:
    context = multiprocessing.get_context("fork")
    told = context.SimpleQueue()
    processes = [context.Process(target=write_and_tell, args=(tmp_path, own, told.put)) for own in range(4)]
    for process in processes:
        process.start()
    stored = [wanted for _ in range(160) for wanted in told.get()]
    for process in processes:
        process.join(30)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(tier.get_many(stored)) == len(stored) == 480
    assert payload(tier, key("all write it")) in {bytes([own]) for own in range(4)}
    assert tier.size().entries == 481
    assert len(files(tmp_path)) == sum(len(found.payload) > 32_000 for _, found in tier.entries())


WRITER = """
import hashlib, itertools, pathlib, sys
from apicache.entry import Entry
from apicache.envelope import PlainSealer
from apicache.tier import TierPlace
from apicache.tiers.disk import build

place = TierPlace(directory=pathlib.Path(sys.argv[1]), timeout=5.0, sealer=PlainSealer(compress=False))
tier = build(place)
for n in itertools.count():
    batch = {}
    for m in range(4):
        key = hashlib.sha256(f"{n % 20}-{m}".encode()).digest()
        payload = key * (1 + (n + m) % 3 * 1500)
        batch[key] = Entry("o", "value", payload, 1.7e9, 1.7e9 + 1000, 1.7e9 + 1000)
    tier.set_many(batch, 1.7e9)
    if n % 5 == 4:
        tier.delete_many(list(batch)[:2])
    if n == 0:
        print("writing", flush=True)
"""


def test_writers_killed_at_any_moment_leave_no_damaged_entry(tmp_path: Path) -> None:
    wanted = [key(f"{n}-{m}") for n in range(20) for m in range(4)]
    for killing in range(20):
        with subprocess.Popen([sys.executable, "-c", WRITER, str(tmp_path)], stdout=subprocess.PIPE) as writer:
            assert writer.stdout is not None
            assert writer.stdout.readline() == b"writing\n"
            time.sleep(killing * 0.002)
            writer.kill()
        tier = tier_at(tmp_path)
        before = rows(tmp_path)
        found = tier.get_many(wanted)
        assert len(found) == before > 0
        for asked, stored in found.items():
            assert stored.payload == asked * (len(stored.payload) // 32)
        assert dict(tier.entries()) == found
        tier.close()
    (problem,) = integrity(tmp_path)
    assert problem == ("ok",)


def integrity(directory: Path) -> list[tuple[str]]:
    with contextlib.closing(sqlite3.connect(directory / "entries" / "cache.db")) as database:
        return database.execute("PRAGMA integrity_check").fetchall()


class Shifting:
    """A sealer that hides names and values, as encryption does."""

    def name(self, wanted: bytes) -> str:
        return hashlib.sha256(b"secret" + wanted).hexdigest()

    def seal(self, wanted: bytes, stored: Entry) -> bytes:
        return PlainSealer().seal(wanted, stored)[::-1]

    def unseal(self, data: bytes) -> tuple[bytes, Entry] | None:
        return PlainSealer().unseal(data[::-1])


def test_names_and_values_are_the_sealers(tmp_path: Path) -> None:
    tier = build(TierPlace(directory=tmp_path, sealer=Shifting()))
    tier.set_many({KEY: entry(b"readable")}, NOW)
    tier.claim(KEY, "a", 30.0)
    assert payload(tier, KEY) == b"readable"
    assert list(tier.entries()) == [(KEY, entry(b"readable"))]
    tier.close()
    written = b"".join(path.read_bytes() for path in (tmp_path / "entries").glob("*.db*"))
    assert b"readable" not in written
    assert KEY.hex().encode() not in written
    plain = tier_at(tmp_path)
    assert payload(plain, KEY) is None
    assert list(plain.entries()) == []
    plain.close()


def test_the_defaults_are_a_gibibyte_and_a_million_entries() -> None:
    assert Options() == Options(max_bytes=2**30, max_entries=1_000_000)
