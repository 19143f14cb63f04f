"""Holds declared scenarios against the operations an application has registered."""

import inspect
import re
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from apicache.operations import Operation
from apicache_scenarios.document import Located
from apicache_scenarios.problems import Problems, suggestion
from apicache_scenarios.scenario import ENTRY_KEYS, DeclaredScenario, Scenario, declared_scenarios, shown

CONVERTED_PATH = re.compile(r" - at `\$(?P<path>.*)`$")
PATH_STEP = re.compile(r"\[(?P<index>\d+)\]|\.(?P<key>[^.\[]+)")


class _UncheckedType(Exception):  # noqa: N818 - a signal, caught in this file
    """The annotation holds a class that YAML values cannot be converted to."""


def load_scenarios(paths: Sequence[Path], operations: Mapping[str, Operation]) -> list[Scenario]:
    """The files' scenarios, ready to be called.

    Parameters are converted to the operation's annotations (`temperature: 0` becomes 0.0 for a float), so that their
    keys are those of live calls. Raises InputError that names every problem with its file and line.
    """
    problems = Problems()
    scenarios = checked(declared_scenarios(paths, problems), operations, problems)
    problems.refuse()
    return scenarios


def checked(
    declared: Sequence[DeclaredScenario], operations: Mapping[str, Operation], problems: Problems
) -> list[Scenario]:
    """The declared scenarios with their parameters converted; unknown names and wrong types are noted."""
    accepted = {name: _Accepted(operation) for name, operation in operations.items()}
    scenarios = []
    for entry in declared:
        if entry.operation not in accepted:
            hint = suggestion(entry.operation, accepted) or "; the application has registered none"
            problems.add(entry.path, entry.operation_line, f"unknown operation {entry.operation!r}{hint}")
            continue
        params = dict(accepted[entry.operation].converted(entry, problems))
        scenarios.append(
            Scenario(path=entry.path, line=entry.line, operation=entry.operation, params=params, name=entry.name)
        )
    return scenarios


class _Accepted:
    """The parameters that one operation takes by name."""

    def __init__(self, operation: Operation) -> None:
        parameters = operation.signature.parameters.values()
        self._names = operation.names
        self._required = operation.required
        self._takes_any = any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters)
        self._annotations = _annotations(operation)

    def converted(self, entry: DeclaredScenario, problems: Problems) -> Iterator[tuple[str, Any]]:
        """The entry's parameters, converted; what the operation does not take or still needs is noted."""
        for name, given in entry.params.items():
            if name not in self._names and not self._takes_any:
                message = f"{entry.operation} has no parameter {name!r}{suggestion(name, self._names)}"
                problems.add(entry.path, entry.param_lines[name], message)
                continue
            annotation = self._annotations.get(name, Any) if name in self._names else Any
            try:
                yield name, _converted(given, annotation)
            except _WrongValue as wrong:
                problems.add(entry.path, wrong.line, f"{entry.operation} parameter {name!r}: {wrong.message}")
        for name in sorted(self._required - entry.params.keys()):
            remedy = (
                f"give it under params:, {name}: here belongs to the entry" if name in ENTRY_KEYS else f"add {name}:"
            )
            problems.add(entry.path, entry.line, f"{entry.operation} needs parameter {name!r}; {remedy}")


class _WrongValue(Exception):  # noqa: N818 - a signal, caught in this file
    """A value, or a part of one, is not of the annotated type."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


def _annotations(operation: Operation) -> Mapping[str, Any]:
    """Resolved annotations; those that cannot be resolved are left out, their parameters go unchecked."""
    try:
        return typing.get_type_hints(operation.function)
    except Exception:  # noqa: BLE001 - resolving runs the application's own expressions, which may raise anything
        annotated = {p.name: p.annotation for p in operation.signature.parameters.values()}
        empty = inspect.Parameter.empty
        return {name: hint for name, hint in annotated.items() if not isinstance(hint, str) and hint is not empty}


def _converted(given: Located, annotation: Any) -> Any:
    """The plain value as the annotation has it, strictly (no `"1"` for an int); unsupported annotations pass it on."""
    plain = given.plain()
    try:
        converted = msgspec.convert(plain, annotation, dec_hook=_refuse_custom)
    except (_UncheckedType, TypeError):  # TypeError: a union or type that msgspec does not model
        return plain
    except msgspec.ValidationError as error:
        text = str(error)
        at = CONVERTED_PATH.search(text)
        culprit = _walk(given, at["path"]) if at else given
        raise _WrongValue(culprit.line, _worded(text if at is None else text[: at.start()], culprit)) from error
    lost = _lost_key(given, msgspec.to_builtins(converted, enc_hook=lambda value: value))
    if lost is not None:
        raise _WrongValue(*lost)
    return converted


def _refuse_custom(expected: type, value: Any) -> Any:
    raise _UncheckedType(expected, value)


def _worded(message: str, culprit: Located) -> str:
    quotable = "Expected `str`" in message and not isinstance(culprit.value, dict | list | None)
    return f"{shown(culprit)}: {message[:1].lower()}{message[1:]}{'; quote it' if quotable else ''}"


def _walk(given: Located, path: str) -> Located:
    """The part of the value that msgspec's path (`[0].role`) points at, as far as the path can be followed."""
    for step in PATH_STEP.finditer(path):
        index, key = step["index"], step["key"]
        if isinstance(given.value, list) and index is not None and int(index) < len(given.value):
            given = given.value[int(index)]
        elif isinstance(given.value, dict) and key in given.value:
            given = given.value[key]
        else:
            break
    return given


def _lost_key(given: Located, converted: Any) -> tuple[int, str] | None:
    """A key that the annotated type has no place for: converting would drop it and change the request silently."""
    if isinstance(given.value, dict) and isinstance(converted, dict):
        for key, value in given.value.items():
            # A mapping with other keys than text comes back with its keys converted.
            if isinstance(key, str) and key not in converted and all(isinstance(known, str) for known in converted):
                return given.key_lines[key], f"has no place for key {key!r}{suggestion(key, converted)}"
            lost = _lost_key(value, converted.get(key))
            if lost is not None:
                return lost
    elif isinstance(given.value, list) and isinstance(converted, list | tuple) and len(converted) == len(given.value):
        for value, item in zip(given.value, converted, strict=True):
            lost = _lost_key(value, item)
            if lost is not None:
                return lost
    return None
