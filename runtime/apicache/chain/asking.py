"""Asks providers: one attempt is a generator of steps, for two thin edges that wait; retries stand around it."""

import functools
import logging
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import msgspec

from apicache import providers
from apicache.answers import Completion, Embedding
from apicache.chain.edges import Pause, Send, Steps, run, run_sync
from apicache.chain.errors import status_error
from apicache.chain.failures import NotAskedError
from apicache.chain.prices import PriceTable, priced, provider_of
from apicache.chain.readiness import carrying, is_local, needs
from apicache.chain.routing import Candidate, estimated, order
from apicache.chain.senders import Sender
from apicache.chain.settings import ProviderSettings
from apicache.chain.standings import Standing
from apicache.chain.streams import Begin, StreamingLocalProvider, pieces_of
from apicache.clock import Clock
from apicache.errors import InputError
from apicache.provider import (
    WORTH_A_RETRY,
    LocalProvider,
    Provider,
    ProviderCall,
    ProviderError,
    Reply,
    Response,
    Tokens,
)

if TYPE_CHECKING:
    from apicache.batching.collectors import Batching


_log = logging.getLogger("apicache")
_ToSteps = Callable[[str, ProviderCall, Sequence[str] | None], Steps]


class Asked(NamedTuple):
    """A provider, and the model that it is asked for."""

    provider: str
    model: str


