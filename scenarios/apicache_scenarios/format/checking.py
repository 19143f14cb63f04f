"""Holds entries against the operations they name: which parameters there are, and of which types."""

import difflib
import inspect
import re
import typing
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from apicache.operations import Operation
from apicache_scenarios.format.document import Located
from apicache_scenarios.format.entries import ENTRY_KEYS, Entry
from apicache_scenarios.format.problems import Place, Problems, suggestion
from apicache_scenarios.format.reading import shown

_CONVERTED_PATH: Final = re.compile(r" - at `\$(?P<path>.*)`$")
_PATH_STEP: Final = re.compile(r"\[(?P<index>\d+)\]|\.(?P<key>[^.\[]+)")


class _UncheckedType(Exception):  # noqa: N818 - a signal, caught in this file
    """The annotation holds a class that YAML values cannot be converted to."""


class WrongValueError(Exception):
    """A value, or a part of one, is not of the annotated type."""

    def __init__(self, place: Place, message: str) -> None:
        super().__init__(message)
        self.place = place
        self.message = message


class Accepted:
    """The parameters that one operation takes by name."""

    def __init__(self, operation: Operation) -> None:
        parameters = operation.signature.parameters.values()
        self._names = operation.names
        self._required = operation.required
        self._takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        self._annotations = _annotations(operation)

    def takes(self, entry: Entry, problems: Problems) -> bool:
        """Whether an entry gives the operation what it needs, by names; what it does not take is noted."""
        before = len(problems)
        for name in entry.params:
            if name not in self._names and not self._takes_any:
                message = f"{entry.operation} has no parameter {name!r}{self._hint(name)}"
                problems.add(entry.path, entry.param_places[name], message)
        for name in sorted(self._required - entry.params.keys()):
            remedy = (
                f"give it under params:, {name}: here belongs to the entry" if name in ENTRY_KEYS else f"add {name}:"
            )
            problems.add(entry.path, entry.place, f"{entry.operation} needs parameter {name!r}; {remedy}")
        return len(problems) == before

    def _hint(self, name: str) -> str:
        nearest = difflib.get_close_matches(name, {*self._names, *ENTRY_KEYS}, n=1)
        return f"; did you mean {nearest[0]!r}?" if nearest else suggestion(name, self._names)

    def converted(self, name: str, given: Located, *, from_text: bool = False) -> Any:
        """A parameter as the operation's annotation has it; raises WrongValueError.

        Strictly (no `"1"` for an int), but for what comes from a data file that knows texts only.
        """
        annotation = self._annotations.get(name, Any) if name in self._names else Any
        return _converted(given, annotation, strict=not from_text)


def _annotations(operation: Operation) -> Mapping[str, Any]:
    """Resolved annotations; those that cannot be resolved are left out, their parameters go unchecked."""
    try:
        return typing.get_type_hints(operation.function)
    except Exception:  # noqa: BLE001 - resolving runs the application's own expressions, which may raise anything
        annotated = {p.name: p.annotation for p in operation.signature.parameters.values()}
        empty = inspect.Parameter.empty
        return {name: hint for name, hint in annotated.items() if not isinstance(hint, str) and hint is not empty}


def _converted(given: Located, annotation: Any, *, strict: bool) -> Any:
    """The plain value as the annotation has it; unsupported annotations pass it on."""
    plain = given.plain()
    try:
        converted = msgspec.convert(plain, annotation, strict=strict, dec_hook=_refuse_custom)
    except (_UncheckedType, TypeError):  # TypeError: a union or type that msgspec does not model
        return plain
    except msgspec.ValidationError as error:
        text = str(error)
        at = _CONVERTED_PATH.search(text)
        culprit = _walk(given, at["path"]) if at else given
        raise WrongValueError(culprit.place, _worded(text if at is None else text[: at.start()], culprit)) from error
    lost = _lost_key(given, msgspec.to_builtins(converted, enc_hook=lambda value: value))
    if lost is not None:
        raise WrongValueError(*lost)
    return converted


def _refuse_custom(expected: type, value: Any) -> Any:
    raise _UncheckedType(expected, value)


def _worded(message: str, culprit: Located) -> str:
    quotable = "Expected `str`" in message and not isinstance(culprit.value, dict | list | None)
    return f"{shown(culprit)}: {message[:1].lower()}{message[1:]}{'; quote it' if quotable else ''}"


def _walk(given: Located, path: str) -> Located:
    """The part of the value that msgspec's path (`[0].role`) points at, as far as the path can be followed."""
    for step in _PATH_STEP.finditer(path):
        index, key = step["index"], step["key"]
        if isinstance(given.value, list) and index is not None and int(index) < len(given.value):
            given = given.value[int(index)]
        elif isinstance(given.value, dict) and key in given.value:
            given = given.value[key]
        else:
            break
    return given


def _lost_key(given: Located, converted: Any) -> tuple[Place, str] | None:
    """A key that the annotated type has no place for: converting would drop it and change the request silently."""
    if isinstance(given.value, dict) and isinstance(converted, dict):
        for key, value in given.value.items():
            # A mapping with other keys than text comes back with its keys converted.
            if isinstance(key, str) and key not in converted and all(isinstance(known, str) for known in converted):
                return given.key_places[key], f"has no place for key {key!r}{suggestion(key, converted)}"
            lost = _lost_key(value, converted.get(key))
            if lost is not None:
                return lost
    elif isinstance(given.value, list) and isinstance(converted, list | tuple) and len(converted) == len(given.value):
        for value, item in zip(given.value, converted, strict=True):
            lost = _lost_key(value, item)
            if lost is not None:
                return lost
    return None
