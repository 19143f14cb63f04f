"""A deadline for what sync code sends by httpcore: each connect, read and write is given what is left of it.

httpcore's own timeouts bound one socket operation each, of which a response that drips needs any number.
"""

import contextlib
import math
import ssl
import threading
import time
from collections.abc import Iterable, Iterator
from typing import Any

import httpcore


class _Here(threading.local):
    """The deadline of what this thread is doing: a connection is one thread's at a time."""

    end = math.inf


_here = _Here()


@contextlib.contextmanager
def within(seconds: float) -> Iterator[None]:
    """What this thread sends and reads inside has so many seconds, together; past them httpcore raises a timeout."""
    before, _here.end = _here.end, time.monotonic() + seconds
    try:
        yield
    finally:
        _here.end = before


def _left(timeout: float | None, error: type[httpcore.TimeoutException]) -> float | None:
    left = _here.end - time.monotonic()
    if left <= 0:
        raise error
    if timeout is not None:
        return min(timeout, left)
    return left if math.isfinite(left) else None


class DeadlineBackend(httpcore.SyncBackend):
    """Opens connections that keep to this thread's deadline; looking up a host's name has no bound."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,
    ) -> httpcore.NetworkStream:
        """As the base's."""
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(super().connect_tcp(host, port, left, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, _left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, _left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = _left(timeout, httpcore.ConnectTimeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, left))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)
