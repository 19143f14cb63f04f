"""What is done around a fork and at the end, for objects that come and go."""

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from apicache import UnifiedAPICache, forks
from apicache.tier import Tier, TierPlace
from apicache.tiers import disk, memory


class Told:
    """Notes what it is called for."""

    def __init__(self, name: str, notes: list[str]) -> None:
        self.name, self.notes = name, notes

    def before(self) -> None:
        self.notes.append(f"before {self.name}")

    def in_parent(self) -> None:
        self.notes.append(f"parent {self.name}")

    def in_child(self) -> None:
        self.notes.append(f"child {self.name}")

    def fails(self) -> None:
        raise RuntimeError(self.name)


def in_child(tell: Callable[[], str]) -> str:
    """What a forked child tells; a child that hangs is ended by its alarm and tells nothing."""
    reader, told = os.pipe()
    child = os.fork()
    if child == 0:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(10)
        try:
            os.write(told, tell().encode())
        finally:
            os._exit(0)
    os.close(told)
    text = b"".join(iter(lambda: os.read(reader, 100), b"")).decode()
    os.close(reader)
    os.waitpid(child, 0)
    return text


def registered() -> set[tuple[int, int]]:
    """Every hook there is, by its moment and its number."""
    gc.collect()
    moments = (forks._before, forks._in_parent, forks._in_child, forks._at_exit)
    return {(moment, number) for moment, hooks in enumerate(moments) for number in hooks._hooks.copy()}


def test_a_thousand_caches_that_came_and_went_leave_nothing_behind(tmp_path: Path) -> None:
    before = registered()
    for number in range(1000):
        tiers: list[Tier] = [memory.MemoryTier()]
        if number % 50 == 0:
            tiers.append(disk.build(TierPlace(directory=tmp_path, timeout=2.0)))
        cache = UnifiedAPICache.create(tiers=tiers, usage_log=False)
        if len(tiers) == 1:  # threads that wait for work of the disk would hold their cache for a while
            cache.cached_api_call_sync(abs, -number)
        cache.close()
    assert not registered() <= before
    del cache, tiers
    assert registered() <= before  # of earlier tests, a thread may have ended meanwhile


def test_a_forked_child_runs_each_live_hook_once_in_the_order_of_creation() -> None:
    notes: list[str] = []
    told = [Told(name, notes) for name in ("first", "gone", "second")]
    for each in told:
        forks.on_fork(each.in_child)
    del each, told[1]
    assert in_child(lambda: ", ".join(notes)) == "child first, child second"
    assert notes == []


def test_what_runs_before_a_fork_runs_in_reverse_and_what_runs_after_it_does_not() -> None:
    notes: list[str] = []
    told = [Told(name, notes) for name in ("first", "second")]
    for each in told:
        forks.on_fork(each.in_child, before=each.before, in_parent=each.in_parent)
    assert in_child(lambda: notes[-1]) == "child second"
    assert notes == ["before second", "before first", "parent first", "parent second"]


def test_a_hook_that_fails_keeps_no_other_from_running() -> None:
    notes: list[str] = []
    first, second = Told("first", notes), Told("second", notes)
    hooks = forks._Hooks()
    for method in (first.fails, second.in_child, second.fails):
        hooks.add(method)
    with pytest.raises(ExceptionGroup) as raised:
        hooks.run()
    assert notes == ["child second"]
    assert [str(error) for error in raised.value.exceptions] == ["first", "second"]


def test_an_object_that_dies_while_hooks_run_is_passed_over() -> None:
    notes: list[str] = []
    told = [Told("last", notes)]

    class Deletes:
        def hook(self) -> None:
            told.clear()

    deletes = Deletes()
    hooks = forks._Hooks()
    hooks.add(deletes.hook)
    hooks.add(told[0].in_child)
    hooks.run()
    assert (notes, len(hooks._hooks)) == ([], 1)


def test_a_fork_while_other_threads_register_leaves_a_child_that_can_register_too() -> None:
    ended = threading.Event()
    notes: list[str] = []

    def register() -> None:
        while not ended.is_set():
            kept = [Told("kept", []) for _ in range(20)]
            for each in kept:
                forks.on_fork(each.in_child)

    def tell() -> str:
        again = Told("again", notes)
        forks.on_fork(again.in_child)
        forks._in_child.run()
        return f"{notes.count('child mine')} {notes.count('child again')}"

    mine = Told("mine", notes)
    forks.on_fork(mine.in_child)
    threads = [threading.Thread(target=register) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        assert [in_child(tell) for _ in range(10)] == ["2 1"] * 10
    finally:
        ended.set()
        for thread in threads:
            thread.join()


def test_the_end_runs_what_lives_the_latest_first_and_before_what_was_there_already() -> None:
    program = (
        "import atexit\nfrom apicache import forks\n"
        "class Told:\n    def end(self, *said):\n        print(*said)\n"
        "atexit.register(print, 'last')\n"
        "first, gone, second = Told(), Told(), Told()\n"
        "forks.on_exit(first.end, 'first')\nforks.on_exit(gone.end, 'gone')\n"
        "forks.on_exit(second.end, 'second', 2)\ndel gone\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert (done.stdout.splitlines(), done.stderr) == (["second 2", "first", "last"], "")
