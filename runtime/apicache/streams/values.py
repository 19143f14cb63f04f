"""Streams of values: what generators give, chunk by chunk."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any, Final

from apicache.adapter import Snapshot, Streamed, Upstream
from apicache.tagged import decode, encode

_PLAIN: Final = Snapshot(data=None, refusal=None, lifetime=None)


def streamed_values(make: Callable[[], Any], *, is_async: bool) -> Streamed:
    """How the generator that `make` begins, async or not, is received and replayed: its consumers iterate."""

    def begin() -> Upstream:
        values = make()
        return Upstream(head=None, chunks=values, close=_close_of(values), snapshot=_PLAIN)

    return Streamed(open=begin, give=_chunks, pack=encode, unpack=decode, is_async=is_async)


def _close_of(values: Any) -> Callable[[], Any]:
    close: Callable[[], Any] = values.aclose if inspect.isasyncgen(values) else values.close
    return close


def _chunks(_head: None, chunks: Iterable[Any]) -> Iterable[Any]:
    return chunks
