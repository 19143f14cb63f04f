"""What the items of a batch share: the time that it took; and what they do not: the exception that each raises."""

import asyncio
import traceback
from typing import Any, Self

import pytest

from apicache import UnifiedAPICache
from apicache.batching.own_errors import own_error
from apicache.clock import ManualClock
from apicache.provider import ProviderError


def batched(cache: UnifiedAPICache, function: Any, **options: Any) -> Any:
    """Answers to items, asked for at once."""
    cache.batched("item", over="number", **options)(function)

    def ask(*numbers: int) -> list[Any]:
        calls = [{"operation": "item", "number": number} for number in numbers]
        return asyncio.run(cache.cached_api_calls(calls, return_exceptions=True))

    return ask


# The time.


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
@pytest.mark.parametrize(
    ("options", "saved"),
    [({"ttl": "1h"}, 2.0), ({"ttl": 3.0}, 8.0), ({"ttl": "1h", "early_refresh": 0.001}, 8.0)],
    ids=["shared", "an entry that lives hardly longer", "refreshed by its time"],
)
def test_the_items_of_a_batch_share_its_time(is_async: bool, options: Any, saved: float) -> None:
    clock = ManualClock()
    cache = UnifiedAPICache.create(clock=clock)

    def load(numbers: list[int]) -> list[str]:
        clock.advance(2)
        return [str(number) for number in numbers]

    async def load_async(numbers: list[int]) -> list[str]:
        return load(numbers)

    ask = batched(cache, load_async if is_async else load, **options)
    assert ask(1, 2, 3, 4) == ["1", "2", "3", "4"]
    assert ask(1, 2, 3, 4) == ["1", "2", "3", "4"]
    stats = cache.get_stats()
    assert (stats["cache_hits"], stats["latency_saved_seconds"]) == (4, pytest.approx(saved))


def test_an_entry_of_a_batch_is_fresh_for_its_whole_ttl() -> None:
    clock = ManualClock()
    cache = UnifiedAPICache.create(clock=clock)

    async def load(numbers: list[int]) -> list[str]:
        clock.advance(2)
        return [str(number) for number in numbers]

    ask = batched(cache, load, ttl=10.0)
    ask(1, 2)
    clock.advance(9.9)
    ask(1)
    assert cache.get_stats()["cache_hits"] == 1


# The exceptions.


class CodedError(Exception):
    """Its arguments are not those that it is built from."""

    def __init__(self, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


def test_each_item_of_a_batch_that_failed_raises_an_exception_of_its_own() -> None:
    async def load(numbers: list[int]) -> list[str]:
        raise CodedError(len(numbers)) from KeyError("cause")

    errors = batched(UnifiedAPICache.create(), load)(1, 2, 3)
    assert len({id(error) for error in errors}) == 3
    assert [(type(error), error.args, error.code) for error in errors] == [(CodedError, ("code 3",), 3)] * 3
    assert [repr(error.__cause__) for error in errors] == ["KeyError('cause')"] * 3
    lengths = {len(traceback.extract_tb(error.__traceback__)) for error in errors}
    assert len(lengths) == 1
    for error in errors:
        assert "load" in [frame.name for frame in traceback.extract_tb(error.__traceback__)]


def test_an_exception_in_several_places_is_each_items_own() -> None:
    async def load(numbers: list[int]) -> list[Any]:
        return [CodedError(7)] * len(numbers)

    one, other = batched(UnifiedAPICache.create(), load)(1, 2)
    assert one is not other
    assert (one.args, one.code) == (other.args, other.code) == (("code 7",), 7)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a", 2),
        OSError(2, "No such file", "name"),
        UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid"),
        ImportError("m", name="n", path="p"),
        StopIteration(4),
        ProviderError("told", "auth", status=401, retry_after=2.0),
        ExceptionGroup("several", [ValueError(1), TypeError(2)]),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_copy_is_of_the_same_content(error: Exception) -> None:
    error.add_note("noted")
    copied = own_error(error)
    assert copied is not error
    assert (type(copied), copied.args, str(copied), vars(copied)) == (type(error), error.args, str(error), vars(error))
    for name in ("errno", "filename", "start", "name", "path", "value"):
        assert getattr(copied, name, None) == getattr(error, name, None)


def test_what_cannot_be_copied_is_shared() -> None:
    class OddError(Exception):
        def __new__(cls, *_args: object) -> Self:
            if cls.made:
                raise RuntimeError
            cls.made = True
            return super().__new__(cls)

        made = False

    error = OddError()
    assert own_error(error) is error
