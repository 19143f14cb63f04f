"""`${{ env.X }}`, `${{ matrix.x }}`, `${{ row.x }}` and `${{ params.x }}` in the texts of scenario files.

A text that is one reference becomes the value itself, with its type; within a longer text a value is written as text.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import msgspec

from apicache_scenarios.format.document import Located
from apicache_scenarios.format.problems import Place, suggestion

_REFERENCE: Final = re.compile(r"\$\{\{\s*(?P<written>[^}]*?)\s*\}\}")
_NAME: Final = re.compile(r"(?P<source>env|matrix|row|params)\.(?P<name>[^\s.}][^}]*)")
SOURCES: Final = ("env", "matrix", "row", "params")

Note = Callable[[Place, str], None]
Values = Mapping[str, Mapping[str, Any]]
"""What references stand for: by source, then by name."""


def references(value: Any) -> Iterator[tuple[str, str]]:
    """The references in a plain value, wherever in it, as (source, name); what is no reference has the source ''."""
    if isinstance(value, str):
        for found in _REFERENCE.finditer(value):
            name = _NAME.fullmatch(found["written"])
            yield (name["source"], name["name"].strip()) if name else ("", found["written"])
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from references(key)
            yield from references(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from references(item)


def filled(value: Any, values: Values) -> Any:
    """A fresh copy of a plain value with its references replaced, those of sources that `values` has not left as is."""
    if isinstance(value, str):
        return _filled_text(value, values) if "${{" in value else value
    if isinstance(value, Mapping):
        return {filled(key, values): filled(item, values) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [filled(item, values) for item in value]
    return value


def _filled_text(text: str, values: Values) -> Any:
    whole = _REFERENCE.fullmatch(text)
    if whole is not None:
        return _value(whole, values)
    return _REFERENCE.sub(lambda found: as_text(_value(found, values)), text)


def _value(found: re.Match[str], values: Values) -> Any:
    name = _NAME.fullmatch(found["written"])
    if name is None or name["source"] not in values:
        return found[0]
    return values[name["source"]][name["name"].strip()]


def as_text(value: Any) -> str:
    """A value within a longer text: as YAML and JSON write it."""
    if isinstance(value, str):
        return value
    if value is None or isinstance(value, bool | list | dict):
        return msgspec.json.encode(value).decode()
    return str(value)


def resolved(located: Located, environ: Mapping[str, str], note: Note) -> Located:
    """The value with each `${{ env.X }}` replaced, those inside its lists and mappings too; unset ones are noted."""
    if isinstance(located.value, str) and "${{" in located.value:
        names = {name for source, name in references(located.value) if source == "env"}
        for name in sorted(names - environ.keys()):
            note(located.place, f"the environment variable {name!r} is not set{suggestion_of(name, environ)}")
        known = {name: environ.get(name, "") for name in names}
        return msgspec.structs.replace(located, value=filled(located.value, {"env": known}))
    if isinstance(located.value, list):
        items = [resolved(item, environ, note) for item in located.value]
        return msgspec.structs.replace(located, value=items)
    if isinstance(located.value, dict):
        fields = {key: resolved(item, environ, note) for key, item in located.value.items()}
        return msgspec.structs.replace(located, value=fields)
    return located


def suggestion_of(name: str, environ: Mapping[str, str]) -> str:
    """`; did you mean ...?` where a variable of a close name is set; never the list of all."""
    phrase = suggestion(name, environ)
    return phrase if "did you mean" in phrase else "; set it"
