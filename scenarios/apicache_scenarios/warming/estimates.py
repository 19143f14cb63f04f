"""What a call may cost before it is made: its ceiling, and what to expect of it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from apicache import UnifiedAPICache
from apicache.chain.parameters import DEFAULT_MAX_TOKENS
from apicache.chain.prices import PriceTable
from apicache.provider import Tokens
from apicache.usage.log import UsageLog
from apicache.usage.report import report
from apicache_scenarios.format.model import Case

_OUTPUT_BOUNDS: Final = ("max_tokens", "max_completion_tokens", "max_output_tokens")
_EVER: Final = 10 * 365 * 86_400.0


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """US dollars of one call: at most, and as such calls have cost so far; None where nothing tells."""

    ceiling: float | None = None
    expected: float | None = None


class Estimates:
    """Estimates for the calls of one cache; `usage` is the usage log, if there is one.

    A call's ceiling is its policy's `cost` where that is a number, else the price of its `model` for as many tokens as
    its texts have bytes (a token has one at least) and its bound on the answer allows (without one: what the built-in
    operations ask Anthropic for by default); else what its operation's calls have cost on average.
    """

    def __init__(self, cache: UnifiedAPICache, usage: Path | None = None) -> None:
        self._operations = cache.callable_operations
        self._prices = PriceTable()
        self._means = _mean_costs(usage)

    def of(self, case: Case) -> Estimate:
        """The estimate of a case's call."""
        declared = self._declared(case.operation)
        if declared:
            return Estimate(ceiling=declared, expected=declared)
        expected = self._means.get(case.operation)
        ceiling = self._by_tokens(case)
        return Estimate(ceiling=expected if ceiling is None else ceiling, expected=expected)

    def _declared(self, operation: str) -> float:
        known = self._operations.get(operation)
        cost = None if known is None else known.options.get("cost")
        return float(cost) if isinstance(cost, int | float) else 0.0

    def _by_tokens(self, case: Case) -> float | None:
        known = self._operations.get(case.operation)
        given = {**(known.defaults if known is not None else {}), **case.params}
        model = given.get("model")
        price = self._prices.price_of(model) if isinstance(model, str) else None
        if price is None:
            return None
        bound = next((given[name] for name in _OUTPUT_BOUNDS if isinstance(given.get(name), int)), DEFAULT_MAX_TOKENS)
        output = bound if price.output else 0
        return price.of(Tokens(input=_bytes_in(case.params), output=output))


def _bytes_in(value: Any) -> int:
    if isinstance(value, str):
        return len(value.encode())
    if isinstance(value, Mapping):
        return sum(_bytes_in(each) for pair in value.items() for each in pair)
    if isinstance(value, list | tuple):
        return sum(_bytes_in(each) for each in value)
    return 0


def _mean_costs(usage: Path | None) -> Mapping[str, float]:
    """The mean cost of an operation's loads, from the usage log; those that cost nothing are left out."""
    if usage is None or not usage.is_file():
        return {}
    log = UsageLog(usage)
    try:
        operations = report(log, _EVER, _EVER).operations
    finally:
        log.close()
    loads = {each.operation: (each.spent_cost, each.misses + each.refreshed) for each in operations}
    return {name: cost / count for name, (cost, count) in loads.items() if cost and count}
