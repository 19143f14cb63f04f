"""The configuration of scan: the table `[tool.apicache.scan]` of `pyproject.toml`, or `[scan]` of `apicache.toml`."""

import tomllib
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias, cast, get_args

from apicache.errors import InputError, did_you_mean
from apicache_codemods.declared import VERB, Declared, DeclaredClient, DeclaredWrapper, is_specification
from apicache_codemods.model import Kind
from apicache_codemods.rule import selected
from apicache_codemods.scan import FailOn, ScanOptions

_PROJECT_FILE: Final = "pyproject.toml"
_OWN_FILE: Final = "apicache.toml"

_Check: TypeAlias = tuple[Callable[[Any], bool], str]
_TEXT: Final[_Check] = (lambda value: isinstance(value, str) and bool(value), "a text")
_TEXTS: Final[_Check] = (
    lambda value: isinstance(value, list) and all(isinstance(each, str) and each for each in value),
    "a list of texts",
)
_FLAG: Final[_Check] = (lambda value: isinstance(value, bool), "true or false")
_FAIL_ON: Final[_Check] = (lambda value: value in get_args(FailOn), "'any', 'new' or 'never'")
_KIND: Final[_Check] = (lambda value: value in get_args(Kind), "'http', 'llm' or 'db'")
_TABLES: Final[_Check] = (
    lambda value: isinstance(value, list) and all(isinstance(each, dict) for each in value),
    "a list of tables; write it as [[tool.apicache.scan.client]] or [[tool.apicache.scan.wrapper]]",
)
_NAME: Final[_Check] = (
    lambda value: isinstance(value, str) and "." in value and all(map(str.isidentifier, value.split("."))),
    "a qualified name such as 'acme.Client'",
)
_CALLS: Final[_Check] = (
    lambda value: isinstance(value, dict) and bool(value) and all(map(_is_sent, value.values())),
    "a table of methods with what each sends, such as { fetch = 'GET {path}' }",
)
_SCAN: Final[Mapping[str, _Check]] = {
    "select": _TEXTS,
    "ignore": _TEXTS,
    "exclude": _TEXTS,
    "baseline": _TEXT,
    "fail_on": _FAIL_ON,
    "client": _TABLES,
    "wrapper": _TABLES,
}
_CLIENT: Final[Mapping[str, _Check]] = {
    "name": _NAME,
    "calls": _CALLS,
    "base_url": _TEXT,
    "kind": _KIND,
    "async": _FLAG,
}
_WRAPPER: Final[Mapping[str, _Check]] = {
    "function": _NAME,
    "url": _TEXT,
    "method": _TEXT,
    "base_url": _TEXT,
    "kind": _KIND,
    "async": _FLAG,
}


def _is_sent(value: object) -> bool:
    return isinstance(value, str) and is_specification(value)


def scan_options(start: Path) -> ScanOptions:
    """What the project's files say about scans, seen from a folder; `apicache.toml` wins over `pyproject.toml`.

    The nearest file of each name, in `start` or above it, counts. Globs with a slash and the baseline's path are taken
    from the folder of the file that gives them. Raises InputError for a file that cannot be read, an unknown key, a
    value that does not fit, and a code of no rule.
    """
    found: dict[str, Any] = {}
    for file, keys in ((_PROJECT_FILE, ("tool", "apicache", "scan")), (_OWN_FILE, ("scan",))):
        path = next((folder / file for folder in (start, *start.parents) if (folder / file).is_file()), None)
        if path is not None:
            found |= _table_of(path, keys, start)
    options = ScanOptions(
        select=tuple(found.get("select", ())),
        ignore=tuple(found.get("ignore", ())),
        exclude=tuple(found.get("exclude", ())),
        baseline=found.get("baseline"),
        fail_on=cast("FailOn", found.get("fail_on", "never")),
        declared=Declared(found.get("client", ()), found.get("wrapper", ())),
    )
    selected(options.select, options.ignore)
    return options


def _table_of(path: Path, keys: Iterable[str], start: Path) -> Mapping[str, Any]:
    """The checked values of one file; empty when it has no such table."""
    table: Any = _document(path)
    walked = []
    for key in keys:
        walked.append(key)
        table = table.get(key, {})
        if not isinstance(table, dict):
            raise InputError(f"{path}: [{'.'.join(walked)}] is not a table")
    where = f"{path} [{'.'.join(walked)}]"
    values = _checked(table, _SCAN, where)
    if "exclude" in values and path.parent != start:
        folder = path.parent.as_posix()
        values["exclude"] = [f"{folder}/{glob}" if "/" in glob.rstrip("/") else glob for glob in values["exclude"]]
    if "baseline" in values:
        values["baseline"] = path.parent / values["baseline"]
    if "client" in values:
        values["client"] = tuple(_client(each, f"{where}.client") for each in values["client"])
    if "wrapper" in values:
        values["wrapper"] = tuple(_wrapper(each, f"{where}.wrapper") for each in values["wrapper"])
    return values


def _document(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read: {error}") from error


def _checked(
    table: Mapping[str, Any], known: Mapping[str, _Check], where: str, needed: Iterable[str] = ()
) -> dict[str, Any]:
    """The values by their names with underscores; raises InputError for what is unknown, missing, or does not fit."""
    values = {}
    for key, value in table.items():
        name = key.replace("-", "_")
        if name not in known:
            raise InputError(f"{where}: unknown key {key!r}; {did_you_mean(name, known)}")
        fits, wanted = known[name]
        if not fits(value):
            raise InputError(f"{where}: {key!r} is {value!r}; give {wanted}")
        values[name] = value
    for name in needed:
        if name not in values:
            raise InputError(f"{where}: {name!r} is missing; give {known[name][1]}")
    return values


def _client(table: Mapping[str, Any], where: str) -> DeclaredClient:
    values = _checked(table, _CLIENT, where, ("name", "calls"))
    return DeclaredClient(
        name=values["name"],
        calls=values["calls"],
        base_url=values.get("base_url"),
        kind=values.get("kind", "http"),
        is_async=values.get("async", False),
    )


def _wrapper(table: Mapping[str, Any], where: str) -> DeclaredWrapper:
    values = _checked(table, _WRAPPER, where, ("function", "url"))
    method = values.get("method", "GET")
    if not (VERB.fullmatch(method) or method.isidentifier()):
        raise InputError(f"{where}: 'method' is {method!r}; give a verb such as 'GET', or the parameter that holds it")
    return DeclaredWrapper(
        function=values["function"],
        url=values["url"],
        method=method,
        base_url=values.get("base_url"),
        kind=values.get("kind", "http"),
        is_async=values.get("async", False),
    )
