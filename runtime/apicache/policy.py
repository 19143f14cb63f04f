"""Policies: what applies to an operation's calls, cascading global -> operation -> call."""

import datetime as dt
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal, TypedDict

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache.modes import Switch
from apicache.presets import preset_options

Duration = float | dt.timedelta | str
"""Seconds, a timedelta, or text such as `90s`, `30m`, `24h`, `7d`, `1h30m`."""

_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART: Final = r"(\d+(?:\.\d+)?)\s*(ms|min|[smhdw])\s*"


def seconds(duration: Duration) -> float:
    """A duration in seconds; raises InputError for anything that is not a finite length of zero or more."""
    if isinstance(duration, dt.timedelta):
        length = duration.total_seconds()
    elif isinstance(duration, str):
        length = _seconds_of_text(duration)
    elif isinstance(duration, int | float) and not isinstance(duration, bool):
        length = float(duration)
    else:
        raise InputError(f"a duration of type {type(duration).__name__}; give seconds, a timedelta, or text like '24h'")
    if not (0 <= length < math.inf):
        raise InputError(f"the duration {duration!r} is not a finite length of zero or more; give for example '24h'")
    return length


def _seconds_of_text(text: str) -> float:
    parts = re.findall(_PART, text)
    if not parts or re.sub(_PART, "", text.strip()):
        raise InputError(f"the duration {text!r} is not understood; give seconds or for example '90s', '30m', '24h'")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


Tags = tuple[str, ...] | Callable[[Mapping[str, Any], Any], Iterable[str]]
"""Tags, or a function of the call's parameters (by name) and its result that gives them."""
NoStore = tuple[str, ...] | Callable[[Mapping[str, Any]], bool]
"""Parameters, or a function of the call's parameters (by name)."""


class PolicyOptions(TypedDict, total=False):
    """What `operation`, `cached` and `using` take; the fields of Policy tell what each does."""

    preset: str
    ttl: Duration | Callable[[Any], Duration]
    jitter: float
    grace: Duration
    stale_while_revalidate: Duration
    stale_if_error: Duration | None
    early_refresh: float | bool
    soft_timeout: Duration | None
    hard_timeout: Duration | None
    negative_ttl: Duration
    tags: list[str] | Tags
    invalidates: list[str] | Tags
    version: str
    namespace: str
    scope: object
    key: str | Callable[..., object] | None
    cost: float | Callable[[Any], float]
    returns: Literal["json"] | None
    http: Literal["honour", "override"]
    compression: bool
    tiers: list[str] | tuple[str, ...] | None
    no_store: list[str] | NoStore
    record: bool
    threads: bool
    pace: float
    mode: str | None


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One operation's policy, in force after the cascade; durations in seconds."""

    ttl: float | Callable[[Any], Duration]
    """Seconds an entry is served for, or a function of the result that gives them; 0 stores nothing."""
    jitter: float = 0.0
    """The part of the ttl (0 to 1) by which an entry's life is randomly shortened, never lengthened."""
    grace: float = 0.0
    """Seconds past the ttl that an entry may be served when loading fails or takes too long."""
    stale_while_revalidate: float = 0.0
    """Seconds past the ttl that an entry is served at once while a refresh runs in the background."""
    stale_if_error: float | None = None
    """Seconds past the ttl that an entry is served when the load fails; None: `grace`."""
    early_refresh: float = 0.0
    """XFetch's beta: 0 is off, 1 the paper's default, more refreshes earlier."""
    soft_timeout: float | None = None
    """A load longer than this is answered by the stale entry, if there is one; the load goes on."""
    hard_timeout: float | None = None
    """A load longer than this raises LoadTimeoutError, or is answered by the stale entry."""
    negative_ttl: float = 0.0
    """Seconds that None results and responses with status 404, 405, 410, 414 or 501 are kept.

    With 0 such responses are not kept, and None is a result like any other.
    """
    tags: Tags = ()
    invalidates: Tags = ()
    """Makes it a write: never answered from the cache; when it succeeds, these tags are expired."""
    version: str = "1"
    """Raise it when the operation's answers change shape: entries of other versions are not found."""
    namespace: str = ""
    scope: object = None
    """Whose answer it is (a tenant, a user): part of the key by its content, never stored.

    Or a function without parameters that tells, called for every call.
    """
    key: str | Callable[..., object] | None = None
    """Replaces what identifies the call: text, or a function of the call's own arguments."""
    cost: float | Callable[[Any], float] = 0.0
    """US dollars one call to the upstream costs, or a function of its result; counted as saved by each hit."""
    returns: Literal["json"] | None = None
    """`json`: the response's `.json()` is handed out, decoded after load or replay."""
    http: Literal["honour", "override"] = "honour"
    """Whether a response's Cache-Control may shorten or forbid storing."""
    compression: bool = True
    """Whether tiers outside the process may compress."""
    tiers: tuple[str, ...] | None = None
    """The names of the tiers it uses; None: all."""
    no_store: NoStore = ()
    """Parameters that make a call go straight through when they are given and truthy, or a function that tells."""
    record: bool = False
    """Whether the usage log keeps the parameters of its calls."""
    threads: bool = False
    """Whether a sync operation, as one of many in `cached_api_calls`, may leave its caller's thread."""
    pace: float = 0.0
    """How many times as fast as at first a stored stream's chunks are replayed; 0: at once."""
    mode: str | None = None
    """What `Switch.parse` reads: off, observe, shadow, on, or `25%` of the keys; None: the cache's."""

    def merged(self, options: Mapping[str, Any]) -> "Policy":
        """This policy with `options` over it; raises InputError for an unknown name or a bad value."""
        if not options:
            return self
        changes = checked(options)
        return msgspec.structs.replace(self, **changes)

    def current_scope(self) -> object:
        """Whose answer a call made now is; raises what the scope's function raises."""
        return self.scope() if callable(self.scope) else self.scope

    @property
    def stale_if_error_seconds(self) -> float:
        """Seconds past the ttl that an entry is served when the load fails."""
        return self.grace if self.stale_if_error is None else self.stale_if_error

    @property
    def retention(self) -> float:
        """Seconds past the ttl that an entry is kept."""
        return max(self.grace, self.stale_while_revalidate, self.stale_if_error_seconds)


