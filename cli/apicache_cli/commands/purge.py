"""`apicache purge`: forget entries by tag, operation, prefix, key, scope, or all of them."""

import contextlib
import json
from collections.abc import Iterator, Sequence
from typing import Annotated, Any, Literal

import msgspec
import typer

from apicache.entry import NEVER
from apicache.errors import InputError, UnencodableError, did_you_mean
from apicache.markers import TICK, Marker, MarkerTable, Scope
from apicache.usage.log import UsageLog
from apicache.usage.report import keys_of_scopes
from apicache.usage.usage import Selection, digest_of_scope
from apicache_cli import output
from apicache_cli.opening import Opened, counted, key_from, now, opened, size

TIER_FAILED = 1
BATCH = 200
"""Entries that are deleted at once: each operation of a tier has to end in time."""


class Wanted(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be forgotten: the union of what is named."""

    tags: Sequence[str] = ()
    operations: Sequence[str] = ()
    prefixes: Sequence[str] = ()
    keys: frozenset[bytes] = frozenset()
    scopes: Sequence[bytes] = ()
    """Their digests."""
    everything: bool = False

    def markers(self, at: float, *, soft: bool) -> list[Marker]:
        """The invalidations that say so to running processes."""
        places: list[tuple[Scope, str]] = [
            *(("tag", tag) for tag in self.tags),
            *(("operation", operation) for operation in self.operations),
            *(("prefix", prefix) for prefix in self.prefixes),
            *(("key", key.hex()) for key in sorted(self.keys)),
        ]
        if self.everything:
            places.append(("all", ""))
        gone_at, stale_at = (NEVER, at) if soft else (at, NEVER)
        return [Marker(scope, value, gone_at, stale_at) for scope, value in places]


class TierPart(msgspec.Struct, kw_only=True):
    """What a tier has, and what was done to it."""

    tier: str
    keys: set[bytes] = msgspec.field(default_factory=set)
    bytes: int = 0
    """Of the entries' payloads."""
    deleted: int = 0
    error: str | None = None


def command(
    *,
    tag: Annotated[list[str] | None, typer.Option(help="Entries with this tag; may be repeated.")] = None,
    operation: Annotated[list[str] | None, typer.Option(help="Entries of this operation.")] = None,
    prefix: Annotated[list[str] | None, typer.Option(help="Entries of operations whose names begin so.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="The entry of this key, 64 hexadecimal digits.")] = None,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", "--subject", help="Entries that the usage log knows as this scope's (a tenant, a user)."
        ),
    ] = None,
    all: Annotated[bool, typer.Option("--all", help="Every entry, and all of the usage log.")] = False,  # noqa: A002 - the option's name
    write: Annotated[bool, typer.Option("--write", help="Do it; without, nothing is changed.")] = False,
    soft: Annotated[
        bool, typer.Option("--soft", help="Only expire: entries stay for when loading fails, within their grace.")
    ] = False,
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Forget entries in every tier that processes share; running processes follow.

    Without --write it only counts. Exits 1 when a tier or the usage log failed, 2 for bad input.
    """
    wanted = Wanted(
        tags=tuple(tag or ()),
        operations=tuple(operation or ()),
        prefixes=tuple(prefix or ()),
        keys=frozenset(map(key_from, key or ())),
        scopes=tuple(digest for text in scope or () for digest in _digests(text)),
        everything=all,
    )
    if wanted == Wanted():
        raise InputError("nothing is named; give --tag, --operation, --prefix, --key, --scope or --all")
    with opened() as cache:
        if wanted.scopes:
            wanted = msgspec.structs.replace(wanted, keys=wanted.keys | keys_of_scopes(cache.log, wanted.scopes))
        parts = _search(cache, wanted)
        if write:
            _invalidate(cache, parts, wanted, soft=soft)
        rows, log_error = _usage_rows(cache.log, wanted, parts, erase=write and not soft)
    if format == "json":
        output.print_json(_document(parts, rows, log_error, write=write, soft=soft))
    else:
        _print(parts, rows, log_error, write=write, soft=soft)
    failed = log_error is not None or any(part.error is not None for part in parts)
    if failed:
        raise typer.Exit(TIER_FAILED)


def _digests(text: str) -> Iterator[bytes]:
    """The digests that a scope written as text may have: as the text, and as what it is in JSON (`42`)."""
    scopes: list[object] = [text]
    with contextlib.suppress(ValueError, RecursionError):
        scopes.append(json.loads(text))
    for scope in scopes:
        with contextlib.suppress(UnencodableError):
            found = digest_of_scope(scope)
            if found is not None:
                yield found


def _search(cache: Opened, wanted: Wanted) -> list[TierPart]:
    """What each tier has of it."""
    parts: list[TierPart] = []
    seen: set[str] = set()
    # A matching marker is one that has a moment; the keys are looked up apart, a table of markers is bounded.
    table = MarkerTable()
    table.add(msgspec.structs.replace(wanted, keys=frozenset()).markers(0.0, soft=False))
    for tier in cache.shared:
        part = TierPart(tier=tier.name)
        parts.append(part)
        try:
            for key, entry in tier.entries():
                seen.add(entry.operation)
                is_wanted = key in wanted.keys or table.concerning(entry.operation, entry.tags, key)[0] > NEVER
                if is_wanted and key not in part.keys:
                    part.keys.add(key)
                    part.bytes += len(entry.payload)
        except Exception as error:  # noqa: BLE001 - the edge of a tier: it may raise anything, the others go on
            part.error = cache.failure(tier, error)
    for operation in wanted.operations:
        if seen and operation not in seen:
            hint = f"note: no entry is of operation {operation!r}; {did_you_mean(operation, seen)}"
            output.stderr().print(hint, soft_wrap=True, markup=False)
    return parts


def _invalidate(cache: Opened, parts: Sequence[TierPart], wanted: Wanted, *, soft: bool) -> None:
    """Publish first, delete then: what is stored between the two is subject to the markers."""
    markers = wanted.markers(_moment(cache, parts), soft=soft)
    for tier, part in zip(cache.shared, parts, strict=True):
        try:
            tier.publish(markers)
            if soft:
                continue
            if wanted.everything:
                tier.clear()
            else:
                keys = sorted(part.keys)
                for start in range(0, len(keys), BATCH):
                    tier.delete_many(keys[start : start + BATCH])
            part.deleted = len(part.keys)
        except Exception as error:  # noqa: BLE001 - the edge of a tier: it may raise anything, the others go on
            part.error = cache.failure(tier, error)


def _moment(cache: Opened, parts: Sequence[TierPart]) -> float:
    """Now, and past every marker: loads after one of a machine whose clock is ahead are dated past that one."""
    at = now()
    for tier, part in zip(cache.shared, parts, strict=True):
        try:
            at = max([at, *(marker.at + TICK for marker in tier.markers())])
        except Exception as error:  # noqa: BLE001 - the edge of a tier: it may raise anything, the others go on
            part.error = cache.failure(tier, error)
    return at


def _usage_rows(log: UsageLog, wanted: Wanted, parts: Sequence[TierPart], *, erase: bool) -> tuple[int, str | None]:
    """How many rows of the usage log are concerned, and what went wrong."""
    selection = Selection(
        keys=sorted(wanted.keys.union(*(part.keys for part in parts))),
        scopes=wanted.scopes,
        operations=wanted.operations,
        prefixes=wanted.prefixes,
        everything=wanted.everything,
    )
    try:
        return (log.erase(selection) if erase else log.count(selection)), None
    except InputError as error:
        return 0, str(error)


def _document(
    parts: Sequence[TierPart], rows: int, log_error: str | None, *, write: bool, soft: bool
) -> dict[str, Any]:
    tiers = [
        {
            "tier": part.tier,
            "entries": len(part.keys),
            "bytes": part.bytes,
            "deleted": part.deleted,
            "error": part.error,
        }
        for part in parts
    ]
    usage = {"rows": rows, "erased": write and not soft and log_error is None, "error": log_error}
    return {"schema": 1, "written": write, "soft": soft, "tiers": tiers, "usage_log": usage}


def _print(parts: Sequence[TierPart], rows: int, log_error: str | None, *, write: bool, soft: bool) -> None:
    verb = ("expired" if soft else "deleted") if write else "concerned"
    for part in parts:
        entries = f"{counted(len(part.keys), 'entry', 'entries')} {verb}, {size(part.bytes)}"
        _say(f"{part.tier}: {entries if part.error is None else f'failed: {part.error}'}")
    if log_error is not None:
        _say(f"usage log: {log_error}")
    elif not soft:
        _say(f"usage log: {counted(rows, 'row')} {'erased' if write else 'concerned'}")
    if write:
        _say("running processes follow")
    else:
        what = "expires these entries" if soft else "deletes these entries and their rows in the usage log"
        _say(f"nothing was changed; --write {what}, and running processes follow")


def _say(text: str) -> None:
    output.stdout().print(text, soft_wrap=True, markup=False)
