"""What tokens cost: the table in `prices.toml`, dated and with its sources, under the prices that the user gives."""

import functools
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

import msgspec

from apicache.answers import Embedding
from apicache.errors import InputError
from apicache.provider import Tokens

_Dollars = Annotated[float, msgspec.Meta(ge=0)]
_PER: Final = 1_000_000
_BOUNDARY: Final = re.compile(r"$|[@:]|-(?!\d{1,2}(?:$|-(?!\d)))")
"""What may follow a name that stands for others: nothing, a date, a word; not a further version number, whose price is
another one (`claude-opus-5-7` is no `claude-opus-5`)."""


class Price(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """US dollars per million tokens."""

    input: _Dollars
    output: _Dollars = 0.0
    cached_input: _Dollars | None = None
    """Of tokens that the upstream had cached; None: as `input`."""
    cache_write: _Dollars | None = None
    """Of tokens that the upstream keeps; None: as `input`."""

    def of(self, tokens: Tokens) -> float:
        """US dollars for these tokens: each is counted once, at its own price."""
        cached = min(tokens.cached, tokens.input)
        writes = min(tokens.cache_writes, tokens.input - cached)
        cached_price = self.input if self.cached_input is None else self.cached_input
        write_price = self.input if self.cache_write is None else self.cache_write
        plain = tokens.input - cached - writes
        spent = plain * self.input + cached * cached_price + writes * write_price + tokens.output * self.output
        return spent / _PER


class PriceTable:
    """Prices by model; a name stands for the models whose names begin with it, the longest wins."""

    def __init__(self, own: Mapping[str, Price] | None = None) -> None:
        self._prices = {**shipped(), **(own or {})}
        self._found: dict[str, Price | None] = {}

    def price_of(self, model: str) -> Price | None:
        """The price of a model; None for one that is not known."""
        if model not in self._found:
            if len(self._found) > len(self._prices) * 10:  # names come from upstreams, memory is bounded
                self._found.clear()
            name = _longest(model, self._prices)
            self._found[model] = None if name is None else self._prices[name]
        return self._found[model]

    def cost_of(self, model: str, tokens: Tokens) -> float | None:
        """US dollars for what a call of a model used; None when its price is not known."""
        price = self.price_of(model)
        return None if price is None else price.of(tokens)


def provider_of(model: str) -> str | None:
    """The provider that sells a model; None for one that is not known."""
    name = _longest(model, shipped())
    return None if name is None else next(seller for seller, prices in _document().items() if name in prices)


def shipped() -> Mapping[str, Price]:
    """The shipped prices by model."""
    return {name: price for prices in _document().values() for name, price in prices.items()}


def price_from(model: str, given: Any) -> Price:
    """A price that the user gives; raises InputError for what is none."""
    try:
        named = {name.replace("-", "_"): value for name, value in given.items()}
        return msgspec.convert(named, Price)
    except (msgspec.ValidationError, AttributeError):
        raise InputError(
            f"the price of {model!r} does not fit; give US dollars per million tokens, such as "
            "{input = 2.0, cached_input = 0.2, cache_write = 2.5, output = 10.0}"
        ) from None


def _longest(model: str, names: Mapping[str, Price]) -> str | None:
    fitting = [name for name in names if model.startswith(name) and _BOUNDARY.match(model, len(name))]
    return max(fitting, key=len, default=None)


@functools.cache
def _document() -> Mapping[str, Mapping[str, Price]]:
    """By seller and model."""
    document = tomllib.loads(Path(__file__).with_name("prices.toml").read_text(encoding="utf-8"))
    sellers = {name: prices for name, prices in document.items() if isinstance(prices, dict)}
    return {name: msgspec.convert(prices, dict[str, Price]) for name, prices in sellers.items()}


def priced(item: Any, cost: float | None, tokens: int) -> Any:
    """An item of a batch of so many tokens, for `cost` together, with its own share of that."""
    if not isinstance(item, Embedding) or item.cost is not None or cost is None:
        return item
    return msgspec.structs.replace(item, cost=cost * item.input_tokens / tokens if tokens else 0.0)
