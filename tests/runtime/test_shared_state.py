"""Leases and markers in SQLite: what the suite over the tiers cannot reach."""

import contextlib
import multiprocessing
import os
import sqlite3
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from apicache.entry import NEVER
from apicache.errors import ApicacheError
from apicache.markers import Marker, MarkerTable
from apicache.shared_state import MARKERS_MAX, SharedState

NOW = 1_700_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "entries" / "shared.db"


@pytest.fixture
def state(path: Path) -> Iterator[SharedState]:
    state = SharedState(path, 2.0)
    yield state
    state.close()


def until(holds: Callable[[], object]) -> None:
    end = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.005)


def rows(path: Path, select: str) -> list[tuple[object, ...]]:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return database.execute(select).fetchall()


def test_the_file_and_its_folder_are_their_owners_alone(state: SharedState, path: Path) -> None:
    state.claim("n", "a", 30.0)
    assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
    for name in ("shared.db", "shared.db-wal", "shared.db-shm"):
        assert stat.S_IMODE((path.parent / name).stat().st_mode) == 0o600


LOOKING = (
    "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT 1 FROM marker').fetchall(); c.close()"
)


def test_a_second_user_in_this_process_leaves_the_first_ones_locks(state: SharedState, path: Path) -> None:
    state.claim("n", "a", 30.0)
    second = SharedState(path, 2.0)
    second.claim("m", "b", 30.0)
    log = path.with_name("shared.db-wal").stat().st_ino
    # Another process that closes the database removes its log if nobody else holds a lock.
    subprocess.run([sys.executable, "-c", LOOKING.replace("marker", _table(path)), str(path)], check=True)
    assert path.with_name("shared.db-wal").stat().st_ino == log
    second.close()


def _table(path: Path) -> str:
    return str(rows(path, "SELECT name FROM sqlite_master WHERE type = 'table'")[0][0])


def test_nothing_is_made_before_the_first_use(tmp_path: Path) -> None:
    SharedState(tmp_path / "entries" / "shared.db", 0.1).close()
    assert list(tmp_path.iterdir()) == []


def test_never_is_stored_as_null(state: SharedState, path: Path) -> None:
    state.publish([Marker("tag", "t", NEVER, NOW), Marker("all", "", NOW)])
    stored = rows(path, "SELECT scope, value, gone_at, stale_at FROM markers ORDER BY scope")
    assert stored == [("all", "", NOW, None), ("tag", "t", None, NOW)]
    assert set(state.markers()) == {Marker("tag", "t", NEVER, NOW), Marker("all", "", NOW)}


def test_leases_that_ended_leave_with_the_next_claim(state: SharedState, path: Path) -> None:
    for n in range(5):
        assert state.claim(f"old{n}", "crashed", -1.0)
    assert state.claim("new", "a", 30.0)
    assert rows(path, "SELECT name FROM leases") == [("new",)]


def test_past_the_bound_the_older_half_becomes_one_marker_as_in_memory(state: SharedState) -> None:
    markers = [Marker("tag", str(n), NOW + n if n % 2 else NEVER, NOW + n) for n in range(MARKERS_MAX + 1)]
    table = MarkerTable()
    table.add(markers)
    state.publish(markers[:5000])
    state.publish(markers[5000:])
    assert set(state.markers()) == set(table.all())
    assert len(table) <= MARKERS_MAX


def test_any_number_of_markers_at_once_is_bounded(state: SharedState) -> None:
    state.publish([Marker("tag", str(n), NOW + n) for n in range(2 * MARKERS_MAX + 5)])
    kept = state.markers()
    assert len(kept) <= MARKERS_MAX
    (everything,) = [marker for marker in kept if marker.scope == "all"]
    oldest_kept = min(marker.gone_at for marker in kept if marker.scope == "tag")
    assert everything.gone_at == oldest_kept - 1


class Watcher:
    def __init__(self, path: Path) -> None:
        self.seen: list[Sequence[Marker]] = []
        self.raised: list[BaseException] = []
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(path,))
        self.thread.start()
        until(lambda: self.seen or self.raised)

    def _run(self, path: Path) -> None:
        try:
            SharedState(path, 2.0).watch(self.seen.append, self.stopped)
        except BaseException as error:  # noqa: BLE001 - carried to the test's own thread
            self.raised.append(error)

    def stop(self) -> None:
        self.stopped.set()
        self.thread.join(10)


def test_a_watcher_sees_a_fold_and_what_comes_after_it(state: SharedState, path: Path) -> None:
    watcher = Watcher(path)
    table = MarkerTable()
    state.publish([Marker("tag", str(n), NOW + n) for n in range(MARKERS_MAX + 1)])
    state.publish([Marker("tag", "last", NOW)])
    until(lambda: any(marker.value == "last" for markers in watcher.seen for marker in markers))
    watcher.stop()
    for markers in watcher.seen:
        table.add(markers)
    assert set(table.all()) >= set(state.markers())
    assert watcher.raised == []


