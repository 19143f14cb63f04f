"""How fast a provider is asked: its rate, refusals, retries; on virtual time."""

import asyncio
import importlib.util
import math
from pathlib import Path
from typing import Any

import httpx
import pytest

from apicache.provider import ProviderError
from apicache_scenarios.warming.failures import failure_of, failure_of_answer
from apicache_scenarios.warming.rates import AdaptiveRate

_spec = importlib.util.spec_from_file_location("virtual_time", Path(__file__).with_name("virtual_time.py"))
virtual_time: Any = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(virtual_time)


async def turns(rate, count, on_turn=lambda number: None):
    """When each of so many turns came."""
    times = []
    for number in range(count):
        await rate.turn()
        times.append(asyncio.get_running_loop().time())
        on_turn(number)
    return times


def test_turns_come_at_the_declared_rate():
    times = virtual_time.run(turns(AdaptiveRate(2.0), 5))
    assert times == pytest.approx([0, 0.5, 1.0, 1.5, 2.0], abs=0.01)


def test_many_workers_share_one_rate():
    async def work():
        rate = AdaptiveRate(10.0)
        times = await asyncio.gather(*(turns(rate, 5) for _ in range(4)))
        return sorted(time for each in times for time in each)

    times = virtual_time.run(work())
    assert times[-1] == pytest.approx(1.9, abs=0.05)


def test_without_a_declared_rate_nothing_waits_until_the_first_refusal():
    assert virtual_time.run(turns(AdaptiveRate(None), 1000))[-1] == 0


def test_a_refusal_halves_the_rate_and_waits_as_long_as_it_is_told():
    async def work():
        rate = AdaptiveRate(4.0)
        await rate.turn()
        rate.refused(30.0)
        assert rate.rate == 2.0
        return await turns(rate, 1)

    assert virtual_time.run(work()) == [pytest.approx(30.0, abs=0.01)]


def test_a_burst_of_refusals_counts_as_one():
    async def work():
        rate = AdaptiveRate(8.0)
        for _ in range(20):
            rate.refused(None)
        return rate.rate, rate.refusals

    assert virtual_time.run(work()) == (4.0, 20)


def test_the_rate_comes_back_by_a_tenth_a_second_and_no_higher():
    async def work():
        rate = AdaptiveRate(10.0)
        rate.refused(None)
        rates = []
        for _ in range(12):
            await asyncio.sleep(1)
            await rate.turn()
            rates.append(rate.rate)
        return rates

    rates = virtual_time.run(work())
    assert rates == sorted(rates)
    assert rates[0] == pytest.approx(6.0, abs=0.3)
    assert rates[-1] == 10.0


def test_a_rate_that_was_never_declared_is_the_one_that_was_refused():
    async def work():
        rate = AdaptiveRate(None)
        for _ in range(50):
            await rate.turn()
            await asyncio.sleep(0.1)
        rate.refused(None)
        return rate.rate

    measured = virtual_time.run(work())
    assert math.isfinite(measured)
    assert measured == pytest.approx(5.0, abs=0.5)


def response(status, **headers):
    return httpx.Response(status, headers=headers, request=httpx.Request("GET", "http://127.0.0.1/"))


ERRORS = {
    "too many": (httpx.HTTPStatusError("x", request=None, response=response(429)), ("HTTP 429", True, True, None)),
    "too many, for a while": (
        httpx.HTTPStatusError("x", request=None, response=response(429, **{"retry-after": "7"})),
        ("HTTP 429", True, True, 7.0),
    ),
    "overloaded": (ProviderError("x", "overloaded", status=529, retry_after=3.0), ("HTTP 529", True, True, 3.0)),
    "down": (httpx.HTTPStatusError("x", request=None, response=response(503)), ("HTTP 503", False, True, None)),
    "not allowed": (httpx.HTTPStatusError("x", request=None, response=response(401)), ("HTTP 401", False, False, None)),
    "no connection": (httpx.ConnectError("x"), ("ConnectError", False, True, None)),
    "too slow": (TimeoutError(), ("TimeoutError", False, True, None)),
    "a fault of the application": (KeyError("x"), ("KeyError", False, False, None)),
}


@pytest.mark.parametrize(("error", "expected"), ERRORS.values(), ids=ERRORS.keys())
def test_an_error_says_whether_another_attempt_is_worth_it_and_when(error, expected):
    failure = failure_of(error)
    assert (failure.kind, failure.is_too_many, failure.may_pass, failure.retry_after) == expected


def test_a_response_that_was_not_stored_says_so_too():
    failure = failure_of_answer(response(429, **{"retry-after": "2"}), "status 429")
    assert (failure.kind, failure.is_too_many, failure.retry_after) == ("HTTP 429", True, 2.0)
    assert failure_of_answer({"a": 1}, "no-store").kind == "no-store"
