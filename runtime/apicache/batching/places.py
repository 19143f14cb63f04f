"""Places for the batches under way; and who waits for one, so that no waiting closes a circle.

A batched function may call cached operations itself, its own among them. Where all places are taken by batches that
wait, through such calls, for the one that asks for a place, that one goes on without.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any, Final

from apicache.flights import Flight

Node = Flight[Any]
_linking: Final = threading.Lock()


def new_node() -> Node:
    """Something that waits, or is waited for, in the graph of flights that wait for each other."""
    return Flight(b"", None)


def link(waiter: Node, node: Node) -> None:
    """The one waits for the other from here on."""
    with _linking:
        if waiter.waits_for is None:
            waiter.waits_for = set()
        waiter.waits_for.add(node)


def unlink(waiter: Node, node: Node) -> None:
    """It no longer does."""
    if waiter.waits_for is not None:
        waiter.waits_for.discard(node)


@contextlib.contextmanager
def linked(waiter: Node, node: Node) -> Iterator[None]:
    """The one waits for the other in here."""
    link(waiter, node)
    try:
        yield
    finally:
        unlink(waiter, node)


class Places:
    """The places of one collector."""

    def __init__(self) -> None:
        self._all = new_node()
        """What waits for a place waits for it, and it for the batches that have one."""

    def closes_circle(self, node: Node) -> bool:
        """Whether a batch that has a place waits for this one."""
        seen: set[Node] = set()
        pending = [self._all]
        while pending:
            each = pending.pop()
            if each is node:
                return True
            if each not in seen:
                seen.add(each)
                pending.extend(tuple(each.waits_for or ()))
        return False

    def waited_for(self, node: Node) -> contextlib.AbstractContextManager[None]:
        """While this batch waits for a place: who would wait for it from inside one that has a place is told not to."""
        return linked(node, self._all)

    def taken(self, node: Node) -> contextlib.AbstractContextManager[None]:
        """While this batch has a place."""
        return linked(self._all, node)
