"""What a run's upstream calls cost, what the cache saved, and what that comes to in a month."""

from collections.abc import Iterator, Sequence
from typing import Final, Literal

import msgspec

from apicache.errors import InputError
from apicache_scenarios.load.figures import Total, operations_of
from apicache_scenarios.load.result import BenchResult, Block

MONTH_SECONDS: Final = 365.25 / 12 * 86_400
"""A mean month: 30.44 days."""


class Pricing(msgspec.Struct, frozen=True, kw_only=True):
    """What is given: US dollars of each call, in place of what the run knows; requests a second to project."""

    per_call: float | None = None
    rate: float | None = None

    def __post_init__(self) -> None:
        if self.per_call is not None and not 0 <= self.per_call < float("inf"):
            raise InputError(f"price per call {self.per_call} is not usable; expected 0 or more US dollars")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise InputError(f"rate {self.rate} is not usable; expected more than 0 requests a second")


class OperationCost(msgspec.Struct, frozen=True, kw_only=True):
    """One operation in the arm that uses the cache, all passes together. Money in US dollars, None without a price."""

    operation: str
    price: float | None
    """Of one upstream call."""
    requests: int
    """With an answer."""
    calls: int
    spent: float | None
    saved: float | None
    """The price of the calls that the answered requests did not make."""


class Projection(msgspec.Struct, frozen=True, kw_only=True):
    """A month at a rate, in US dollars."""

    rate: float
    """Requests a second."""
    requests: float
    without_cache: float
    with_cache: float
    saved: float


class CostModel(msgspec.Struct, frozen=True, kw_only=True):
    """Of the first arm with a cache. `saved` is None where no call has a price, `per_month` where no rate is known."""

    arm: str | None
    prices_from: Literal["given", "cache"] | None
    operations: tuple[OperationCost, ...] = ()
    spent: float | None = None
    saved: float | None = None
    per_month: Projection | None = None
    assumptions: tuple[str, ...] = ()


def cost_model(result: BenchResult, pricing: Pricing) -> CostModel:
    """The model, with its assumptions in words."""
    name, arm = next(((name, arm) for name, arm in result.arms.items() if arm.uses_cache), (None, None))
    if arm is None:
        return CostModel(arm=None, prices_from=None, assumptions=("No arm uses a cache: there is nothing to save.",))
    blocks = [block for block in result.blocks if block.arm == name]
    operations = tuple(_operation(each, blocks, result, pricing) for each in operations_of(blocks))
    priced = [each for each in operations if each.price is not None]
    first = _first_pass(blocks)
    projection = _projection(_rate(first, pricing), first, priced)
    source: Literal["given", "cache"] = "given" if pricing.per_call is not None else "cache"
    return CostModel(
        arm=name,
        prices_from=source if priced else None,
        operations=operations,
        spent=sum(each.spent or 0.0 for each in priced) if priced else None,
        saved=sum(each.saved or 0.0 for each in priced) if priced else None,
        per_month=projection,
        assumptions=tuple(_assumptions(operations, projection, pricing, result)),
    )


def _operation(name: str, blocks: Sequence[Block], result: BenchResult, pricing: Pricing) -> OperationCost:
    price = result.cost_per_call.get(name) if pricing.per_call is None else pricing.per_call
    total = Total(blocks, name)
    avoided = total.answered - total.calls
    return OperationCost(
        operation=name,
        price=price,
        requests=total.answered,
        calls=total.calls,
        spent=None if price is None else total.calls * price,
        saved=None if price is None else avoided * price,
    )


def _first_pass(blocks: Sequence[Block]) -> list[Block]:
    """A pass that began with an empty cache, where there is one: replayed requests would flatter."""
    cold = [block for block in blocks if block.pass_ == "cold"]  # noqa: S105 - no secret
    return cold or list(blocks)


def _rate(blocks: Sequence[Block], pricing: Pricing) -> float | None:
    """The rate that is given, else that of an open loop: a closed loop sends as fast as it is answered."""
    seconds = sum(block.seconds for block in blocks)
    if pricing.rate is not None or not seconds or any(block.lag is None for block in blocks):
        return pricing.rate
    return sum(block.planned or 0 for block in blocks) / seconds


def _projection(rate: float | None, blocks: Sequence[Block], priced: Sequence[OperationCost]) -> Projection | None:
    if rate is None or not priced:
        return None
    requests = rate * MONTH_SECONDS
    answered = sum(Total(blocks, name).answered for name in operations_of(blocks))
    if not answered:
        return None
    without = with_cache = 0.0
    for each in priced:
        total = Total(blocks, each.operation)
        price = each.price or 0.0
        without += requests * total.answered / answered * price
        with_cache += requests * total.calls / answered * price
    return Projection(
        rate=rate, requests=requests, without_cache=without, with_cache=with_cache, saved=without - with_cache
    )


def _assumptions(
    operations: Sequence[OperationCost], projection: Projection | None, pricing: Pricing, result: BenchResult
) -> Iterator[str]:
    without = [each.operation for each in operations if each.price is None]
    if len(without) == len(operations):
        yield "No call has a price: give --price-per-call, or the operation a cost."
        return
    if without:
        yield f"Left out, having no price: {', '.join(without)}."
    yield (
        f"Each call costs ${pricing.per_call:g}, as given."
        if pricing.per_call is not None
        else "A call costs what the operation's calls cost on average, by its policy or the price table."
    )
    yield "Without the cache each answered request would have been one call; retries are not counted."
    if projection is None:
        yield "No month is projected: a closed loop has no rate of its own. Give --at-rate, in requests a second."
        return
    origin = "as given" if pricing.rate is not None else "the run's own"
    yield f"A month has 30.44 days at {projection.rate:.6g} requests a second day and night, {origin}."
    cold = any("cold" in arm.passes for arm in result.arms.values() if arm.uses_cache)
    first = "the pass that began with an empty cache" if cold else "the whole run"
    yield f"Traffic repeats keys as the run did, with the calls per request of {first}."
    yield "Entries live as long as they did in the run; what the cache itself costs is not counted."
