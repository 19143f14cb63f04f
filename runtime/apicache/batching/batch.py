"""A batch of items: what its callers agree in, who they are, and what they get."""

import contextvars
import functools
import inspect
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from apicache.batching import own_loops
from apicache.batching.places import Node, link, new_node, unlink
from apicache.batching.results import BatchForm, Result, are_alike
from apicache.flights import current, stand_in

Rest = Mapping[str, Any]
CHECK_SECONDS: Final = 1.0
"""How often what waits for a place looks whether waiting can still end."""


class Rules:
    """A batched operation's function, and the bounds of its batches."""

    def __init__(
        self, function: Callable[..., Any], form: BatchForm, *, batch_size: int, max_wait: float, concurrency: int
    ) -> None:
        """`max_wait` in seconds; `concurrency` holds for each event loop, and for all threads together."""
        self.function = function
        self.is_async = inspect.iscoroutinefunction(inspect.unwrap(function))
        self.form = form
        self.batch_size = batch_size
        self.max_wait = max_wait
        self.concurrency = concurrency

    def call(self, items: Sequence[Any], rest: Rest) -> Any:
        """What the function returns for these items."""
        call = functools.partial(self.function, **{self.form.items: items}, **rest)
        return call() if self.is_async else own_loops.unnoticed(call)


class Batch:
    """Items that are sent together, and the context that they are sent in: the first caller's."""

    def __init__(self, rest: Rest) -> None:
        self.rest = rest
        self.context = contextvars.copy_context()
        self.items: list[Any] = []
        self.inside: list[tuple[Node, ...]] = []
        """The flights that each caller stands in, the innermost last: that one waits for this batch."""
        self.node = new_node()
        self._waiters: set[Node] = set()
        self._equals: dict[Any, Any] = {}
        """The first of all items that are equal."""

    def takes(self, item: Any) -> bool:
        """Whether a mapping from items has a place for it: one has the same for 1, 1.0 and True."""
        try:
            first = self._equals.setdefault(item, item)
        except Exception:  # noqa: BLE001 - it cannot be a mapping's key at all, whatever its class raises
            return True
        return first is item or are_alike(first, item)

    def add(self, item: Any) -> int:
        """The item's place."""
        inside = current()
        self.items.append(item)
        self.inside.append(inside)
        if inside:
            self._waiters.add(inside[-1])
            link(inside[-1], self.node)
        return len(self.items) - 1

    def enter(self) -> None:
        """Have the context stand in every caller's flights, and in the batch: what is called there is noted so."""
        flights = dict.fromkeys(flight for each in self.inside for flight in each)  # it works for all its callers'
        self.context.run(stand_in, (*flights, self.node))

    def end(self) -> None:
        """Nobody waits for it any more."""
        for each in self._waiters:
            unlink(each, self.node)


class _Thread(threading.local):
    """A thread, as what all batches of its event loops wait for while something blocks it."""

    def __init__(self) -> None:
        self.node = new_node()


THREAD: Final = _Thread()


def given_out(result: Result) -> Any:
    """An item's value; raises the error that stands in its place."""
    if result.error is not None:
        # One error may be many callers': each raise would lengthen the traceback of all.
        raise result.error.with_traceback(result.traceback)
    return result.value
