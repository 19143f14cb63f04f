"""In which order providers are asked: decided purely, from what is known of each."""

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal

import msgspec

from apicache.provider import Tokens

Routing = Literal["chain", "cheapest", "fastest"]


class APIProvider(enum.StrEnum):
    """The providers that are always known, by the source document's names; others go by their own."""

    ANTHROPIC = "anthropic"
    OPENAI = "openai"
    MOCK = "mock"


PROVIDER_CHAIN: Final = [APIProvider.ANTHROPIC, APIProvider.OPENAI, APIProvider.MOCK]
"""The order when nothing else is configured; the mock provider only where it is switched on."""

PROBE_SHARE: Final = 0.02
"""The part of the calls that go to another than the fastest provider first, to hear how fast that one is by now."""
_ABOUT_EQUAL: Final = 1.25
"""Providers whose latency is within this factor of the best keep their order: with each change of order, what was
stored of the one that was first is no longer looked up first."""
_CHARACTERS_A_TOKEN: Final = 4
_ESTIMATED_OUTPUT: Final = 500


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a provider, for one call."""

    name: str
    is_ready: bool = True
    """Whether its key is set, or it is switched on."""
    is_local: bool = False
    """Whether it answers by itself, as the mock provider does."""
    cost: float | None = None
    """US dollars that the call would cost there; None when that is not known."""
    latency: float | None = None
    """Seconds that it takes to answer; None when it has not answered yet."""


def order(candidates: Sequence[Candidate], routing: Routing = "chain", draw: float = 1.0) -> list[str]:
    """The names in the order in which they are asked; `draw` is from 0 to 1, drawn anew for each call.

    Providers that are not ready are left out, unless none is: then who asks is told what each needs. What answers by
    itself comes last, whatever it costs.
    """
    ready = [each for each in candidates if each.is_ready] or list(candidates)
    remote = [each for each in ready if not each.is_local]
    if routing == "cheapest":
        remote.sort(key=_by_cost)
    elif routing == "fastest":
        remote = _fastest(remote, draw)
    return [each.name for each in (*remote, *(each for each in ready if each.is_local))]


def _by_cost(candidate: Candidate) -> tuple[bool, float]:
    return candidate.cost is None, candidate.cost or 0.0


def _fastest(candidates: list[Candidate], draw: float) -> list[Candidate]:
    known = [each.latency for each in candidates if each.latency is not None]
    enough = min(known, default=0.0) * _ABOUT_EQUAL

    def rank(candidate: Candidate) -> tuple[bool, float]:
        latency = candidate.latency
        return latency is None, 0.0 if latency is None or latency <= enough else latency

    ranked = sorted(candidates, key=rank)
    if draw < PROBE_SHARE and len(ranked) > 1:
        others = len(ranked) - 1
        probed = ranked.pop(1 + min(int(draw / PROBE_SHARE * others), others - 1))
        ranked.insert(0, probed)
    return ranked


def estimated(parameters: Mapping[str, Any]) -> Tokens:
    """The tokens that a call may use, for a comparison of prices: four characters of text are one token."""
    limit = parameters.get("max_tokens")
    output = limit if isinstance(limit, int) else _ESTIMATED_OUTPUT
    return Tokens(input=sum(_lengths(parameters.values())) // _CHARACTERS_A_TOKEN, output=output)


def _lengths(values: Iterable[Any]) -> Iterable[int]:
    for value in values:
        if isinstance(value, str):
            yield len(value)
        elif isinstance(value, Mapping):
            yield from _lengths(value.values())
        elif isinstance(value, list | tuple):
            yield from _lengths(value)
