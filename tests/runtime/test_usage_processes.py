"""One usage log for threads, processes and forked children."""

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from apicache.clock import ManualClock
from apicache.usage.log import UsageLog
from apicache.usage.report import report
from apicache.usage.usage import Event

NOW = 1_700_000_000.0
DAY = 86400.0


def hit(number: int) -> Event:
    return Event(at=NOW, kind="hit", operation="quote", key=number.to_bytes(32, "big"), ttl=100.0)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cache" / "usage.db"


def test_processes_and_threads_write_one_file(path: Path) -> None:
    logs = [UsageLog(path, clock=ManualClock(NOW)) for _ in range(3)]
    written: list[bool] = []

    def write(log: UsageLog) -> None:
        written.extend(log.write([hit(number) for number in range(10)]) for _ in range(10))

    threads = [threading.Thread(target=write, args=(log,)) for log in logs for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(written)
    assert report(logs[0], DAY, NOW).total.hits == 600
    for log in logs:
        log.close()


def test_processes_begin_one_file_at_once(path: Path) -> None:
    program = f"""
import pathlib, sys
from apicache.usage.usage import Event
from apicache.usage.log import UsageLog
log = UsageLog(pathlib.Path({str(path)!r}), busy_seconds=30.0)
print("ready", flush=True)
sys.stdin.readline()
assert log.write([Event(at={NOW!r} + 10**9, kind="hit", operation="quote", key=bytes(32), ttl=1.0)])
log.close()
"""
    command = [sys.executable, "-W", "error", "-c", program]
    processes = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[1] for process in processes] == [""] * 4
    log = UsageLog(path)
    assert report(log, DAY, NOW + 10**9).total.hits == 4
    log.close()


def test_a_new_log_waits_for_the_process_that_makes_it_too(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    waits: list[float] = []

    def other_ends(seconds: float) -> None:
        waits.append(seconds)
        other.close()

    monkeypatch.setattr("apicache.usage.log.time.sleep", other_ends)
    log = UsageLog(path, clock=ManualClock(NOW))
    assert log.write([hit(1)])
    assert len(waits) == 1
    log.close()


def test_a_new_log_that_stays_locked_loses_events_and_raises_nothing(path: Path) -> None:
    path.parent.mkdir()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    log = UsageLog(path, clock=ManualClock(NOW), busy_seconds=0.02)
    assert not log.write([hit(1)])
    other.close()
    assert log.write([hit(1)])
    assert (log.lost, report(log, DAY, NOW).total.hits) == (1, 1)
    log.close()


def test_a_forked_child_and_its_parent_both_go_on_writing(path: Path) -> None:
    program = f"""
import os, pathlib
from apicache.usage.usage import Event
from apicache.usage.log import UsageLog
log = UsageLog(pathlib.Path({str(path)!r}))
event = Event(at={NOW!r} + 10**9, kind="hit", operation="quote", key=bytes(32), ttl=1.0)
assert log.write([event])
child = os.fork()
assert log.write([event]) and log.write([event])
if child:
    assert os.waitpid(child, 0)[1] == 0
    log.close()
"""
    done = subprocess.run([sys.executable, "-W", "error", "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    log = UsageLog(path)
    assert report(log, DAY, NOW + 10**9).total.hits == 5
    log.close()


def test_the_events_load_no_database() -> None:
    program = "import sys, apicache.usage.usage; print('sqlite3' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"
