"""The chain of providers: a call is answered by the first that answers, each under a key of its own.

For each provider that is asked there is one cached call, with the provider and the model among its parameters. So what
is stored of the first one is found whether it can be asked or not, and what another one answered in its place is never
stored as its. A streamed answer has a key of its own, beside the whole answer's.
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec

from apicache.adapter import Snapshot, Streamed, Upstream
from apicache.bound import BoundOperation
from apicache.chain.asking import Asked, Providers
from apicache.chain.failures import AllProvidersFailedError, Failure
from apicache.chain.readiness import UncarriedError, is_local
from apicache.core import Route, route_of
from apicache.entry import Verdict
from apicache.errors import InputError
from apicache.near_loads import NearLoads
from apicache.planning import Plan
from apicache.policy import Policy
from apicache.provider import FALLS_THROUGH, ProviderCall, ProviderError
from apicache.records import RecordTypes
from apicache.tagged import decode, encode

if TYPE_CHECKING:
    from apicache.chain.standings import Standing
    from apicache.chain.streams import Pieces
    from apicache.engine import Engine
    from apicache.operations import Operation

_PLAIN: Final = Snapshot(data=None, refusal=None, lifetime=None)
_CHOICE: Final = ("provider", "model")
"""The parameters that say whom to ask for what."""

_Asking = tuple[str, ProviderCall, Sequence[str], int]
"""Arguments of `Providers.ask`."""


class BoundChain(BoundOperation):
    """A built-in operation's calls through one cache under one policy."""

    __slots__ = ()

    def answer(self, given: Mapping[str, Any], loads: NearLoads | None = None) -> Any:  # noqa: ARG002 - as the base's
        """The plan of the call to the provider that is asked first; raises TypeError, InputError."""
        return self.plan(given)

    def plan(self, given: Mapping[str, Any]) -> Plan:
        """As `answer`."""
        call = _Call(self.engine, self.operation, self.policy, given)
        call.types = self.types
        return call.plan(0)


def stream_plan(engine: "Engine", operation: "Operation", policy: Policy, given: Mapping[str, Any]) -> Plan:
    """The plan of a streamed call to the provider that is asked first; raises TypeError, InputError."""
    return _StreamedCall(engine, operation, policy, given).plan(0)


class _Call:
    """One call, with the providers that it may be made of."""

    types = RecordTypes.EMPTY

    def __init__(self, engine: "Engine", operation: "Operation", policy: Policy, given: Mapping[str, Any]) -> None:
        self._operation, self._policy, self._given = operation, policy, given
        self._engine = engine
        full = operation.parameters(given)
        self._parameters = {name: value for name, value in full.items() if name not in _CHOICE}
        self._providers: Providers = engine.providers
        self._order = self._providers.order(operation.name, self._parameters, full["provider"], full["model"])
        self._failures: dict[str, Failure] = {}
        self._refusals: list[str] = []
        """Why providers cannot carry the call."""
        self._again: dict[int, int] = {}
        """By position, how many attempts a provider has had that is asked a second time."""
        self._once = len(self._order)
        """From that position on providers are asked a second time."""
        self._errors: dict[int, ProviderError] = {}

    def plan(self, position: int) -> Plan:
        """The plan of the call to the provider at that position."""
        plan = self._plan_at(position)
        asked = self._order[position]
        standing = self._providers.standing(asked.provider)
        if position + 1 < self._once and standing.fails(asked.model) and self._is_stored_after(position):
            plan.load = _passing_over(plan, plan.load, standing)
            if plan.load_sync is not None:
                plan.load_sync = _passing_over(plan, plan.load_sync, standing)
        return plan

    def _is_stored_after(self, position: int) -> bool:
        """Whether memory has what another provider answered in its place; its own answer is read before it is asked."""
        engine = self._engine
        for later in range(position + 1, self._once):
            plan = self._plan_at(later)
            if route_of(plan, engine.switch) is Route.CACHE:
                judged = engine.near(plan)
                if judged is not None and judged.verdict is Verdict.FRESH:
                    return True
        return False

    def _plan_at(self, position: int) -> Plan:
        asked = self._order[position]
        call = ProviderCall(operation=self._operation.name, parameters=self._parameters, model=asked.model)
        made = self._again.get(position, 0)
        others = [] if position in self._again else [other.provider for other in self._order[position + 1 :]]
        plan = self._plan(asked, (asked.provider, call, others, made))
        plan.parameters = {**self._parameters, **asked._asdict()}
        plan.given = self._given
        plan.types = self.types
        plan.instead = functools.partial(self._instead, position)
        return plan

    def _plan(self, asked: Asked, asking: _Asking) -> Plan:
        """The plan that asks one provider; `asking` are the arguments of `Providers.ask`."""
        ask = functools.partial(self._providers.ask, *asking)
        plan = Plan(self._operation.name, self._policy, ask, functools.partial(_parts, self._providers, asked))
        plan.load_sync = functools.partial(self._providers.ask_sync, *asking)
        is_text = self._operation.name == "embedding" and isinstance(self._parameters.get("text"), str)
        if is_text and self._providers.batch_size(asked.provider) > 1:
            from apicache.chain.embedding_loads import load_of  # noqa: PLC0415 - for caches that embed

            load = load_of(self._providers, self._policy, asking)
            plan.load, plan.together = load, load.together
        return plan

    def _instead(self, position: int, plan: Plan, error: Exception) -> Plan:
        """The call that is made in place of one that failed so; raises what the caller is to get when there is none."""
        if len(self._order) == 1:
            raise error
        asked = self._order[position]
        if isinstance(error, ProviderError) and error.kind in FALLS_THROUGH:
            failure = Failure(provider=asked.provider, kind=error.kind, status=error.status, told=str(error))
            if position < self._once:
                self._errors[position] = error
        elif isinstance(error, UncarriedError) or (isinstance(error, InputError) and position > 0):
            failure = Failure(provider=asked.provider, kind="bad_request", status=None, told=str(error))
            self._refusals.append(str(error))
        else:
            raise error
        self._failures[asked.provider] = failure
        if position + 1 == self._once:
            self._append_second_round()
        if position + 1 == len(self._order):
            if len(self._refusals) == len(self._failures):  # none was asked: it is the call that does not fit
                raise InputError("; ".join(dict.fromkeys(self._refusals))) from None
            raise AllProvidersFailedError(plan.label, list(self._failures.values())) from None
        following = self.plan(position + 1)
        following.policy, following.is_kept_at_once = plan.policy, plan.is_kept_at_once
        following.is_warming, following.reloads = plan.is_warming, plan.reloads
        following.outlives = plan.outlives
        return following

    def _append_second_round(self) -> None:
        for position, error in self._errors.items():
            asked = self._order[position]
            made = self._providers.made_again(asked.provider, error)
            if made is not None and position + 1 < self._once:  # the last one was asked as often as there is
                self._again[len(self._order)] = made
                self._order.append(asked)


