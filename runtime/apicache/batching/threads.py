"""Batches of threads: the first caller sends what the others have joined within a time, and they wait for it."""

import contextlib
import inspect
import threading
from collections.abc import Coroutine, Hashable, Iterator, Sequence
from typing import Any

from apicache.batching.batch import CHECK_SECONDS, THREAD, Batch, Rest, Rules
from apicache.batching.places import Node, Places, linked
from apicache.batching.results import Result, failed, matched


class _Shared(Batch):
    """A batch of threads: the first one sends it, the others wait."""

    def __init__(self, rest: Rest) -> None:
        super().__init__(rest)
        self.full, self.done = threading.Event(), threading.Event()
        self.results: Sequence[Result] | None = None


class Threads:
    """All threads' open batches of one operation."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._lock = threading.Lock()
        self._open: dict[Hashable, _Shared] = {}
        self._places = Places()
        self._free = threading.Semaphore(rules.concurrency)

    def load(self, key: Hashable, rest: Rest, item: Any, *, is_alone: bool) -> Result:
        """The item's result, to be given out."""
        while True:
            with self._lock:
                batch = self._open.get(key)
                while batch is not None and not batch.takes(item):  # an equal item's result would be its own
                    key = (key,)
                    batch = self._open.get(key)
                leads = batch is None
                if batch is None:
                    batch = self._open[key] = _Shared(rest)
                    batch.takes(item)
                place = batch.add(item)
                if is_alone or len(batch.items) >= self._rules.batch_size:
                    del self._open[key]
                    batch.full.set()
            if leads:
                self._lead(key, batch)
            else:
                batch.done.wait()
            if batch.results is not None:  # else its leader was interrupted
                return batch.results[place]

    def _lead(self, key: Hashable, batch: _Shared) -> None:
        try:
            batch.full.wait(self._rules.max_wait)
            self._close(key, batch)
            batch.enter()
            with self._place(batch.node), linked(THREAD.node, batch.node):
                answer = batch.context.run(self._rules.call, list(batch.items), batch.rest)
            batch.results = matched(self._rules.form, batch.items, _plain(answer))
        except Exception as error:  # noqa: BLE001 - every caller raises it
            batch.results = failed(error, len(batch.items))
        finally:
            self._close(key, batch)
            batch.end()
            batch.done.set()

    def _close(self, key: Hashable, batch: _Shared) -> None:
        with self._lock:
            if self._open.get(key) is batch:
                del self._open[key]

    @contextlib.contextmanager
    def _place(self, node: Node) -> Iterator[None]:
        if not self._free.acquire(blocking=False):
            if self._places.closes_circle(node):
                yield
                return
            with self._places.waited_for(node):
                while not self._free.acquire(timeout=CHECK_SECONDS):
                    if self._places.closes_circle(node):  # another thread's waiting has closed it meanwhile
                        yield
                        return
        try:
            with self._places.taken(node):
                yield
        finally:
            self._free.release()


def _plain(answer: Any) -> Any:
    if isinstance(answer, Coroutine):
        answer.close()
    if inspect.isawaitable(answer):
        raise TypeError("the batched function is async; write `await cached_api_call(...)`")
    return answer
