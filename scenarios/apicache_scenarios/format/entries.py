"""The scenario format: which calls a file declares, before anything is known about the application.

A bare list of entries is a whole file; `{version: 1, scenarios: [...]}` is the same with a version. An entry names its
`operation` and gives the parameters beside it, or under `params:` when a parameter is called like a key of the format.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from apicache_scenarios.document import Located, read_document
from apicache_scenarios.problems import Problems, suggestion

VERSION = 1
FILE_KEYS = ("version", "scenarios")
ENTRY_KEYS = ("operation", "name", "params")


class DeclaredScenario(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as written: `params` and their lines are not yet held against any operation."""

    path: Path
    line: int
    operation: str
    operation_line: int
    name: str | None
    params: Mapping[str, Located]
    param_lines: Mapping[Any, int]


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One call that a file declares, with its parameters converted to the operation's annotations."""

    path: Path
    line: int
    operation: str
    params: Mapping[str, Any]
    name: str | None = None

    @property
    def place(self) -> str:
        """`path:line` of the entry."""
        return f"{self.path}:{self.line}"

    def call(self) -> dict[str, Any]:
        """The entry as `warm_cache` takes it: `{"operation": ..., **params}`."""
        return {**self.params, "operation": self.operation}


def declared_scenarios(paths: Sequence[Path], problems: Problems) -> list[DeclaredScenario]:
    """Every entry of the files, in order; what is not an entry is noted in `problems`."""
    declared = []
    for path in paths:
        document = read_document(path, problems)
        if document is None:
            continue
        for entry in _entries(path, document, problems):
            scenario = _declared(path, entry, problems)
            if scenario is not None:
                declared.append(scenario)
    return declared


def _entries(path: Path, document: Located, problems: Problems) -> list[Located]:
    top = document.value
    if isinstance(top, dict):
        _check_file_keys(path, document, problems)
        if "scenarios" not in top:
            return []
        document = top["scenarios"]
    if not isinstance(document.value, list):
        expected = "expected a list of entries such as {operation: completion, prompt: ...}"
        problems.add(path, document.line, f"{shown(document)} holds no scenarios; {expected}")
        return []
    if not document.value:
        problems.add(path, document.line, "the list of scenarios is empty; expected at least one entry")
    entries: list[Located] = document.value
    return entries


def _check_file_keys(path: Path, document: Located, problems: Problems) -> None:
    top = document.value
    for key in top:
        if key not in FILE_KEYS:
            hint = "; start the entry with '- '" if key == "operation" else suggestion(str(key), FILE_KEYS)
            problems.add(path, document.key_lines[key], f"unknown key {key!r}{hint}")
    version = top.get("version")
    if version is None:
        problems.add(path, document.line, f"no version given; expected version: {VERSION}")
    elif version.value != VERSION or isinstance(version.value, bool):
        problems.add(path, version.line, f"version {shown(version)} is not known; expected version: {VERSION}")
    if "scenarios" not in top:
        problems.add(path, document.line, "no scenarios given; expected scenarios: followed by a list of entries")


def _declared(path: Path, entry: Located, problems: Problems) -> DeclaredScenario | None:
    if not isinstance(entry.value, dict):
        expected = "expected an entry such as {operation: completion, prompt: ...}"
        problems.add(path, entry.line, f"{shown(entry)} is not an entry; {expected}")
        return None
    fields: dict[Any, Located] = entry.value
    for key in fields:
        if not isinstance(key, str):
            problems.add(path, entry.key_lines[key], f"key {key!r} is not text; quote it")
            return None
    name = fields.get("name")
    if name is not None and not isinstance(name.value, str):
        problems.add(path, name.line, f"name {shown(name)} is not text; expected a str, quote it")
    params, lines = _parameters(path, entry, problems)
    operation = fields.get("operation")
    if operation is None:
        problems.add(path, entry.line, "no operation given; expected operation: NAME")
        return None
    if not isinstance(operation.value, str):
        problems.add(path, operation.line, f"operation {shown(operation)} is not text; expected a str, quote it")
        return None
    return DeclaredScenario(
        path=path,
        line=entry.line,
        operation=operation.value,
        operation_line=entry.key_lines["operation"],
        name=name.value if name is not None and isinstance(name.value, str) else None,
        params=params,
        param_lines=lines,
    )


def _parameters(path: Path, entry: Located, problems: Problems) -> tuple[dict[str, Located], Mapping[Any, int]]:
    beside = {key: value for key, value in entry.value.items() if key not in ENTRY_KEYS}
    params = entry.value.get("params")
    if params is None:
        return beside, entry.key_lines
    for key in beside:
        message = f"{key!r} stands beside params:; expected every parameter under params:, move it there"
        problems.add(path, entry.key_lines[key], message)
    if not isinstance(params.value, dict):
        problems.add(
            path, params.line, f"params {shown(params)} is not a mapping of parameters; expected {{name: value}}"
        )
        return beside, entry.key_lines
    fields: dict[Any, Located] = params.value
    for key in fields:
        if not isinstance(key, str):
            problems.add(path, params.key_lines[key], f"parameter {key!r} is not text; quote it")
    return {key: value for key, value in fields.items() if isinstance(key, str)}, params.key_lines


def shown(located: Located) -> str:
    """A value as an error quotes it, shortened."""
    text = repr(located.plain())
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004 - a quoted value's width
