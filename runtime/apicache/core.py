"""What a cache decides: shared by its async and its sync edge, none of which decides anything."""

import enum
import functools
import inspect
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from apicache.clock import Clock
from apicache.entry import Entry, Verdict, decide, is_due_early
from apicache.hooks import CacheEvent, EventKind
from apicache.markers import TICK, Marker
from apicache.modes import Switch
from apicache.planning import Plan
from apicache.policy import Policy, policy_for
from apicache.resources import Resources, Setup, draw
from apicache.stack import Found, Reading
from apicache.storing import Load, Outcome, differs, is_error, outcome_of, tags_of, value_of
from apicache.tier import Tier

_OBSERVED_MAX: Final = 100_000


class Judged(NamedTuple):
    """An entry, the tier that had it, and what it is worth now."""

    entry: Entry
    tier: str
    verdict: Verdict


class Route(enum.Enum):
    """What becomes of a call before anything is looked up; by all but the last, nothing is served from the cache."""

    OFF = "off"
    WRITE = "write"
    NO_STORE = "no_store"
    UNIDENTIFIED = "unidentified"
    NOT_CHOSEN = "not chosen"
    """The cache is on for a share of the keys only."""
    OBSERVE = "observe"
    SHADOW = "shadow"
    CACHE = "cache"


class Start(msgspec.Struct, frozen=True):
    """When a load began: the moment that invalidations are compared with, and a monotonic reading."""

    created: float
    at: float