def _passing_over(plan: Plan, load: Callable[[], Any], standing: "Standing") -> Callable[[], Any]:
    """Raises NotAskedError in the place of the load, unless the plan is to be loaded whatever is stored."""

    def passing_over() -> Any:
        if plan.reloads:
            return load()
        raise standing.passed_over()

    return passing_over


class _StreamedCall(_Call):
    """One call for a streamed answer."""

    def __init__(self, engine: "Engine", operation: "Operation", policy: Policy, given: Mapping[str, Any]) -> None:
        self._told: list[Pieces] = []
        """What the provider that was asked last tells: whichever answers, the policy's functions see its answer."""
        super().__init__(engine, operation, _of_whole(policy, lambda: self._told[0].value), given)

    def _plan(self, asked: Asked, asking: _Asking) -> Plan:
        told = self._told
        load = functools.partial(self._providers.ask_stream, *asking)
        load_sync = functools.partial(self._providers.ask_stream_sync, *asking)

        async def begin(plan: Plan) -> Upstream:
            told[:] = [await plan.load()]
            return Upstream(head=None, chunks=told[0], close=told[0].aclose, snapshot=_PLAIN)

        def begin_sync(plan: Plan) -> Upstream:
            told[:] = [(plan.load_sync or plan.load)()]
            return Upstream(head=None, chunks=told[0], close=told[0].close, snapshot=_PLAIN)

        def parts(plan: Plan) -> tuple[Any, Any]:
            begins = functools.partial(begin if plan.is_async else begin_sync, plan)
            plan.streamed = Streamed(open=begins, give=_chunks, pack=encode, unpack=decode, is_sent_at_once=True)
            parameters, credentials = _parts(self._providers, asked, plan)
            return {"stream": parameters}, credentials

        plan = Plan(self._operation.name, self._policy, load, parts)
        plan.load_sync = load_sync
        return plan


def _chunks(_head: None, chunks: Any) -> Any:
    return chunks


def _of_whole(policy: Policy, value: Callable[[], Any]) -> Policy:
    """The policy, whose functions of the result are given the whole answer, of which its pieces are stored."""
    cost, ttl, tags = policy.cost, policy.ttl, policy.tags
    return msgspec.structs.replace(
        policy,
        cost=(lambda _pieces: cost(value())) if callable(cost) else cost,
        ttl=(lambda _pieces: ttl(value())) if callable(ttl) else ttl,
        tags=(lambda parameters, _pieces: tags(parameters, value())) if callable(tags) else tags,
    )


def _parts(providers: Providers, asked: Asked, plan: Plan) -> tuple[Any, Any]:
    """What identifies the call: a key of the policy's own never makes one provider's answer another's."""
    provider: Any = providers.named(asked.provider)
    settings, credentials = (None, None) if is_local(provider) else provider.account()
    key = plan.policy.key
    if key is None:
        return {"call": plan.parameters, "account": settings}, credentials
    own = key(**plan.given) if callable(key) else key
    return {"key": own, "asked": asked._asdict(), "account": settings}, credentials
