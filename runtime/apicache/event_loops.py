"""Async clients that several event loops use: one per loop, since a connection belongs to the loop that opened it."""

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import TypeVar

C = TypeVar("C")


def per_event_loop(make: Callable[[], C]) -> Callable[[], C]:
    """A function that gives the running event loop's own client, made by `make` on that loop's first use.

    Operations that took over calls of several modules use it: each module's client may have lived in an event loop of
    its own, as under `asyncio.run` or in tests with a loop each. A client goes when its loop goes. Calling the function
    outside an event loop raises RuntimeError.
    """
    clients: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, C] = weakref.WeakKeyDictionary()
    changing = threading.Lock()

    def client() -> C:
        loop = asyncio.get_running_loop()
        with changing:
            if loop not in clients:
                clients[loop] = make()
            return clients[loop]

    return client