class Providers:
    """One cache's providers, with how each stands."""

    def __init__(self, settings: ProviderSettings, sender: Sender, clock: Clock, random: Callable[[], float]) -> None:
        self.settings = settings
        self._sender, self._clock, self._random = sender, clock, random
        self._prices = PriceTable(settings.prices)
        self._named: dict[str, Provider | LocalProvider] = {}
        self._standings: dict[str, Standing] = {}
        self._rate_limits: dict[str, Any] = {}
        self._told: set[str] = set()
        self.batches: dict[str, Batching] = {}
        """What gathers texts to embed, by provider."""

    def named(self, name: str) -> Provider | LocalProvider:
        """The provider of that name; raises InputError for one that there is not, or whose options do not fit."""
        found = self._named.get(name)
        if found is None:
            found = self._named[name] = providers.named(name, self.settings.tables)
        return found

    def standing(self, name: str) -> Standing:
        """How a provider stands."""
        found = self._standings.get(name)
        return self._standings.setdefault(name, Standing(name, self._clock)) if found is None else found

    def as_dict(self) -> dict[str, Any]:
        """What each provider that was asked has done."""
        return {name: standing.as_dict() for name, standing in sorted(self._standings.items())}

    def batch_size(self, name: str) -> int:
        """How many texts one request for embeddings may carry."""
        return self.named(name).batch_size

    def close(self) -> None:
        """Close the connections."""
        self._sender.close()

    # Whom to ask.

    def order(self, operation: str, parameters: Mapping[str, Any], given: Any, model: str | None) -> list[Asked]:
        """Whom a call asks, first to last; `given` are the providers that it names, `model` the model, None for none.

        A model that the price table knows is asked for where it is sold, unless the call names providers itself.
        Raises InputError for an unknown provider that the call names, and when none has the operation. A configured one
        that there is not, or whose options do not fit, is left out.
        """
        named = self.settings.order if given is None else _names(given)
        wrong: list[InputError] = []
        names = self._built(named, wrong) if given is None else list(named)
        having = [name for name in names if operation in self.named(name).operations]
        if not having and given is None:  # an endpoint that has it was declared for just that
            having = self._built(self.settings.declaring(operation), wrong)
        if not having:
            if wrong:
                raise wrong[0]
            self.named(names[0]).model_for(operation)  # says so
            raise InputError(f"none of the providers {', '.join(names)} has operation {operation!r}; name another one")
        seller = provider_of(model) if model and given is None else None
        if seller in having:
            having = [name for name in having if name == seller or is_local(self.named(name))]
        routing = self.settings.routing if given is None else "chain"
        tokens = estimated(parameters) if routing == "cheapest" else None
        asked = {name: Asked(name, self._model(name, operation, model)) for name in having}
        found = order([self._candidate(each, tokens) for each in asked.values()], routing, self._draw(routing))
        return [asked[name] for name in found]

    def _built(self, names: Sequence[str], wrong: list[InputError]) -> list[str]:
        """Those of the configured ones that can be built; what is wrong with another is told once, and noted."""
        built = []
        for name in names:
            try:
                needs(self.named(name))
            except InputError as error:
                wrong.append(error)
                if name not in self._told:
                    self._told.add(name)
                    _log.warning("provider %s is left out: %s", name, error)
            else:
                built.append(name)
        return built

    def _model(self, name: str, operation: str, model: str | None) -> str:
        provider = self.named(name)
        return provider.model_for(operation) if model is None or is_local(provider) else model

    def _draw(self, routing: str) -> float:
        return self._random() if routing == "fastest" else 1.0

    def _candidate(self, asked: Asked, tokens: Tokens | None) -> Candidate:
        provider = self.named(asked.provider)
        return Candidate(
            name=asked.provider,
            is_ready=needs(provider) is None,
            is_local=is_local(provider),
            cost=None if tokens is None else self._prices.cost_of(asked.model, tokens),
            latency=self.standing(asked.provider).latency if self.settings.routing == "fastest" else None,
        )

    # Asking one.

    async def ask(self, name: str, call: ProviderCall, others: Sequence[str] = (), made: int = 0) -> Any:
        """A provider's answer; `others` could be asked in its place. Raises ProviderError, InputError.

        `made` is how many attempts were made for this call before.
        """
        return await self._asked(self._attempt, name, call, others, made)

    async def ask_stream(self, name: str, call: ProviderCall, others: Sequence[str] = (), made: int = 0) -> Any:
        """As `ask`, for the Pieces of a streamed answer: the first one has come."""
        return await self._asked(self._stream_attempt, name, call, others, made)

    async def _asked(self, steps: _ToSteps, name: str, call: ProviderCall, others: Sequence[str], made: int) -> Any:
        try:
            return await run(steps(name, call, others), self._sender)
        except ProviderError as error:
            attempts, failed = self._attempts(error, others, made), [error]
            if attempts is None:
                raise
        async for attempt in attempts:
            with attempt:
                if failed:  # the first, made above: most calls need no more of it than that
                    raise failed.pop()
                self.standing(name).retried(call.operation, attempt.num)
                return await run(steps(name, call, None), self._sender)
        return None

    def ask_sync(self, name: str, call: ProviderCall, others: Sequence[str] = (), made: int = 0) -> Any:
        """As `ask`, for sync code."""
        return self._asked_sync(self._attempt, name, call, others, made)

    def ask_stream_sync(self, name: str, call: ProviderCall, others: Sequence[str] = (), made: int = 0) -> Any:
        """As `ask_stream`, for sync code."""
        return self._asked_sync(self._stream_attempt, name, call, others, made)

    def _asked_sync(self, steps: _ToSteps, name: str, call: ProviderCall, others: Sequence[str], made: int) -> Any:
        try:
            return run_sync(steps(name, call, others), self._sender)
        except ProviderError as error:
            attempts, failed = self._attempts(error, others, made), [error]
            if attempts is None:
                raise
        for attempt in attempts:
            with attempt:
                if failed:  # as above
                    raise failed.pop()
                self.standing(name).retried(call.operation, attempt.num)
                return run_sync(steps(name, call, None), self._sender)
        return None

    def _attempt(self, name: str, call: ProviderCall, others: Sequence[str] | None) -> Steps:
        """One attempt; `others` is None for one after the first, which has waited already."""
        provider, standing = self.named(name), self.standing(name)
        standing.check()  # before the request is built: while its breaker is open that would be for nothing
        with carrying(provider, standing):
            if is_local(provider):
                at, reply = self._clock.monotonic(), provider.answer(call)
            else:
                remote = cast("Provider", provider)
                request = remote.request(call)
        if is_local(provider):
            with standing.attempt(call.model):
                return self._answered(standing, call, reply, at)
        seconds = self.settings.timeouts.get(name, self.settings.timeout)
        yield from self._turn(standing, call.model, others, seconds)
        with standing.attempt(call.model):
            at = self._clock.monotonic()
            reply = remote.reply(call, (yield Send(name, request, seconds)))
        return self._answered(standing, call, reply, at)

    def _stream_attempt(self, name: str, call: ProviderCall, others: Sequence[str] | None) -> Steps:
        provider, standing = self.named(name), self.standing(name)
        standing.check()
        with carrying(provider, standing):
            if is_local(provider):
                answer = provider.answer(call)
                texts = cast("StreamingLocalProvider", provider).texts(answer)
            else:
                remote = cast("Provider", provider)
                request, reader = remote.stream_request(call), remote.stream_reader(call)
        if is_local(provider):
            with standing.attempt(call.model):
                ended = functools.partial(self._ended, standing, call, self._clock.monotonic())
                return pieces_of(texts, answer, ended)
        seconds = self.settings.timeouts.get(name, self.settings.timeout)
        yield from self._turn(standing, call.model, others, seconds)
        with standing.attempt(call.model):
            ended = functools.partial(self._ended, standing, call, self._clock.monotonic())
            found = yield Begin(name, request, seconds, reader, ended)
            if isinstance(found, Response):
                raise status_error(name, found, key_variable=remote.key_variable)
        return found

    def _ended(self, standing: Standing, call: ProviderCall, at: float, end: Reply | ProviderError | None) -> Any:
        if end is None:
            return standing.abandoned()
        return self._answered(standing, call, end, at) if isinstance(end, Reply) else standing.failed(end, call.model)

    def _answered(self, standing: Standing, call: ProviderCall, reply: Reply, at: float) -> Any:
        value = reply.value
        cost = self._prices.cost_of(reply.model, reply.tokens)
        if cost is None and reply.model != call.model:  # an upstream may name its models otherwise than it lets ask
            cost = self._prices.cost_of(call.model, reply.tokens)
        if isinstance(value, Completion | Embedding):
            if value.cost is None:
                value = msgspec.structs.replace(value, cost=cost)
            cost = value.cost
        elif isinstance(value, list):
            value = [priced(each, cost, reply.tokens.input) for each in value]
        standing.answered(self._clock.monotonic() - at, reply.tokens, cost)
        return value

    def _turn(
        self, standing: Standing, model: str, others: Sequence[str] | None, seconds: float
    ) -> Generator[Pause, None, None]:
        """Wait until the provider may be asked; raises NotAskedError when that is not to be waited for."""
        if others is not None:
            yield from self._as_it_asked(standing, model, others)
        yield from self._place(standing, seconds)

    def _as_it_asked(self, standing: Standing, model: str, others: Sequence[str]) -> Generator[Pause, None, None]:
        """Leave a provider alone that has named a time: it is waited for where that is short, and no other is there."""
        end = self._clock.monotonic() + self.settings.retry_after_max
        while (wait := standing.waits(model)) > 0:
            if self._clock.monotonic() + wait > end or any(map(self._stands_ready, others)):
                raise standing.told_to_wait(model)
            yield Pause(wait)

    def _place(self, standing: Standing, seconds: float) -> Generator[Pause, None, None]:
        """Wait for a place in the provider's rate limit; raises NotAskedError when there is none in that time."""
        limit = self._rate_limit(standing.name)
        end = self._clock.monotonic() + seconds
        while limit is not None:
            wait = limit.wait()
            if wait == 0:
                return
            if self._clock.monotonic() + wait > end:
                standing.not_asked()
                limited = self.settings.rate_limits[standing.name]
                told = f"{standing.name} was not asked: its limit of {limited} is reached"
                raise NotAskedError(told, "rate_limit", retry_after=wait)
            yield Pause(wait)

    def _rate_limit(self, name: str) -> Any:
        given = self.settings.rate_limits.get(name)
        if given is None:
            return None
        if name not in self._rate_limits:
            from apicache.chain.rate_limits import RateLimit  # noqa: PLC0415 - where a limit is set

            try:
                self._rate_limits.setdefault(name, RateLimit(given, self._clock))
            except ValueError:
                raise InputError(f"rate limit {given!r} of {name}; give for example '60/minute'") from None
        return self._rate_limits[name]

    # Retries.

    def made_again(self, name: str, error: ProviderError) -> int | None:
        """How many attempts a provider has had that is worth asking once more, now that all have failed.

        It was left for another one that looked ready, and was not. None for one that is not worth it.
        """
        settings = self.settings
        if not self._is_usable(name) or not self.standing(name).breaker.is_closed():
            return None
        if isinstance(error, NotAskedError):  # it has asked to be left alone, which is to be waited for now
            return 0 if 0 < (error.retry_after or 0.0) <= settings.retry_after_max else None
        is_left = settings.retries < settings.retries_alone
        return settings.retries + 1 if is_left and self._backoff(error) is not False else None

    def _attempts(self, error: ProviderError, others: Sequence[str], made: int) -> Any:
        """The attempts that there are after a first one that failed so; None for none."""
        settings = self.settings
        is_alone = not any(map(self._stands_ready, others))
        retries = (settings.retries_alone if is_alone else settings.retries) - made
        if retries <= 0 or self._backoff(error) is False:
            return None
        from apicache.chain.retrying import attempts  # noqa: PLC0415 - where something fails

        return attempts(retries, self._backoff)

    def _backoff(self, error: Exception) -> bool | float:
        """Whether another attempt is worth its while, or in how many seconds."""
        if not isinstance(error, ProviderError) or isinstance(error, NotAskedError) or error.kind not in WORTH_A_RETRY:
            return False
        if not error.retry_after:
            return True
        return error.retry_after if error.retry_after <= self.settings.retry_after_max else False

    def _stands_ready(self, name: str) -> bool:
        """Whether a provider can be counted on; one that makes its answers up never can."""
        return self._is_usable(name) and self.standing(name).is_ready()

    def _is_usable(self, name: str) -> bool:
        provider = self.named(name)
        return not is_local(provider) and needs(provider) is None


def _names(given: Any) -> tuple[str, ...]:
    names = (given,) if isinstance(given, str) else given
    if not isinstance(names, list | tuple) or not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"provider={given!r}; give a name such as 'openai', or a list, the first to ask first")
    return tuple(dict.fromkeys(map(str, names)))
