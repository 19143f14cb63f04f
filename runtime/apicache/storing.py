"""Between results and entries: what is stored of a result, and what a caller gets back."""

import math
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

import msgspec

from apicache import adapters, tagged
from apicache.adapter import Loaded, Revalidating, Snapshot
from apicache.entry import PLAIN_CODEC, Entry
from apicache.errors import InputError, UnencodableError, UnstorableError
from apicache.planning import Plan
from apicache.policy import seconds

_NOTHING_KEPT: Final = "its ttl is 0"
_REVALIDATION_SECONDS: Final = 24 * 3600.0
"""How long past its ttl an entry with a validator is kept, to be asked about instead of loaded again."""
_LEAST_ERROR: Final = 400
_LITTLE: Final = 0.02
_TOO_MANY_REQUESTS: Final = 429
_LEAST_SERVER_ERROR: Final = 500
_VOLATILE: Final = frozenset({"id", "created", "created_at", "system_fingerprint", "service_tier"})
"""Fields of an LLM's response that differ each time though the answer does not."""


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
    is_stale: bool = False
    """True when it is past its ttl, or expired."""
    status: int | None = None
    """The response's HTTP status; None where there is none."""
    cost: float = 0.0
    """US dollars that the load cost."""
    due: Any = None
    """The entry as it was judged, when it was served and is to be refreshed now."""


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """A load as it went; `created` and `now` in seconds since the epoch, from its begin and its end."""

    created: float
    now: float
    seconds: float


def outcome_of(plan: Plan, value: Any, load: Load) -> Outcome:
    """The outcome of a load."""
    result = result_in(value)
    try:
        form = _stored_form(plan, value)
    except (UnencodableError, UnstorableError) as error:
        return Outcome(value=result, entry=None, refusal=str(error), cost=_cost(plan, result))
    except Exception as error:  # noqa: BLE001 - a result may be any object: what it raises when read must not fail the call
        refusal = f"not readable ({type(error).__name__})"
        return Outcome(value=result, entry=None, refusal=refusal, cost=_cost(plan, result))
    return _kept(plan, result, form, load)


def outcome_of_snapshot(plan: Plan, data: Any, snapshot: Snapshot, load: Load, refusal: str | None) -> Outcome:
    """The outcome of a load whose result is put together from plain values, and `refusal` or the snapshot's word."""
    try:
        form = _Form(PLAIN_CODEC, snapshot, tagged.encode(data))
    except UnencodableError as error:
        return Outcome(value=data, entry=None, refusal=str(error))
    outcome = _kept(plan, data, form, load)
    return outcome if refusal is None else msgspec.structs.replace(outcome, entry=None, refusal=refusal)


def renewed_outcome(plan: Plan, stored: Entry, response: Any, load: Load) -> Outcome:
    """The outcome of a revalidation that found the stored entry still valid; raises what damaged bytes raise."""
    adapter = cast("Revalidating", adapters.named(stored.codec))
    snapshot = adapter.renewed(tagged.decode(stored.payload), response)
    value = adapter.replay(snapshot.data, plan.context)
    return _kept(plan, value, _Form(stored.codec, snapshot, tagged.encode(snapshot.data)), load)


def is_not_modified(entry: Entry, value: Any) -> bool:
    """Whether a revalidation's response says that the entry still holds."""
    adapter = adapters.named(entry.codec)
    return hasattr(adapter, "not_modified") and cast("Revalidating", adapter).not_modified(value)


def is_failure(outcome: Outcome) -> bool:
    """Whether the result is a response by which the upstream says that it failed."""
    status = outcome.status
    if status is None or outcome.refusal is None:  # an error that a negative ttl keeps is an answer
        return False
    return status == _TOO_MANY_REQUESTS or status >= _LEAST_SERVER_ERROR


def is_error(outcome: Outcome) -> bool:
    """Whether the result is a response by which the upstream says that it did not do what it was asked."""
    return outcome.status is not None and outcome.status >= _LEAST_ERROR


_PLAIN: Final = Snapshot(data=None, refusal=None, lifetime=None)


class _Form(msgspec.Struct, frozen=True):
    """A result as it is stored, and what its library says of storing it."""

    codec: str
    snapshot: Snapshot
    payload: bytes


def result_in(value: Any) -> Any:
    """What a load gave its caller."""
    return value.result if type(value) is Loaded else value


def _stored_form(plan: Plan, value: Any) -> _Form:
    kind = type(value)
    if kind is Loaded:
        if value.snapshot.refusal is not None:
            raise UnstorableError(value.snapshot.refusal)
        return _Form(value.library, value.snapshot, tagged.encode(value.snapshot.data))
    if kind is list and value:  # a driver's rows come in a plain list: what is in it tells whose they are
        kind = type(value[0])
    if kind.__module__ != "builtins":
        for base in kind.__mro__:
            library = base.__module__.partition(".")[0]
            if library not in adapters.known():
                continue
            snapshot = adapters.named(library).snapshot(value)
            if snapshot is not None:
                return _Form(library, snapshot, tagged.encode(snapshot.data))
    return _Form(PLAIN_CODEC, _PLAIN, plan.types.encode(value))


