"""What caching a duplicate group would save at most, with the assumptions that give the figure."""

from collections.abc import Sequence
from typing import Final

from apicache.chain.prices import Price, PriceTable
from apicache.provider import Tokens
from apicache_codemods.llm_endpoints import llm_operation, sdk_operation
from apicache_codemods.model import CallSite, Estimate

RUNS: Final = 1_000
ROUNDS: Final = 10
"""How often a loop is assumed to go round."""
_DEEPEST: Final = 3
_FIXED, _VARIED, _SENT = (0.9, "they send the same each time"), (0.5, "their URLs vary"), (0.3, "their payloads vary")
"""Which part of the calls is assumed to repeat an earlier one, and why."""
_TOKENS: Final = {"completion": Tokens(input=1_000, output=300), "embedding": Tokens(input=500)}
_STANDARD: Final = {"completion": "gpt-5-mini", "embedding": "text-embedding-3-small"}
"""The model assumed where the code names none that the price table knows."""


def estimate(sites: Sequence[CallSite]) -> Estimate:
    """What caching the sites of one endpoint would save; nothing for those cached or not known to only read."""
    uncached = [site for site in sites if not site.cached]
    open_sites = [site for site in uncached if site.cacheable]
    if not open_sites:
        reason = "it is not known to only read" if uncached else "every call is cached already"
        return Estimate(calls=0.0, usd=None, basis=f"nothing is counted: {reason}")
    runs = [RUNS * ROUNDS ** min(site.loop, _DEEPEST) for site in open_sites]
    share, why = _share(open_sites)
    calls = round(sum(runs) * share, 1)
    words = [
        f"{_count(open_sites)} make {sum(runs):,} calls in {RUNS:,} runs{_loops(open_sites)}",
        f"{share:.0%} assumed to repeat as {why}",
    ]
    priced = [(run, *cost) for run, site in zip(runs, open_sites, strict=True) if (cost := _cost(site)) is not None]
    words += sorted({note for _, _, note in priced}) or ["no price is known"]
    usd = round(sum(run * share * cost for run, cost, _ in priced), 4) if priced else None
    return Estimate(calls=calls, usd=usd, basis="; ".join(words))


def _count(sites: Sequence[CallSite]) -> str:
    return f"{len(sites)} uncached call sites" if len(sites) > 1 else "1 uncached call site"


def _loops(sites: Sequence[CallSite]) -> str:
    looped = sum(site.loop > 0 for site in sites)
    return f", {looped} of them in a loop ({ROUNDS} rounds assumed)" if looped else ""


def _share(sites: Sequence[CallSite]) -> tuple[float, str]:
    if any(site.payload for site in sites) or any(site.kind == "llm" for site in sites):
        return _SENT
    return _VARIED if any(site.query or "{}" in (site.endpoint or "{}") for site in sites) else _FIXED


def _cost(site: CallSite) -> tuple[float, str] | None:
    """US dollars of one call of an LLM, and what was assumed; None for what has no price."""
    operation = _operation(site)
    if operation not in _TOKENS:
        return None
    tokens = _TOKENS[operation]
    known = _prices.price_of(site.model) if site.model else None
    model = site.model if known is not None else _STANDARD[operation]
    price = known or _prices.price_of(_STANDARD[operation])
    return None if price is None else (price.of(tokens), _note(str(model), price, tokens, is_known=known is not None))


def _note(model: str, price: Price, tokens: Tokens, *, is_known: bool) -> str:
    named = f"priced as {model}" if is_known else f"model or price not known, priced as {model}"
    out = f" and {tokens.output:,} out" if tokens.output else ""
    dollars = f" and ${price.output:g}" if tokens.output else ""
    return f"{named} at ${price.input:g}{dollars} a million tokens, {tokens.input:,} tokens in{out} a call assumed"


def _operation(site: CallSite) -> str | None:
    if site.kind != "llm" or site.endpoint is None:
        return None
    return sdk_operation(site.endpoint) or llm_operation(site.endpoint)


_prices = PriceTable()
