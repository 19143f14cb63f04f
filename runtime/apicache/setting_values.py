"""Values of settings: each checked by its name, and shown without what is secret in it."""

import re
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from apicache.chain.prices import price_from
from apicache.chain.settings import BY_PROVIDER, NUMBERS, option_of
from apicache.credentials import storable_path
from apicache.errors import InputError, did_you_mean
from apicache.modes import Switch
from apicache.policy import OPTIONS, checked, seconds
from apicache.tiers import known as known_tiers
from apicache.tiers import options as options_of_tier

SettingPath = tuple[str, ...]
"""A setting's name in parts: `("policy", "ttl")`, `("tiers", "redis", "url")`, `("operations", NAME, "ttl")`."""

CODE_ONLY: Final = frozenset({"key", "returns"})
"""Policy options that a configuration must not change: they decide which calls share an answer, and its type."""
CONFIGURABLE: Final = OPTIONS - CODE_ONLY

_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off"})
_NUMBERS: Final = frozenset({"jitter", "early_refresh", "cost", "pace"})
_FLAGS: Final = frozenset({"compression", "record", "threads"})
_LISTS: Final = frozenset({"tags", "invalidates", "tiers", "no_store"})
_DURATIONS: Final = frozenset({"ttl", "grace", "stale_while_revalidate", "negative_ttl"})
_OPTIONAL_DURATIONS: Final = frozenset({"stale_if_error", "soft_timeout", "hard_timeout"})
_OPTIONAL: Final = _OPTIONAL_DURATIONS | {"mode", "tiers"}

_MODULE: Final = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*")
_SECRET_NAME: Final = re.compile(r"pass|secret|token|user|credential|(^|_)(key|auth)$|^scope$", re.IGNORECASE)
_URL: Final = re.compile(r"([a-z][a-z0-9+.-]*://)(?:\S*@)?([^\s?#]*)\S*", re.IGNORECASE)
_AFTER_URL: Final = "'\".,;:)]}>"
"""What may follow a URL in a text without being a part of it."""


def value_of(path: SettingPath, given: Any, *, is_text: bool) -> Any:
    """The value of a setting in the form that Settings holds; raises InputError.

    `is_text`: it comes from an environment variable, where numbers, flags and lists are texts.
    """
    if path[0] == "tiers" and len(path) > 1:
        return _tier_option(path[1], path[2], given, is_text=is_text)
    if path[0] in {"policy", "operations"}:
        return _policy_option(path[-1], given, is_text=is_text)
    if path[0] == "prices":
        return price_from(path[1], given)
    if path[0] == "providers":
        return _providers_option(path[1:], given, is_text=is_text)
    return _TOP[path[0]](given)


def _policy_option(name: str, given: Any, *, is_text: bool) -> Any:
    if name in CODE_ONLY:
        raise InputError(f"policy option {name!r} is given in code, it decides what an answer is; leave it out")
    if name not in CONFIGURABLE:
        raise InputError(f"unknown policy option {name!r}; {did_you_mean(name, CONFIGURABLE)}")
    if isinstance(given, str):
        given = _policy_text(name, given, is_text=is_text)
    if name == "scope" and not isinstance(given, str):
        raise InputError(f"policy option scope of type {type(given).__name__}; give text")
    found = checked({name: given})
    if found.get("tiers"):
        _tier_names(found["tiers"])
    return given if name == "preset" else found[name]


def _providers_option(path: SettingPath, given: Any, *, is_text: bool) -> Any:
    """A value of `[tool.apicache.providers]`; a provider's own are checked when it is built."""
    name = path[0]
    if len(path) > 1:
        return option_of(name, {path[1]: given})[path[1]] if name in BY_PROVIDER else given
    if isinstance(given, str) and given.strip().lower() == "none" and name == "proxy":
        return None
    if is_text and name in NUMBERS:
        number = _number(given)
        given = int(number) if isinstance(number, float) and number.is_integer() else number
    return option_of(name, given)


def _policy_text(name: str, text: str, *, is_text: bool) -> Any:
    """What a text stands for; TOML, which has no null, writes `none` too."""
    if name in _OPTIONAL and text.strip().lower() == "none":
        return None
    if not is_text:
        return text
    if name in _FLAGS:
        return flag(text)
    if name in _LISTS:
        return listed(text)
    if name == "early_refresh" and text.strip().lower() in _TRUE | _FALSE - {"0", "1"}:
        return flag(text)
    return _number(text) if name in _NUMBERS | _DURATIONS | _OPTIONAL_DURATIONS else text


