"""`apicache explain`: whether a call would be answered by the cache, and if not, why."""

import contextlib
import json
import math
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import typer

from apicache.core import end_of, is_within, max_age_of
from apicache.entry import Entry, Verdict, decide
from apicache.errors import InputError
from apicache.markers import Marker, MarkerTable
from apicache.policy import Policy
from apicache.tier import SharedTier
from apicache.usage.folding import KeyRow
from apicache.usage.report import KeyUsage, Near, nearest, of_key
from apicache.usage.usage import digest_of_scope, digests_of
from apicache_cli import output
from apicache_cli.asked_call import AskedCall, asked_call
from apicache_cli.opening import Opened, counted, key_from, moment, now, opened, span

WOULD_MISS = 1
STATES = {
    Verdict.FRESH: "fresh",
    Verdict.STALE: "stale",
    Verdict.EXPIRED: "invalidated",
    Verdict.GONE: "expired",
}
HAS_ENTRY = frozenset({"fresh", "stale", "kept"})
"""States in which the call's own key has an entry: which other key is near to it tells nothing then."""


class InTier(msgspec.Struct, kw_only=True):
    """What a tier has under the key."""

    tier: str
    state: str
    """fresh, stale, kept, invalidated, expired, missing, failed, or unused.

    `stale` is served while it is refreshed (of a key alone: as its policy allows, which is not known); `kept` is past
    that, and there for when loading fails or to be revalidated; `unused` is a tier that the policy leaves out.
    """
    operation: str | None = None
    created: float | None = None
    """Seconds since the epoch."""
    fresh_seconds: float | None = None
    """Seconds that it stays fresh for, to the call's own ttl; negative since it is not."""
    kept_seconds: float | None = None
    """Seconds until it is forgotten."""
    invalidated_by: list[str] = []
    error: str | None = None


class Explanation(msgspec.Struct, kw_only=True):
    """Why a call is answered, or not."""

    key: str
    operation: str | None
    state: str
    """That of the nearest tier that has it, else `never stored`, `expired` or `gone`."""
    answered: bool
    """Whether the call would be answered without a load; false where that cannot be told."""
    tiers: list[InTier]
    passed_by: str | None = None
    """Why the call goes past the cache whatever is stored."""
    loaded_at: float | None = None
    """When it was last loaded, as the usage log knows."""
    ttl: float | None = None
    hits: int = 0
    loads: int = 0
    nearest: list[Near] = []