def checked(options: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of Policy that options change, in the form that it holds; raises InputError as `merged` does."""
    for name in options:
        if name not in OPTIONS:
            raise InputError(f"unknown policy option {name!r}; {did_you_mean(name, OPTIONS)}")
    changes = {name: _CHECKS[name](name, value) for name, value in options.items() if name != "preset"}
    if "preset" not in options:
        return changes
    ttl = changes.get("ttl")
    return preset_options(options["preset"], None if callable(ttl) else ttl) | changes


_Check = Callable[[str, Any], Any]


def _refusal(name: str, value: object, known: str) -> InputError:
    return InputError(f"policy option {name}={value!r}; {known}")


def _duration(name: str, value: Any) -> float:
    try:
        return seconds(value)
    except InputError as error:
        raise InputError(f"policy option {name}: {error}") from None


def _ttl(name: str, value: Any) -> Any:
    return value if callable(value) else _duration(name, value)


def _optional_duration(name: str, value: Any) -> float | None:
    return None if value is None else _duration(name, value)


def _timeout(name: str, value: Any) -> float | None:
    length = _optional_duration(name, value)
    if length == 0:
        raise _refusal(name, value, "give a duration of more than zero such as '2s', or None for no limit")
    return length


def _number(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < math.inf:
        raise _refusal(name, value, "give a number of zero or more")
    return float(value)


def _cost(name: str, value: Any) -> Any:
    return value if callable(value) else _number(name, value)


def _share(name: str, value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise _refusal(name, value, "give a part from 0 to 1 such as 0.1")
    return float(value)


def _beta(name: str, value: Any) -> float:
    return float(value) if isinstance(value, bool) else _number(name, value)


def _flag(name: str, value: Any) -> bool:
    if not isinstance(value, bool):
        raise _refusal(name, value, "give true or false")
    return value


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _refusal(name, value, f"give text such as {str(value)!r}")
    return value


def _key(name: str, value: Any) -> Any:
    return value if value is None or callable(value) else _text(name, value)


def _names(name: str, value: Any) -> tuple[str, ...]:
    if isinstance(value, str):
        raise _refusal(name, value, f"give a list such as [{value!r}]")
    if not isinstance(value, list | tuple | set | frozenset) or not all(isinstance(item, str) for item in value):
        raise _refusal(name, value, "give a list of texts")
    return tuple(sorted(value) if isinstance(value, set | frozenset) else value)


def _names_or_function(name: str, value: Any) -> Any:
    return value if callable(value) else _names(name, value)


def _optional_names(name: str, value: Any) -> tuple[str, ...] | None:
    return None if value is None else _names(name, value)


def _mode(name: str, value: Any) -> str | None:
    if value is None:
        return None
    try:
        return str(Switch.parse(value))
    except InputError as error:
        raise InputError(f"policy option {name}: {error}") from None


def _choice(*choices: object) -> _Check:
    def check(name: str, value: Any) -> Any:
        if value not in choices:
            raise _refusal(name, value, f"known: {', '.join(map(repr, choices))}")
        return value

    return check


_CHECKS: Final[Mapping[str, _Check]] = {
    "ttl": _ttl,
    "jitter": _share,
    "grace": _duration,
    "stale_while_revalidate": _duration,
    "stale_if_error": _optional_duration,
    "early_refresh": _beta,
    "soft_timeout": _timeout,
    "hard_timeout": _timeout,
    "negative_ttl": _duration,
    "tags": _names_or_function,
    "invalidates": _names_or_function,
    "version": _text,
    "namespace": _text,
    "scope": lambda _name, value: value,
    "key": _key,
    "cost": _cost,
    "returns": _choice(None, "json"),
    "http": _choice("honour", "override"),
    "compression": _flag,
    "tiers": _optional_names,
    "no_store": _names_or_function,
    "record": _flag,
    "threads": _flag,
    "pace": _number,
    "mode": _mode,
}
OPTIONS: Final = frozenset({*_CHECKS, "preset"})
"""The names that `merged` takes."""

DEFAULT = Policy(ttl=300.0)
"""Five minutes, the shortest life that the source document gives user-specific data."""

OPERATION_TTL: Final[Mapping[str, float]] = {
    "embedding": 24 * 3600.0,  # embeddings rarely change
    "completion": 3600.0,  # balance of freshness and cost
    "analysis": 30 * 60.0,  # moderate freshness needs
}
"""Seconds, from the source document's "Optimal TTLs Discovered"."""


def policy_for(operation: str, options: Mapping[str, Any]) -> Policy:
    """The policy of an operation of that name before any call's own options."""
    base = DEFAULT.merged({"ttl": OPERATION_TTL.get(operation, DEFAULT.ttl)})
    return base.merged(options)
