import math
import random

import msgspec
import pytest

from apicache.entry import NEVER, Entry, Verdict, decide, is_due_early
from apicache.identity import key_of

ENTRY = Entry(
    operation="completion",
    codec="value",
    payload=b"\x01",
    created=100.0,
    fresh_until=110.0,
    expires=150.0,
    compute_seconds=2.0,
)

JUST_BEFORE_110 = math.nextafter(110.0, 0.0)
JUST_BEFORE_150 = math.nextafter(150.0, 0.0)


@pytest.mark.parametrize(
    ("now", "gone_at", "stale_at", "max_age", "verdict"),
    [
        # by its own times
        (0.0, NEVER, NEVER, math.inf, Verdict.FRESH),
        (100.0, NEVER, NEVER, math.inf, Verdict.FRESH),
        (JUST_BEFORE_110, NEVER, NEVER, math.inf, Verdict.FRESH),
        (110.0, NEVER, NEVER, math.inf, Verdict.STALE),
        (JUST_BEFORE_150, NEVER, NEVER, math.inf, Verdict.STALE),
        (150.0, NEVER, NEVER, math.inf, Verdict.GONE),
        (1e12, NEVER, NEVER, math.inf, Verdict.GONE),
        # by a hard invalidation: one at the moment its load began applies, one before it does not
        (105.0, 99.999, NEVER, math.inf, Verdict.FRESH),
        (105.0, 100.0, NEVER, math.inf, Verdict.GONE),
        (105.0, 104.0, NEVER, math.inf, Verdict.GONE),
        (120.0, 104.0, NEVER, math.inf, Verdict.GONE),
        # by a soft one
        (105.0, NEVER, 99.999, math.inf, Verdict.FRESH),
        (105.0, NEVER, 100.0, math.inf, Verdict.EXPIRED),
        (105.0, NEVER, 104.0, math.inf, Verdict.EXPIRED),
        (120.0, NEVER, 104.0, math.inf, Verdict.EXPIRED),
        (120.0, NEVER, 99.0, math.inf, Verdict.STALE),
        (150.0, NEVER, 104.0, math.inf, Verdict.GONE),
        # by both: gone is gone
        (105.0, 100.0, 104.0, math.inf, Verdict.GONE),
        (105.0, 99.0, 104.0, math.inf, Verdict.EXPIRED),
        # by the caller's own ttl, which shortens and never lengthens
        (104.9, NEVER, NEVER, 5.0, Verdict.FRESH),
        (105.0, NEVER, NEVER, 5.0, Verdict.STALE),
        (100.0, NEVER, NEVER, 0.0, Verdict.STALE),
        (110.0, NEVER, NEVER, 1000.0, Verdict.STALE),
        (105.0, NEVER, 104.0, 1.0, Verdict.EXPIRED),
        (150.0, NEVER, NEVER, 1000.0, Verdict.GONE),
    ],
)
def test_what_an_entry_is_worth(now: float, gone_at: float, stale_at: float, max_age: float, verdict: Verdict) -> None:
    assert decide(ENTRY, now, gone_at=gone_at, stale_at=stale_at, max_age=max_age) is verdict


def test_an_entry_that_never_ends_is_fresh_for_ever() -> None:
    eternal = msgspec.structs.replace(ENTRY, fresh_until=math.inf, expires=math.inf)
    assert decide(eternal, 1e15) is Verdict.FRESH
    assert not is_due_early(eternal, 1e15, beta=1.0, draw=0.999999)


@pytest.mark.parametrize(
    ("left", "compute_seconds", "beta", "draw", "due"),
    [
        (5.0, 2.0, 1.0, 0.0, False),  # the lowest draw never refreshes what still has time
        (5.0, 2.0, 1.0, 0.5, False),  # 2 * ln 2 = 1.39
        (1.38, 2.0, 1.0, 0.5, True),
        (1.39, 2.0, 1.0, 0.5, False),
        (2.77, 2.0, 2.0, 0.5, True),  # twice the beta, twice as early
        (2.78, 2.0, 2.0, 0.5, False),
        (5.0, 2.0, 0.0, 0.999, False),  # switched off
        (5.0, 0.0, 1.0, 0.999, False),  # what costs no time is not refreshed early
        (0.0, 2.0, 1.0, 0.0, True),  # at the end it is due whatever the draw
        (-1.0, 0.0, 0.0, 0.0, True),
    ],
)
def test_when_a_refresh_is_due_early(
    left: float, compute_seconds: float, beta: float, draw: float, *, due: bool
) -> None:
    entry = msgspec.structs.replace(ENTRY, fresh_until=left, compute_seconds=compute_seconds)
    assert is_due_early(entry, 0.0, beta, draw) is due


@pytest.mark.parametrize("left", [0.2, 1.0, 2.0, 4.0, 8.0])
@pytest.mark.parametrize("beta", [0.5, 1.0, 2.0])
def test_early_refreshes_come_as_often_as_xfetch_says(left: float, beta: float) -> None:
    # P(-compute * beta * ln(u) >= left) = exp(-left / (compute * beta)) for u uniform in (0, 1].
    draws, generator = 20_000, random.Random(7)  # noqa: S311 - the same on each run
    now = ENTRY.fresh_until - left
    share = sum(is_due_early(ENTRY, now, beta, generator.random()) for _ in range(draws)) / draws
    expected = math.exp(-left / (ENTRY.compute_seconds * beta))
    assert share == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / draws))


def test_the_key_is_what_it_was_in_the_first_release() -> None:
    key = key_of(
        operation="completion",
        version="1",
        namespace="",
        scope=None,
        credentials=None,
        parameters={"t": 0.0, "prompt": "hi", "n": 1, "tags": ("a",)},
    )
    assert key.hex() == "26c074db41bbd853c4ac24abcf0a3945947f5d7bab3e57ae974281193f368cda"
