"""The parameters of the built-in operations, checked once for all providers, and JSON bodies made of them.

completion(prompt | messages, system, max_tokens, temperature, stop, extra)
analysis(prompt, data, and the same options): asks for an analysis, with the data appended as JSON
embedding(text | texts, dimensions)
"""

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, NoReturn
from urllib.parse import urlsplit

import msgspec

from apicache.errors import InputError, did_you_mean
from apicache.provider import ProviderCall

DEFAULT_MAX_TOKENS: Final = 8192
"""For providers that demand a bound; models that think before they answer count their thoughts too."""

_OPTIONS: Final = frozenset({"system", "max_tokens", "temperature", "stop", "extra"})
CHAT_PARAMETERS: Final = _OPTIONS | {"prompt", "messages"}
ANALYSIS_PARAMETERS: Final = _OPTIONS | {"prompt", "data"}
EMBEDDING_PARAMETERS: Final = frozenset({"text", "texts", "dimensions", "extra"})
_SYSTEM_ROLES: Final = frozenset({"system", "developer"})
_RESERVED: Final = frozenset({"model", "stream"})

ANALYST_PROMPT: Final = (
    "You are an analyst. Analyse what you are given: state the findings that matter, each with the evidence for it, "
    "then what follows from them. Use only the data that is given; say so where it does not settle a question."
)


class Chat(msgspec.Struct, frozen=True, kw_only=True):
    """A call of `completion` or `analysis`."""

    system: str | None
    messages: Sequence[Mapping[str, Any]]
    """Without those that the system prompt is made of."""
    prompt: str | None
    """The text of the one message there is; None for a conversation."""
    max_tokens: int | None
    temperature: float | None
    stop: Sequence[str]
    extra: Mapping[str, Any]


class EmbeddingInput(msgspec.Struct, frozen=True, kw_only=True):
    """A call of `embedding`."""

    texts: Sequence[str]
    is_batch: bool
    """Whether a list is answered."""
    dimensions: int | None
    extra: Mapping[str, Any]


def check_operation(provider: str, operation: str, operations: Iterable[str]) -> None:
    """Raises InputError for an operation that the provider has not."""
    if operation not in operations:
        raise InputError(f"provider {provider!r} has no operation {operation!r}; {did_you_mean(operation, operations)}")


def chat_of(provider: str, call: ProviderCall) -> Chat:
    """The call's parameters; raises InputError naming the one that does not fit."""
    given = _given(call)
    is_analysis = call.operation == "analysis"
    _check_names(provider, call.operation, given, ANALYSIS_PARAMETERS if is_analysis else CHAT_PARAMETERS)
    system = _typed(given, "system", str)
    if is_analysis:
        prompt = _analysis_prompt(given)
        system = f"{ANALYST_PROMPT}\n\n{system}" if system else ANALYST_PROMPT
        messages: list[Mapping[str, Any]] = [{"role": "user", "content": prompt}]
    else:
        system, messages = _conversation(given, system)
    only = messages[0]["content"] if len(messages) == 1 and messages[0].get("role") == "user" else None
    return Chat(
        system=system,
        messages=messages,
        prompt=only if isinstance(only, str) else None,
        max_tokens=_positive(given, "max_tokens"),
        temperature=_temperature(given),
        stop=_stop(given),
        extra=_extra(given),
    )


def embedding_of(provider: str, call: ProviderCall) -> EmbeddingInput:
    """The call's parameters; raises InputError naming the one that does not fit."""
    given = _given(call)
    _check_names(provider, call.operation, given, EMBEDDING_PARAMETERS)
    if "text" in call.parameters and "text" not in given and "texts" not in given:  # None, of one who has no other name
        raise InputError(f"operation {call.operation!r} needs 'text': what is to be embedded")
    if ("text" in given) == ("texts" in given):
        raise InputError(f"operation {call.operation!r} takes either 'text' or 'texts'; give one of them")
    is_batch = "texts" in given
    texts = given["texts"] if is_batch else [_typed(given, "text", str)]
    if isinstance(texts, str) or not isinstance(texts, Sequence) or not texts:
        raise InputError("parameter 'texts' has to be a list of at least one text")
    if not all(isinstance(text, str) for text in texts):
        raise InputError("parameter 'texts' has an item that is no text")
    return EmbeddingInput(
        texts=texts, is_batch=is_batch, dimensions=_positive(given, "dimensions"), extra=_extra(given)
    )


def json_body(body: Mapping[str, Any], call: ProviderCall) -> bytes:
    """The body as JSON; raises InputError naming the parameter whose value JSON cannot carry."""
    try:
        return _json(dict(body) if isinstance(body, Mapping) else body).encode()
    except (TypeError, ValueError, RecursionError):
        pass
    for name, value in call.parameters.items():
        _check_json(name, value)
    raise InputError(f"the parameters of operation {call.operation!r} cannot be carried by JSON")