def _kept(plan: Plan, value: Any, form: _Form, load: Load) -> Outcome:
    snapshot = form.snapshot
    policy = plan.policy
    refusal, cost = snapshot.refusal, _cost(plan, value)
    ttl = 0.0
    tags: tuple[str, ...] = ()
    try:
        ttl = _ttl(plan, value, snapshot)
        if policy.tags:
            tags = tags_of(policy.tags, plan.parameters, value)
    except Exception as error:  # noqa: BLE001 - the policy's own functions; without their word nothing is kept
        refusal = refusal or f"not kept: its policy's function raised {type(error).__name__}"
    if policy.http == "honour" and snapshot is not _PLAIN:
        refusal = refusal or _forbidden(plan, snapshot)
        if snapshot.lifetime is not None:
            ttl = min(ttl, snapshot.lifetime)
    if snapshot.negative is not None and policy.negative_ttl == 0:
        refusal = refusal or snapshot.negative
    if policy.jitter:
        import random  # noqa: PLC0415 - 2 ms that policies without jitter do not pay

        ttl *= 1 - policy.jitter * random.random()  # noqa: S311 - spreads expiry, guards nothing
    if ttl == 0 and not (snapshot.validators and plan.revalidate is not None):
        refusal = refusal or _NOTHING_KEPT
    keep = policy.retention
    if snapshot.validators and plan.revalidate is not None:
        keep = max(keep, _REVALIDATION_SECONDS)
    entry = Entry(
        plan.label,
        form.codec,
        form.payload,
        load.created,
        load.now + ttl,
        load.now + ttl + keep,
        cost,
        _own_seconds(plan, load.seconds, ttl),
        tags,
        snapshot.validators,
        snapshot.must_revalidate,
        policy.compression,
        plan.outlives,
    )
    return Outcome(value=value, entry=entry, refusal=refusal, status=snapshot.status, cost=cost)


def _own_seconds(plan: Plan, seconds: float, ttl: float) -> float:
    """What a hit saves of a load's time: that of a batch is shared by its items, as its cost is.

    The whole time is kept where more depends on it: an entry's life ends by the load's end, which is found by it (so it
    has to be little beside the ttl), and XFetch refreshes by how long a load takes.
    """
    if plan.together is None or plan.policy.early_refresh or seconds > ttl * _LITTLE:
        return seconds
    return seconds / plan.together()


def _cost(plan: Plan, value: Any) -> float:
    """US dollars that the load cost; 0 where the policy's own function cannot tell: the answer counts without it."""
    cost = plan.policy.cost
    if not callable(cost):
        return cost
    try:
        given = float(cost(value))
    except Exception:  # noqa: BLE001 - the policy's own function must not make the call fail
        return 0.0
    return given if 0 <= given < math.inf else 0.0


def _ttl(plan: Plan, value: Any, snapshot: Snapshot) -> float:
    policy = plan.policy
    if policy.negative_ttl and (snapshot.negative is not None or value is None):
        return policy.negative_ttl
    return seconds(policy.ttl(value)) if callable(policy.ttl) else policy.ttl


def _forbidden(plan: Plan, snapshot: Snapshot) -> str | None:
    if snapshot.forbidden:
        return "the response forbids storing"
    if snapshot.private and not plan.has_owner:
        return "the response is private, and the call says nothing of whose it is; name it with using(scope=...)"
    return None


def tags_of(tags: Any, parameters: Mapping[str, Any], value: Any) -> tuple[str, ...]:
    """The tags that a policy gives to a result; raises what its function raises, TypeError for what are no texts.

    Raises UnicodeEncodeError for a text with a lone surrogate: no tier could store it.
    """
    given: Iterable[Any] = tags(parameters, value) if callable(tags) else tags
    if isinstance(given, str):
        raise TypeError("tags are several; give a list")
    found = tuple(given)
    if not all(isinstance(tag, str) for tag in found):
        raise TypeError("tags are texts")
    for tag in found:
        tag.encode()
    return found


def value_of(plan: Plan, entry: Entry) -> Any:
    """A fresh copy of the stored result; raises on damage, on an adapter that is gone, or on a format it has left."""
    if entry.codec == PLAIN_CODEC:
        return plan.types.decode(entry.payload)
    return adapters.named(entry.codec).replay(tagged.decode(entry.payload), plan.context)


def finished(plan: Plan, value: Any) -> Any:
    """What the caller is handed: the result, or its decoded body where the policy says so."""
    value = result_in(value)
    if plan.policy.returns != "json":
        return value
    decode = getattr(value, "json", None)
    if not callable(decode):
        raise InputError(f"{plan.label} has returns='json' but returned a {type(value).__name__}; return the response")
    return decode()


def differs(one: Entry, other: Entry) -> bool:
    """Whether two entries hold different answers; headers, times and identifiers of a response do not count."""
    if one.codec != other.codec:
        return True
    if one.codec == PLAIN_CODEC:
        return one.payload != other.payload
    return bool(_answer_in(tagged.decode(one.payload)) != _answer_in(tagged.decode(other.payload)))


def _answer_in(data: Mapping[str, Any]) -> Any:
    if "fields" in data:
        return {name: value for name, value in data["fields"].items() if name not in _VOLATILE}
    return {name: data.get(name) for name in ("status", "content")}
