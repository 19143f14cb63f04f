"""Between results and entries: what is stored of a result, and what a caller gets back."""

from typing import Any, Final

import msgspec

from apicache import adapters, tagged
from apicache.entry import PLAIN_CODEC, Entry
from apicache.errors import InputError, UnencodableError, UnstorableError
from apicache.planning import Plan

_NOTHING_KEPT: Final = "its ttl is 0"


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a flight ends with."""

    value: Any
    """The live result: the leader's own."""
    entry: Entry | None
    """Its stored form, from which every other caller gets a copy; None when it has none."""
    tier: str | None = None
    """The tier that answered; None when the result was loaded."""
    refusal: str | None = None
    """Why the result is not kept; None when it is."""


def outcome_of(plan: Plan, value: Any, seconds: float, now: float) -> Outcome:
    """The outcome of a load that took `seconds` and ended at `now`."""
    try:
        codec, payload, refusal, lifetime = _stored_form(value)
    except (UnencodableError, UnstorableError) as error:
        return Outcome(value=value, entry=None, refusal=str(error))
    except Exception as error:  # noqa: BLE001 - a result may be any object: what it raises when read must not fail the call
        return Outcome(value=value, entry=None, refusal=f"not readable ({type(error).__name__})")
    ttl = plan.policy.ttl
    if lifetime is not None and plan.policy.http == "honour":
        if lifetime == 0 and refusal is None:
            refusal = "the response forbids storing"
        ttl = min(ttl, lifetime)
    if ttl == 0 and refusal is None:
        refusal = _NOTHING_KEPT
    entry = Entry(
        operation=plan.label,
        codec=codec,
        payload=payload,
        created=now,
        expires=now + ttl,
        cost=plan.policy.cost,
        compute_seconds=seconds,
    )
    return Outcome(value=value, entry=entry, refusal=refusal)


def _stored_form(value: Any) -> tuple[str, bytes, str | None, float | None]:
    kind = type(value)
    for base in kind.__mro__:
        library = base.__module__.partition(".")[0]
        if library not in adapters.known():
            continue
        snapshot = adapters.named(library).snapshot(value)
        if snapshot is not None:
            return library, tagged.encode(snapshot.data), snapshot.refusal, snapshot.lifetime
    return PLAIN_CODEC, tagged.encode(value), None, None


def value_of(entry: Entry, context: Any) -> Any:
    """A fresh copy of the stored result; raises on damage, on an adapter that is gone, or on a format it has left."""
    data = tagged.decode(entry.payload)
    if entry.codec == PLAIN_CODEC:
        return data
    return adapters.named(entry.codec).replay(data, context)


def finished(plan: Plan, value: Any) -> Any:
    """What the caller is handed: the result, or its decoded body where the policy says so."""
    if plan.policy.returns != "json":
        return value
    decode = getattr(value, "json", None)
    if not callable(decode):
        raise InputError(f"{plan.label} has returns='json' but returned a {type(value).__name__}; return the response")
    return decode()