class Core(Resources):
    """One cache's decisions."""

    def __init__(self, find_setup: Callable[[], Setup], clock: Clock) -> None:
        super().__init__(find_setup, clock)
        self._observed: dict[bytes, float] = {}
        self._latest_created = -math.inf
        self.random: Callable[[], float] = draw

    # Policies and routes.

    def policy(self, name: str, *layers: Mapping[str, Any]) -> Policy:
        """The policy in force: defaults, the configuration's, the code's `layers`, the configuration's for `name`.

        The last layer is the call's own and wins over all. Raises InputError for a bad option.
        """
        base = policy_for(name, {})
        code, call = layers[:-1], layers[-1] if layers else {}
        for options in (self.setup.global_options, *code, self.setup.operation_options(name), call):
            base = base.merged(options)
        return base

    def route(self, plan: Plan) -> Route:
        """As `route_of`; counts and tells what goes past the cache."""
        route = route_of(plan, self.switch)
        if route is Route.CACHE:
            return route
        if route in _THROUGH:
            self.count(plan, "bypassed", "bypassed", plan.bypass)
            if plan.bypass is not None:
                self.report_once(plan.label, f"is called uncached: {plan.bypass}")
        return route

    # Looking up.

    def judge(self, plan: Plan, found: Found | None) -> Judged | None:
        """What a found entry is worth to this call; None for nothing."""
        if found is None or plan.key is None:
            return None
        entry, now = found.entry, self.clock.now()
        gone_at, stale_at = self.tiers.markers.concerning(entry.operation, entry.tags, plan.key)
        max_age = max_age_of(plan.policy, entry)
        verdict = decide(entry, now, gone_at=gone_at, stale_at=stale_at, max_age=max_age)
        if verdict is Verdict.GONE:
            return None
        beta = plan.policy.early_refresh
        if verdict is Verdict.FRESH and beta and not plan.is_bound and is_due_early(entry, now, beta, self.random()):
            verdict = Verdict.EARLY
        return Judged(entry, found.tier, verdict)

    def near(self, plan: Plan) -> Judged | None:
        """What the tiers that answer without I/O have."""
        return self.judge(plan, self.tiers.get_near(plan.key or b"", plan.policy.tiers))

    def read_far(self, keys: Sequence[bytes], reading: Reading | None = None) -> dict[bytes, Found]:
        """What the tiers that do I/O have; blocks. `reading` tells meanwhile which tier is asked."""
        now = self.clock.now()
        return self.tiers.get_far(keys, lambda _key, entry: now < entry.fresh_until, reading)

    def is_servable(self, plan: Plan, judged: Judged) -> bool:
        """Whether an entry is to be served at once: fresh, or stale while it is refreshed."""
        if plan.is_warming:  # what is not fresh is to be loaded
            return judged.verdict is Verdict.FRESH and not plan.reloads
        if judged.verdict is Verdict.FRESH or judged.verdict is Verdict.EARLY:  # a set would hash them, in Python
            return True
        if plan.is_bound:  # nobody can refresh it but its caller
            return False
        return judged.verdict is Verdict.STALE and is_within(
            plan.policy, judged.entry, plan.policy.stale_while_revalidate, self.clock.now()
        )

    def is_servable_after_error(self, plan: Plan, judged: Judged | None) -> bool:
        """Whether an entry may be served because loading failed."""
        policy = plan.policy
        return judged is not None and is_within(policy, judged.entry, policy.stale_if_error_seconds, self.clock.now())

    def is_servable_in_time(self, plan: Plan, judged: Judged | None) -> bool:
        """Whether an entry may be served because loading takes too long."""
        policy = plan.policy
        return judged is not None and is_within(policy, judged.entry, policy.retention, self.clock.now())

    def serve(self, plan: Plan, judged: Judged, detail: str | None = None) -> Outcome | None:
        """The outcome an entry stands for, counted as a hit; None when it can no longer be read."""
        entry = judged.entry
        try:
            value = value_of(plan, entry)
        except Exception as error:  # noqa: BLE001 - damaged bytes, or an older library's format: a miss, whatever it raises
            self.statistics.tier_error(judged.tier)
            self.report_once(
                plan.label, f"has an entry that cannot be read ({type(error).__name__}); it is loaded anew"
            )
            return None
        is_stale = judged.verdict is Verdict.STALE or judged.verdict is Verdict.EXPIRED
        counts, now = self.statistics.of(plan.label), self.clock.monotonic()
        record = self.statistics.stale if is_stale else self.statistics.hit
        record(counts, judged.tier, entry.compute_seconds, entry.cost, now)
        kind: EventKind = "stale" if is_stale else "hit"
        self.emit(plan, kind, tier=judged.tier, seconds=entry.compute_seconds, detail=detail)
        if self.usage is not None:
            self.usage.served(kind, plan.label, plan.key or b"", entry, self.clock.now())
        return Outcome(value=value, entry=entry, tier=judged.tier, is_stale=is_stale)

    def uses(self, plan: Plan, tiers: Sequence[Tier]) -> bool:
        """Whether the policy lets the call use any of these tiers."""
        names = plan.policy.tiers
        return bool(tiers) and (names is None or any(tier.name in names for tier in tiers))

    def promote(self, plan: Plan, judged: Judged) -> None:
        """Copy an entry into the nearer tiers."""
        self.tiers.set_near({plan.key or b"": judged.entry}, self.clock.now(), plan.policy.tiers)

    # Loading.

    def start(self) -> Start:
        """The begin of a load."""
        return Start(self.moment(), self.clock.monotonic())

    def moment(self) -> float:
        """The moment of a load's begin. No two moments on the two sides of an invalidation are equal."""
        created = self.clock.now()
        latest = self.tiers.markers.latest
        if created <= latest:
            created = latest + TICK
        if created > self._latest_created:  # noqa: PLR1730 - a function call less
            self._latest_created = created
        return created

    def marked(self, places: Iterable[tuple[Any, str]], *, hard: bool) -> list[Marker]:
        """Markers of this moment, known here at once: they concern every load that has begun so far."""
        at = max(self.clock.now(), self._latest_created, self.tiers.markers.latest + TICK)
        markers = [Marker(scope, value, *((at, at) if hard else (-math.inf, at))) for scope, value in places]
        self.tiers.markers.add(markers)
        for marker in markers:
            if self.hooks:
                self.hooks.emit(CacheEvent("invalidated", "", detail=f"{marker.scope} {marker.value}".strip()))
        return markers

    def load_of(self, start: Start) -> Load:
        """A load that has ended now."""
        return Load(created=start.created, now=self.clock.now(), seconds=self.clock.monotonic() - start.at)

    def load_failed(self, plan: Plan, error: Exception) -> None:
        """Count a load that raised."""
        self.count(plan, "load_errors", "load_error", type(error).__name__)
        if self.usage is not None:
            self.usage.other("error", plan, self.clock.now())

    def settle(self, plan: Plan, outcome: Outcome, start: Start, *, revalidated: bool = False) -> Outcome:
        """Count a finished load and hand its entry to the tiers; gives the outcome with what became of it."""
        now = self.clock.monotonic()
        seconds = now - start.at
        outcome = self._checked(plan, outcome)
        counts, cost = self.statistics.of(plan.label), outcome.cost
        stored = int(outcome.refusal is None and outcome.entry is not None)
        if plan.is_refresh:
            self.statistics.refreshed(counts, cost, stored)
        else:
            self.statistics.miss(counts, now, cost, stored)
        if self.hooks:
            self.emit(plan, "refreshed" if plan.is_refresh else "miss", seconds=seconds)
        if revalidated:
            self.count(plan, "revalidated", "revalidated")
            if self.usage is not None:
                self.usage.other("revalidated", plan, self.clock.now())
        if self.usage is not None:
            self.usage.loaded(plan, outcome.entry if outcome.refusal is None else None, seconds, self.clock.now(), cost)
        if outcome.refusal is not None:
            self.count(plan, "not_stored", "not_stored", outcome.refusal)
            if outcome.entry is None:
                self.report_once(plan.label, f"is not stored: its result is {outcome.refusal}")
        elif outcome.entry is not None:
            if self.hooks:
                self.emit(plan, "stored")
            self._store(plan, outcome.entry)
        return outcome

    def _checked(self, plan: Plan, outcome: Outcome) -> Outcome:
        """The outcome, refused if what happened while it loaded forbids storing it."""
        if outcome.refusal is None and not plan.is_fixed and plan.has_changed():
            # Others who wait asked for what it was; only the leader may have the answer to what it has become.
            outcome = msgspec.structs.replace(outcome, entry=None, refusal="changed by its caller while it loaded")
        if outcome.refusal is None and outcome.entry is not None and self._is_overtaken(plan, outcome.entry):
            outcome = msgspec.structs.replace(outcome, refusal="invalidated while it loaded")
        return outcome

    def _is_overtaken(self, plan: Plan, entry: Entry) -> bool:
        gone_at, _ = self.tiers.markers.concerning(entry.operation, entry.tags, plan.key or b"")
        return entry.created <= gone_at

    def is_concerned(self, plan: Plan, entry: Entry) -> bool:
        """Whether an invalidation, soft or hard, has come since the entry's load began."""
        moments = self.tiers.markers.concerning(entry.operation, entry.tags, plan.key or b"")
        return entry.created <= max(moments)

    def _store(self, plan: Plan, entry: Entry) -> None:
        key = plan.key or b""
        stack = self.tiers
        stack.set_near({key: entry}, self.clock.now(), plan.policy.tiers)
        if stack.far:
            self.writer.put(key, entry, plan.policy.tiers, self.leases.ends(key))

    def confirm(self, plan: Plan, outcome: Outcome) -> Outcome:
        """Wait until every tier has the entry, where the caller wants that; blocks."""
        if outcome.refusal is not None or not self.tiers.far:
            return outcome
        self.writer.flush(5.0)
        refusal = self.unwritten(plan.key or b"")
        return outcome if refusal is None else msgspec.structs.replace(outcome, refusal=refusal)

    def unwritten(self, key: bytes) -> str | None:
        """Why an entry is not in every tier after a flush; None when it is."""
        names = self.writer.waited_for_by(key)
        return f"the {', '.join(names)} tier failed" if names else None

    def after_write(self, plan: Plan, value: Any) -> list[Marker]:
        """A write succeeded: what it invalidates is expired; the markers to publish."""
        outcome = outcome_of(plan, value, Load(created=0, now=0, seconds=0))
        if is_error(outcome):
            return []
        try:
            tags = tags_of(plan.policy.invalidates, plan.parameters, value)
        except Exception as error:  # noqa: BLE001 - the policy's own function must not make the call fail
            self.report_once(plan.label, f"invalidates nothing: its function raised {type(error).__name__}")
            return []
        return self.marked([("tag", tag) for tag in tags], hard=False)

    # Modes that serve nothing.

    def observe(self, plan: Plan) -> None:
        """Count a hit that there would have been; remember the key for its ttl."""
        key, now = plan.key or b"", self.clock.now()
        if now < self._observed.get(key, -math.inf):
            self.count(plan, "would_hit", "would_hit")
            return
        ttl = plan.policy.ttl
        if len(self._observed) >= _OBSERVED_MAX:
            self._observed.clear()
        self._observed[key] = now + (300.0 if callable(ttl) else ttl)

    def compare(self, plan: Plan, found: Judged | None, outcome: Outcome) -> None:
        """Report where the fresh answer differs from the one that would have been served."""
        if found is None or not self.is_servable(plan, found):
            return
        self.count(plan, "would_hit", "would_hit")
        if outcome.entry is None or not differs(found.entry, outcome.entry):
            return
        self.count(plan, "differences", "difference", f"cached {self.clock.now() - found.entry.created:.0f} s ago")
        self.report_once(plan.label, "would have been answered differently from the cache (shadow mode)")

    # Telling.

    def count(self, plan: Plan, what: Any, kind: EventKind, detail: str | None = None) -> None:
        """Count what needs no more than counting, and tell the hooks."""
        self.statistics.count(self.statistics.of(plan.label), what)
        self.emit(plan, kind, detail=detail)

    def emit(
        self, plan: Plan, kind: EventKind, *, tier: str | None = None, seconds: float = 0.0, detail: str | None = None
    ) -> None:
        """Tell the hooks of an event."""
        if self.hooks:
            key = None if plan.key is None else plan.key.hex()
            self.hooks.emit(CacheEvent(kind, plan.label, key, tier, seconds, detail))


