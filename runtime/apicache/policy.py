"""Policies: what applies to an operation's calls, cascading global -> operation -> call."""

import datetime as dt
import math
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal, TypedDict

import msgspec

from apicache.errors import InputError, did_you_mean

Duration = float | dt.timedelta | str
"""Seconds, a timedelta, or text such as `90s`, `30m`, `24h`, `7d`, `1h30m`."""

_UNIT_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0, "w": 604800.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|min|[smhdw])\s*")


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
    parts = _PART.findall(text)
    if not parts or _PART.sub("", text.strip()):
        raise InputError(f"the duration {text!r} is not understood; give seconds or for example '90s', '30m', '24h'")
    return sum(float(number) * _UNIT_SECONDS[unit] for number, unit in parts)


class PolicyOptions(TypedDict, total=False):
    """What `operation`, `cached` and `using` take."""

    ttl: Duration
    version: str
    namespace: str
    scope: object
    key: str | Callable[..., object]
    cost: float
    returns: Literal["json"] | None
    http: Literal["honour", "override"]


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """One operation's policy, in force after the cascade."""

    ttl: float
    """Seconds an entry is served for; 0 stores nothing."""
    version: str = "1"
    """Raise it when the operation's answers change shape: entries of other versions are not found."""
    namespace: str = ""
    scope: object = None
    """Whose answer it is (a tenant, a user): part of the key by its content, never stored."""
    key: str | Callable[..., object] | None = None
    """Replaces what identifies the call: text, or a function of the call's own arguments."""
    cost: float = 0.0
    """US dollars one call to the upstream costs; counted as saved by each hit."""
    returns: Literal["json"] | None = None
    """`json`: the response's `.json()` is handed out, decoded after load or replay."""
    http: Literal["honour", "override"] = "honour"
    """Whether a response's Cache-Control may shorten or forbid storing."""

    def merged(self, options: Mapping[str, Any]) -> "Policy":
        """This policy with `options` over it; raises InputError for an unknown name or a bad value."""
        if not options:
            return self
        for name in options:
            if name not in self.__struct_fields__:
                hint = did_you_mean(name, self.__struct_fields__)
                raise InputError(f"unknown policy option {name!r}; {hint}")
        changes = dict(options)
        if "ttl" in changes:
            changes["ttl"] = seconds(changes["ttl"])
        _check_choice(changes, "returns", (None, "json"))
        _check_choice(changes, "http", ("honour", "override"))
        return msgspec.structs.replace(self, **changes)


def _check_choice(changes: Mapping[str, Any], name: str, choices: tuple[object, ...]) -> None:
    if name in changes and changes[name] not in choices:
        raise InputError(f"policy option {name}={changes[name]!r}; known: {', '.join(map(repr, choices))}")


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