def test_leases_and_what_is_known_already_are_no_news(state: SharedState, path: Path) -> None:
    state.publish([Marker("tag", "t", NOW)])
    watcher = Watcher(path)
    state.claim("n", "a", 30.0)
    state.publish([Marker("tag", "t", NOW), Marker("tag", "t", NOW - 5)])
    state.publish([Marker("tag", "u", NOW)])
    until(lambda: len(watcher.seen) > 1)
    watcher.stop()
    assert watcher.seen == [[Marker("tag", "t", NOW)], [Marker("tag", "u", NOW)]]


@pytest.mark.parametrize("how", ["removed", "replaced"])
def test_a_watcher_of_a_file_that_is_lost_raises(state: SharedState, path: Path, how: str) -> None:
    state.publish([Marker("tag", "t", NOW)])
    watcher = Watcher(path)
    for companion in path.parent.glob("shared.db*"):
        companion.rename(companion.with_name("old" + companion.name))
    if how == "replaced":
        state.publish([Marker("tag", "u", NOW)])
    watcher.thread.join(10)
    (error,) = watcher.raised
    assert isinstance(error, ApicacheError)
    assert str(path) in str(error)


def test_a_file_removed_while_it_is_in_use_is_made_again(state: SharedState, path: Path) -> None:
    state.publish([Marker("tag", "t", NOW)])
    for companion in path.parent.glob("shared.db*"):
        companion.unlink()
    assert state.markers() == []
    state.publish([Marker("tag", "u", NOW)])
    assert rows(path, "SELECT value FROM markers") == [("u",)]


def test_a_damaged_file_is_named_and_left_alone(state: SharedState, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"this is not SQLite" * 100)
    for use in (lambda: state.claim("n", "a", 1.0), state.markers, lambda: state.publish([Marker("tag", "t", NOW)])):
        with pytest.raises(ApicacheError, match=r"shared\.db is damaged .*; delete "):
            use()
    with pytest.raises(ApicacheError, match=r"shared\.db is damaged"):
        state.watch(lambda _: None, threading.Event())
    assert path.read_bytes() == b"this is not SQLite" * 100


def test_a_file_of_another_format_is_named(state: SharedState, path: Path) -> None:
    path.parent.mkdir()
    with contextlib.closing(sqlite3.connect(path)) as database:
        database.execute("PRAGMA user_version = 9")
    with pytest.raises(ApicacheError, match=r"shared\.db has format 9, this apicache knows 1; delete "):
        state.markers()


def test_a_locked_file_fails_and_works_again_when_it_is_free(path: Path) -> None:
    state = SharedState(path, 0.01)
    state.claim("n", "a", 30.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            state.claim("m", "a", 30.0)
        # What only reads does not wait.
        assert not state.claim("n", "b", 30.0)
        assert state.markers() == []
        other.rollback()
    assert state.claim("m", "a", 30.0)
    state.close()


def test_threads_share_one_instance(state: SharedState) -> None:
    won: list[int] = []

    def work(own: int) -> None:
        state.publish([Marker("tag", str(own), NOW)])
        if state.claim("n", str(own), 30.0):
            won.append(own)

    threads = [threading.Thread(target=work, args=(own,)) for own in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert len(state.markers()) == 8


def open_at_once(path: Path, barrier: "threading.Barrier", won: "multiprocessing.Queue[int]") -> None:
    state = SharedState(path, 5.0)
    barrier.wait(20)
    state.publish([Marker("tag", str(os.getpid()), NOW)])
    won.put(state.claim("n", str(os.getpid()), 30.0))
    state.close()


def test_four_processes_that_make_the_file_at_once_share_it(state: SharedState, path: Path) -> None:
    context = multiprocessing.get_context("fork")
    barrier, won = context.Barrier(4), context.Queue()
    processes = [context.Process(target=open_at_once, args=(path, barrier, won)) for _ in range(4)]
    for process in processes:
        process.start()
    assert sorted(won.get(timeout=20) for _ in processes) == [False, False, False, True]
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0] * 4
    assert len(state.markers()) == 4


def test_a_forked_child_opens_its_own_connection_and_leaves_the_parents(state: SharedState) -> None:
    state.publish([Marker("tag", "parent", NOW)])
    parents = state._connection
    child = os.fork()
    if child == 0:
        code = 1
        with contextlib.suppress(BaseException):
            state.publish([Marker("tag", "child", NOW)])
            code = 0 if state._connection is not parents else 2
        os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    state.publish([Marker("tag", "parent again", NOW)])
    assert {marker.value for marker in state.markers()} == {"parent", "child", "parent again"}