# What a policy says of its calls and entries: the engine does it, and `apicache explain` tells it.


def switch_of(policy: Policy, switch: Switch) -> Switch:
    """The switch in force; a cache that is off stays off, whatever the policy's own mode."""
    return switch if policy.mode is None or switch.mode == "off" else _parsed(policy.mode)


def route_of(plan: Plan, switch: Switch) -> Route:
    """Where a call goes, in a cache with this switch; sets the plan's key, or the reason why there is none."""
    policy = plan.policy
    switch = switch_of(policy, switch)
    if switch.mode == "off":
        return Route.OFF
    if policy.invalidates:
        return Route.WRITE
    if policy.no_store and _is_no_store(plan):
        return Route.NO_STORE
    plan.identify()
    if plan.key is None:
        return Route.UNIDENTIFIED
    return _ROUTES[switch.mode] if switch.share == 1 or switch.applies_to(plan.key) else Route.NOT_CHOSEN


def _is_no_store(plan: Plan) -> bool:
    given = plan.policy.no_store
    try:
        return bool(given(plan.parameters)) if callable(given) else any(map(plan.parameters.get, given))
    except Exception as error:  # noqa: BLE001 - the policy's own function, or a value without a truth: not kept then
        plan.bypass = f"its no_store raised {type(error).__name__}"
        return True


