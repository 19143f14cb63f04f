"""What is set for providers: `[tool.apicache.providers]`, `[tool.apicache.prices]`, `create(providers=...)`."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, TypedDict, get_args

import msgspec

from apicache import providers
from apicache.chain.prices import Price, price_from
from apicache.chain.routing import PROVIDER_CHAIN, Routing
from apicache.errors import InputError, did_you_mean
from apicache.policy import seconds

_RATE: Final = re.compile(r"\d+\s*(?:/|\s+per\s+)\s*(?:\d+\s*)?(?:second|minute|hour|day|month|year)s?", re.IGNORECASE)


class ProviderOptions(TypedDict, total=False):
    """What `create(providers=...)` takes; the fields of ProviderSettings tell what each does."""

    order: list[str]
    routing: Routing
    timeout: float | str
    retries: int
    retries_alone: int
    retry_after_max: float | str
    proxy: str | None
    timeouts: Mapping[str, float | str]
    rate_limits: Mapping[str, str]
    tables: Mapping[str, Mapping[str, Any]]
    prices: Mapping[str, Mapping[str, float]]


class ProviderSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What is in force; durations in seconds."""

    order: tuple[str, ...] = tuple(map(str, PROVIDER_CHAIN))
    """The providers that are asked, first to last."""
    routing: Routing = "chain"
    """`chain`: in that order; `cheapest` first, by the price table; `fastest` first, by observed latency."""
    timeout: float = 60.0
    """How long one attempt may take."""
    retries: int = 1
    """Attempts after the first, while another provider stands ready."""
    retries_alone: int = 3
    """Attempts after the first where no other one is left to ask, or those that are left are known to be down.

    Of a provider that fails one attempt in ten, by itself: one retry leaves 1% of the calls unanswered, two 0.1%, three
    0.01%.
    """
    retry_after_max: float = 10.0
    """A provider that asks to wait longer than this is not asked again for this call."""
    proxy: str | None = None
    """The proxy's URL; those in the environment are not looked at."""
    timeouts: Mapping[str, float] = {}
    """By provider, in place of `timeout`."""
    rate_limits: Mapping[str, str] = {}
    """By provider, such as `60/minute`."""
    tables: Mapping[str, Mapping[str, Any]] = {}
    """Providers' own options, by provider; a name that no provider has declares an endpoint."""
    prices: Mapping[str, Price] = {}
    """By model, over the shipped table."""

    def declaring(self, operation: str) -> list[str]:
        """The endpoints whose tables declare the operation, in their order."""
        return [name for name, table in self.tables.items() if operation in _operations_in(table)]

    def declared_operations(self) -> set[str]:
        """The operations that tables of endpoints declare."""
        return {name for table in self.tables.values() for name in _operations_in(table)}


def _operations_in(table: Mapping[str, Any]) -> list[str]:
    """What a table declares; nothing where that is no list, which is told when the endpoint is built."""
    given = table.get("operations")
    return [name for name in given if isinstance(name, str)] if isinstance(given, list | tuple) else []


def option_of(name: str, given: Any) -> Any:
    """The value of an option in the form that ProviderSettings holds; raises InputError."""
    if name not in OPTIONS:
        raise InputError(f"unknown option {name!r} of providers; {did_you_mean(name, OPTIONS)}")
    return OPTIONS[name](name, given)


def settings_of(options: Mapping[str, Any]) -> ProviderSettings:
    """The settings that code gives; raises InputError."""
    settings = ProviderSettings(**{name: option_of(name, given) for name, given in options.items()})
    for table in BY_PROVIDER:
        for name in getattr(settings, table):
            check_provider(f"{table} of providers", name, settings.tables)
    return settings


def check_provider(where: str, name: str, tables: Mapping[str, Any]) -> None:
    """Raises InputError for a name that no provider's file has, and none of these tables."""
    known = providers.known() - {providers.DECLARED} | tables.keys()
    if name not in known:
        raise InputError(f"{where}: unknown provider {name!r}; {did_you_mean(name, known)}")


def rate_limit(name: str, given: Any) -> str:
    """A rate limit in the notation of the library `limits`; raises InputError."""
    if not isinstance(given, str) or not _RATE.fullmatch(given.strip()):
        raise InputError(f"rate limit {given!r} of {name}; give for example '60/minute' or '10/second'")
    return given.strip()


def timeout(name: str, given: Any) -> float:
    """Seconds, more than zero; raises InputError."""
    length = seconds(given)
    if length == 0:
        raise InputError(f"{name} {given!r} is no time at all; give for example '30s'")
    return length


def _order(name: str, given: Any) -> tuple[str, ...]:
    names = given
    if isinstance(given, str):
        names = [part.strip() for part in given.split(",") if part.strip()]
    if not isinstance(names, list | tuple) or not all(isinstance(each, str) for each in names):
        raise InputError(
            f"{name} of providers is a {type(given).__name__}; give names, such as ['openai', 'anthropic']"
        )
    if not names or len(set(names)) != len(names):
        raise InputError(f"{name} of providers {', '.join(names)!r}; name each once, the first to ask first")
    return tuple(map(str, names))


def _routing(_name: str, given: Any) -> Any:
    if given not in get_args(Routing):
        raise InputError(f"routing {given!r}; {did_you_mean(str(given), get_args(Routing))}")
    return given


def _count(name: str, given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or given < 0:
        raise InputError(f"{name} {given!r}; give a whole number, 0 or more")
    return given


def _length(_name: str, given: Any) -> float:
    return seconds(given)


def _proxy(_name: str, given: Any) -> str | None:
    if given is not None and not (isinstance(given, str) and re.match(r"(https?|socks5h?)://\S+$", given)):
        raise InputError("proxy is no proxy's URL; give one like http://host:3128")  # not shown: it may hold a password
    return given


def _table(check: Callable[[str, Any], Any]) -> Callable[[str, Any], dict[str, Any]]:
    def checked(name: str, given: Any) -> dict[str, Any]:
        if not isinstance(given, Mapping):
            raise InputError(f"{name} is a {type(given).__name__}; give a table by name")
        return {str(key): check(f"{name}.{key}", value) for key, value in given.items()}

    return checked


def _prices(name: str, given: Any) -> dict[str, Price]:
    if not isinstance(given, Mapping):
        raise InputError(f"{name} is a {type(given).__name__}; give a table by model")
    return {model: value if isinstance(value, Price) else price_from(model, value) for model, value in given.items()}


OPTIONS: Final[Mapping[str, Callable[[str, Any], Any]]] = {
    "order": _order,
    "routing": _routing,
    "timeout": timeout,
    "retries": _count,
    "retries_alone": _count,
    "retry_after_max": _length,
    "proxy": _proxy,
    "timeouts": _table(timeout),
    "rate_limits": _table(rate_limit),
    "tables": _table(lambda _name, table: dict(table)),
    "prices": _prices,
}
NUMBERS: Final = frozenset({"timeout", "retries", "retries_alone", "retry_after_max"})
"""Options whose environment variables may hold numbers."""
BY_PROVIDER: Final = frozenset({"timeouts", "rate_limits"})
"""Tables of one value for each provider."""
PLAIN: Final = frozenset(OPTIONS) - BY_PROVIDER - {"tables", "prices"}
"""Options that are no table."""