def command(
    operation: Annotated[str | None, typer.Argument(help="The operation's name.", metavar="[OPERATION]")] = None,
    parameters: Annotated[
        list[str] | None, typer.Argument(help="Its parameters; values are JSON, else text.", metavar="[NAME=VALUE]...")
    ] = None,
    app: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE:ATTRIBUTE", help="The application's cache; else `app` of [tool.apicache] in pyproject.toml."
        ),
    ] = None,
    key: Annotated[str | None, typer.Option(help="Explain this key, 64 hexadecimal digits, instead of a call.")] = None,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Tell whether a call would be answered from the tiers that processes share, and why not.

    Exits 0 when it would be, 1 when it would miss, or when that cannot be told of a key alone, 2 for bad input.
    """
    if (operation is None) == (key is None):
        raise InputError("give an operation and its parameters (completion prompt=hello), or --key, not both")
    call = None
    if operation is not None:
        # The application may print while it is imported: stdout carries our data alone.
        with contextlib.redirect_stdout(sys.stderr):
            call = asked_call(app, Path.cwd(), operation, parameters or [])
    with opened() as cache:
        wanted = call.key if call else key_from(key or "")
        explanation = _explain(cache, wanted, call)
    if format == "json":
        output.print_json({"schema": 1, **msgspec.to_builtins(explanation)})
    else:
        _print(explanation)
    if not explanation.answered:
        raise typer.Exit(WOULD_MISS)


def _explain(cache: Opened, key: bytes, call: AskedCall | None) -> Explanation:
    at = now()
    in_tiers = _in_tiers(cache, key, at, call.policy if call else None)
    usage = of_key(cache.log, key)
    named = [call.operation if call else None, usage.operation if usage else None]
    operation = next(filter(None, [*named, *(found.operation for found in in_tiers)]), None)
    state = _state(in_tiers, usage, at)
    explanation = Explanation(
        key=key.hex(),
        operation=operation,
        state=state,
        answered=state == "fresh" or (state == "stale" and call is not None),
        tiers=in_tiers,
    )
    if call is not None and call.passed_by is not None:
        explanation.answered, explanation.passed_by = False, call.passed_by
    if usage is not None:
        explanation.loaded_at, explanation.ttl = usage.loaded_at, usage.ttl
        explanation.hits, explanation.loads = usage.hits, usage.loads
    digests = digests_of(call.material) if call else usage.digests if usage else {}
    if state not in HAS_ENTRY and operation is not None and digests:
        scope = digest_of_scope(call.policy.scope) if call else usage.scope if usage else None
        explanation.nearest = nearest(cache.log, KeyRow(operation, scope=scope, digests=digests), key)
    return explanation


def _in_tiers(cache: Opened, key: bytes, at: float, policy: Policy | None) -> list[InTier]:
    """What each tier has, under the invalidations of all: a process follows those of every tier."""
    table = MarkerTable()
    read: list[Entry | InTier] = []
    for tier in cache.shared:
        try:
            table.add(tier.markers())
            read.append(_read(tier, key, policy))
        except Exception as error:  # noqa: BLE001 - the edge of a tier: it may raise anything, the others still tell
            read.append(InTier(tier=tier.name, state="failed", error=cache.failure(tier, error)))
    return [
        _judged(tier, key, found, table, at=at, policy=policy) if isinstance(found, Entry) else found
        for tier, found in zip(cache.shared, read, strict=True)
    ]


def _read(tier: SharedTier, key: bytes, policy: Policy | None) -> Entry | InTier:
    if policy is not None and policy.tiers is not None and tier.name not in policy.tiers:
        return InTier(tier=tier.name, state="unused")
    return tier.get_many([key]).get(key) or InTier(tier=tier.name, state="missing")


def _judged(
    tier: SharedTier, key: bytes, entry: Entry, table: MarkerTable, *, at: float, policy: Policy | None
) -> InTier:
    gone_at, stale_at = table.concerning(entry.operation, entry.tags, key)
    max_age = math.inf if policy is None else max_age_of(policy, entry)
    ends = entry.fresh_until if policy is None else end_of(policy, entry)
    state = STATES[decide(entry, at, gone_at=gone_at, stale_at=stale_at, max_age=max_age)]
    if entry.created <= gone_at:
        state = "invalidated"
    elif state == "stale" and policy is not None and not is_within(policy, entry, policy.stale_while_revalidate, at):
        state = "kept"
    return InTier(
        tier=tier.name,
        state=state,
        operation=entry.operation,
        created=entry.created,
        fresh_seconds=ends - at,
        kept_seconds=entry.expires - at,
        invalidated_by=[_named(marker) for marker in table.all() if _concerns(marker, entry, key)],
    )


def _concerns(marker: Marker, entry: Entry, key: bytes) -> bool:
    alone = MarkerTable()
    alone.add([marker])
    return entry.created <= max(alone.concerning(entry.operation, entry.tags, key))


def _named(marker: Marker) -> str:
    what = "everything" if marker.scope == "all" else f"{marker.scope} {marker.value!r}"
    how = "invalidated" if marker.gone_at >= marker.stale_at else "expired"
    return f"{what}, {how} at {moment(marker.at)}"


def _state(in_tiers: Sequence[InTier], usage: KeyUsage | None, at: float) -> str:
    """The best that any tier has; without an entry, what the usage log knows."""
    for state in ("fresh", "stale", "kept", "invalidated", "expired"):
        if any(found.state == state for found in in_tiers):
            return state
    if usage is None:
        return "never stored"
    return "expired" if at >= usage.loaded_at + usage.ttl else "gone"


def _print(explanation: Explanation) -> None:
    _say(f"key {explanation.key}" + (f", operation {explanation.operation}" if explanation.operation else ""))
    for found in explanation.tiers:
        _say(f"{found.tier}: {_told(found, explanation)}")
    at = now()
    if explanation.passed_by is not None:
        _say(f"goes past the cache: {explanation.passed_by}")
    if explanation.state == "never stored":
        _say("never stored, as far as the usage log knows")
    elif explanation.loaded_at is not None:
        ago, ttl = span(max(0.0, at - explanation.loaded_at)), explanation.ttl or 0.0
        counts = f"{counted(explanation.hits, 'hit')}, {counted(explanation.loads, 'load')}"
        _say(f"last loaded {ago} ago with a ttl of {span(ttl)}; {counts}")
        if explanation.state == "gone":
            _say("it should still be there: evicted, purged, or deleted")
    _print_nearest(explanation.nearest)


def _told(found: InTier, explanation: Explanation) -> str:
    if found.fresh_seconds is None or found.kept_seconds is None:
        without = {"failed": f"failed: {found.error}", "unused": "not used, by the operation's policy"}
        return without.get(found.state, "no entry")
    if found.state == "invalidated":
        return f"invalidated: {'; '.join(found.invalidated_by)}"
    if found.state == "fresh":
        return f"fresh for {span(found.fresh_seconds)}"
    if found.state in {"stale", "kept"}:
        since, kept = span(max(0.0, -found.fresh_seconds)), span(found.kept_seconds)
        return f"stale since {since}, kept for {kept}: {_use_of_stale(found, explanation)}"
    return f"expired {span(max(0.0, -found.kept_seconds))} ago"


def _use_of_stale(found: InTier, explanation: Explanation) -> str:
    if found.state == "kept":
        return "only for when loading fails or to be revalidated, so the call misses"
    if explanation.answered or explanation.passed_by is not None:
        return "served while it is refreshed"
    return "served as its policy allows; to know, name the operation and its parameters"


def _print_nearest(near: Sequence[Near]) -> None:
    if near:
        _say("nearest stored keys:")
    for other in near:
        if not other.differing:
            _say(f"  {other.key}: the same parameters; its {_either(other.otherwise)} differs")
            continue
        parameters: Mapping[str, Any] = other.parameters or {}
        shown = [
            f"{name} (there: {json.dumps(parameters[name], ensure_ascii=False)})" if name in parameters else name
            for name in other.differing
        ]
        _say(f"  {other.key}: differs in {', '.join(shown)}")


def _either(names: Sequence[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} or {last}" if others else last


def _say(text: str) -> None:
    output.stdout().print(text, soft_wrap=True, markup=False)