def max_age_of(policy: Policy, entry: Entry) -> float:
    """Seconds from the begin of an entry's load; the caller's ttl may be shorter than the one it was stored with."""
    return math.inf if entry.outlives or callable(policy.ttl) else policy.ttl + entry.compute_seconds


def end_of(policy: Policy, entry: Entry) -> float:
    """Until when an entry is fresh for a caller with this policy, in seconds since the epoch."""
    return min(entry.fresh_until, entry.created + max_age_of(policy, entry))


def is_within(policy: Policy, entry: Entry, window: float, now: float) -> bool:
    """Whether an entry that is fresh no longer may be served, so many seconds past its end."""
    if window == 0 or (entry.must_revalidate and policy.http == "honour"):
        return False
    return now < end_of(policy, entry) + window


_ROUTES: Final = {"on": Route.CACHE, "observe": Route.OBSERVE, "shadow": Route.SHADOW}
_THROUGH: Final = (Route.OFF, Route.NO_STORE, Route.UNIDENTIFIED, Route.NOT_CHOSEN)
_parsed: Final = functools.lru_cache(Switch.parse)


async def awaited(result: Any) -> Any:
    """The result of a load, whether it is one or an awaitable of one."""
    return await result if inspect.isawaitable(result) else result


def not_awaitable(plan: Plan, result: Any) -> Any:
    """The result of a sync load; raises TypeError for an awaitable."""
    if not inspect.isawaitable(result):
        return result
    if inspect.iscoroutine(result):
        result.close()
    raise TypeError(f"{plan.label} is async; write `await cached_api_call(...)` instead of cached_api_call_sync")