def header_value(variable: str, provider: str | None = None) -> str | None:
    """What an environment variable holds, for a header; None when it is not set or empty.

    Raises InputError when a header cannot carry it, and, for a provider that needs it, when there is none.
    """
    value = os.environ.get(variable, "").strip()
    if not value and provider is not None:
        raise InputError(f"provider {provider!r} needs its key: set the environment variable {variable}")
    if not (value.isascii() and value.isprintable()):
        raise InputError(f"environment variable {variable} holds characters that a header cannot carry; set it again")
    return value or None


def base_url(variable: str, configured: str | None, default: str) -> str:
    """The URL that paths are appended to: the variable's, else the configured one, else the default."""
    given = os.environ.get(variable, "").strip()
    return checked_url(given or configured or default, variable if given else "base_url").rstrip("/")


def checked_url(url: str, origin: str) -> str:
    """The URL itself; raises InputError for one that no HTTP request can be sent to, without showing it."""
    try:
        parts = urlsplit(url)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        usable = False
    if not usable or any(character.isspace() for character in url):
        raise InputError(f"{origin} is not an HTTP URL; give one like https://host/v1")
    return url


def _given(call: ProviderCall) -> dict[str, Any]:
    """The parameters that say something: None stands for not given."""
    return {name: value for name, value in call.parameters.items() if value is not None}


def _check_names(provider: str, operation: str, given: Iterable[str], known: Iterable[str]) -> None:
    for name in given:
        if name not in known:
            hint = did_you_mean(name, known)
            raise InputError(
                f"provider {provider!r} cannot carry parameter {name!r} of operation {operation!r}; {hint} "
                "What its API takes besides belongs in 'extra'"
            )


def _typed(given: Mapping[str, Any], name: str, kind: type) -> Any:
    value = given.get(name)
    if value is not None and not isinstance(value, kind):
        raise InputError(f"parameter {name!r} is of type {type(value).__name__}; give {kind.__name__}")
    return value


def _positive(given: Mapping[str, Any], name: str) -> int | None:
    value = given.get(name)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
        raise InputError(f"parameter {name!r} has to be a whole number above 0")
    return value


def _temperature(given: Mapping[str, Any]) -> float | None:
    value = given.get("temperature")
    if value is not None and (not isinstance(value, int | float) or isinstance(value, bool) or not value >= 0):
        raise InputError("parameter 'temperature' has to be a number, 0 or more")
    return value


def _stop(given: Mapping[str, Any]) -> Sequence[str]:
    value = given.get("stop", ())
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InputError("parameter 'stop' has to be a text or a list of texts")
    return list(texts)


def _extra(given: Mapping[str, Any]) -> Mapping[str, Any]:
    value = given.get("extra", {})
    if not isinstance(value, Mapping):
        raise InputError("parameter 'extra' has to be a mapping of what is added to the body")
    for name in value:
        if name in _RESERVED:
            raise InputError(f"parameter 'extra' cannot hold {name!r}: apicache sets it itself; leave it out")
    return value


def _analysis_prompt(given: Mapping[str, Any]) -> str:
    prompt = _typed(given, "prompt", str)
    if prompt is None:
        raise InputError("operation 'analysis' needs 'prompt': what is to be analysed")
    if "data" not in given:
        return str(prompt)
    _check_json("data", given["data"])
    return f"{prompt}\n\nData, as JSON:\n{_json(given['data'])}"


def _conversation(given: Mapping[str, Any], system: str | None) -> tuple[str | None, list[Mapping[str, Any]]]:
    """The system prompt and the messages; a prompt is a conversation of one message."""
    if ("prompt" in given) == ("messages" in given):
        raise InputError("operation 'completion' takes either 'prompt' or 'messages'; give one of them")
    if "prompt" in given:
        return system, [{"role": "user", "content": _typed(given, "prompt", str)}]
    messages = given["messages"]
    if not isinstance(messages, list | tuple) or not messages:
        raise InputError("parameter 'messages' has to be a list of at least one message")
    for message in messages:
        if not isinstance(message, Mapping) or not isinstance(message.get("role"), str) or "content" not in message:
            raise InputError("parameter 'messages' has an item without 'role' and 'content'")
    leading = 0
    while leading < len(messages) and messages[leading]["role"] in _SYSTEM_ROLES:
        leading += 1
    texts = [message["content"] for message in messages[:leading]]
    rest = list(messages[leading:])
    if not rest or not all(isinstance(text, str) for text in texts):
        raise InputError(
            "parameter 'messages' has to begin with system messages of plain text, if any, then the others"
        )
    return "\n\n".join(([system] if system else []) + texts) or None, rest


def _check_json(name: str, value: Any) -> None:
    """Raises InputError naming the parameter, and the type that JSON has no form for; never the value."""

    def refuse(other: Any) -> NoReturn:
        raise InputError(
            f"parameter {name!r} holds a {type(other).__name__}, which JSON cannot carry; convert it first"
        )

    try:
        json.dumps(value, default=refuse, allow_nan=False, ensure_ascii=False).encode()
    except InputError:
        raise
    except (TypeError, ValueError, RecursionError):
        raise InputError(
            f"parameter {name!r} cannot be carried by JSON (NaN, infinity, a key that is no text, a lone surrogate, or "
            "something that contains itself); convert it first"
        ) from None


def _json(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