def _number(text: str) -> float | str:
    """The number that a text is, else the text."""
    try:
        return float(text)
    except ValueError:
        return text


def flag(given: Any) -> bool:
    """True or false, in TOML or in text; raises InputError."""
    if isinstance(given, bool):
        return given
    word = given.strip().lower() if isinstance(given, str) else ""
    if word not in _TRUE | _FALSE:
        raise InputError(f"{given!r} is neither true nor false; give true or false")
    return word in _TRUE


def listed(given: Any) -> tuple[str, ...]:
    """Texts: a list of them, or one text with commas between them; raises InputError."""
    if isinstance(given, str):
        return tuple(part.strip() for part in given.split(",") if part.strip())
    if not isinstance(given, list | tuple) or not all(isinstance(item, str) for item in given):
        raise InputError(f"{given!r} is not a list of texts")
    return tuple(given)


def _length(given: Any) -> float:
    return seconds(_number(given) if isinstance(given, str) else given)


def _timeout(given: Any) -> float:
    length = _length(given)
    if length == 0:
        raise InputError("a tier's timeout is more than zero; give for example 0.25")
    return length


def _tier_names(given: Any) -> tuple[str, ...]:
    names, known = listed(given), known_tiers()
    for name in names:
        if name not in known:
            raise InputError(f"unknown tier {name!r}; {did_you_mean(name, known)}")
    if not names or len(set(names)) != len(names):
        raise InputError(f"tiers {', '.join(names)!r}; name each once, nearest first: 'memory', 'disk'")
    return names


def _module_prefixes(given: Any) -> tuple[str, ...]:
    prefixes = listed(given)
    for prefix in prefixes:
        if not _MODULE.fullmatch(prefix):
            raise InputError(f"{prefix!r} is no module's name; give for example 'shop.models'")
    return prefixes


def _text(given: Any) -> str:
    if not isinstance(given, str) or not given:
        raise InputError(f"{given!r} is no text")
    return given


_TOP: Final[Mapping[str, Callable[[Any], Any]]] = {
    "mode": Switch.parse,
    "dir": _text,
    "tiers": _tier_names,
    "tier_timeout": _timeout,
    "usage_log": flag,
    "usage_retention": _length,
    "allow_modules": _module_prefixes,
}
TOP: Final = frozenset(_TOP)
"""The settings that belong to no section."""


def _tier_option(tier: str, option: str, given: Any, *, is_text: bool) -> Any:
    """A value of one of a tier's own settings. Refusals never show it: it may hold a password."""
    try:
        fields = {field.name: field.type for field in msgspec.structs.fields(options_of_tier(tier))}
    except (InputError, ImportError):
        return given  # the tier's library is missing, which building the tier reports
    if option not in fields:
        raise InputError(f"tier {tier} has no option {option!r}; {did_you_mean(option, fields)}")
    try:
        return msgspec.convert(given, fields[option], strict=not is_text)
    except msgspec.ValidationError:
        expected = getattr(fields[option], "__name__", str(fields[option]))
        raise InputError(f"the value of {option} does not fit; expected: {expected}") from None


def shown(name: str, value: Any) -> Any:
    """A setting's value as it may be shown: URLs without credentials and query, nothing of what is secret by name."""
    if value is not None and not isinstance(value, bool) and _SECRET_NAME.search(name.rpartition(".")[2]):
        return "(given)"
    if isinstance(value, str):
        is_other = name.endswith("url") and value and "://" not in value
        return "(given)" if is_other else without_credentials(value)
    if isinstance(value, tuple | list):
        return [shown(name, item) for item in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)


def without_credentials(text: str) -> str:
    """A text with every URL in it cut down to scheme, host, port and path, the path as `storable_path`."""
    return _URL.sub(_cut_down, text)


def _cut_down(url: re.Match[str]) -> str:
    place = url[2].rstrip(_AFTER_URL)
    host, slash, path = place.partition("/")
    return f"{url[1]}{host}{slash}{storable_path(path)}{url[2][len(place) :]}"
