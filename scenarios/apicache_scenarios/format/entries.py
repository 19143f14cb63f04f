"""The entries under `scenarios`, before anything is known about the application.

An entry names its `operation` and gives the parameters beside it, or under `params:` when a parameter is called like a
key of the format.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from apicache_scenarios.format.document import Located
from apicache_scenarios.format.model import AtLeastOne, Defaults, NotNegative, SkipIf
from apicache_scenarios.format.problems import Place, suggestion
from apicache_scenarios.format.quantities import Seconds
from apicache_scenarios.format.reading import WRONG, Reader, shown
from apicache_scenarios.format.templates import SOURCES, references

_EXPECTED: Final = "expected an entry such as {operation: completion, prompt: ...}"


class DataSource(msgspec.Struct, frozen=True, kw_only=True):
    """Rows that cases are made of: a CSV file with a header, or one JSON object a line."""

    file: Path
    limit: AtLeastOne | None = None
    format: Literal["csv", "jsonl"] | None = None


class UsageSource(msgspec.Struct, frozen=True, kw_only=True):
    """Calls from a usage log; times in seconds.

    For `predicted`: how far ahead, and what a second of waiting is worth in US dollars.
    """

    usage: Path
    since: Seconds | None = None
    top: AtLeastOne | None = None
    by: Literal["frecency", "count", "predicted"] = "frecency"
    min_hits: AtLeastOne = 1
    horizon: Seconds = 86_400.0
    usd_per_second: NotNegative = 0.001


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What an entry may say beside its call."""

    name: str | None = None
    priority: int = 0
    ttl: Seconds | None = None
    skip_if: SkipIf | None = None
    weight: Annotated[NotNegative, Meta()] = 1.0
    provider: str | None = None
    data: DataSource | None = None


ENTRY_KEYS: Final = (*Options.__struct_fields__, "operation", "params", "matrix", "from")


class Matrix(msgspec.Struct, frozen=True, kw_only=True):
    """The values of each axis; combinations to leave out, and to add."""

    axes: Mapping[str, tuple[Any, ...]] = {}
    exclude: tuple[Mapping[str, Any], ...] = ()
    include: tuple[Mapping[str, Any], ...] = ()


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One entry as written: `params` are not yet held against any operation. `source` stands in place of a call."""

    path: Path
    place: Place
    operation: str
    operation_place: Place
    options: Options
    defaults: Defaults
    matrix: Matrix
    params: Mapping[str, Located]
    param_places: Mapping[Any, Place]
    source: UsageSource | None = None


def read_entries(path: Path, located: Located, defaults: Defaults, reader: Reader) -> Iterator[Entry]:
    """The entries of a list; what is not an entry is noted."""
    if not isinstance(located.value, list):
        expected = "expected a list of entries such as {operation: completion, prompt: ...}"
        reader.note(located.place, f"{shown(located)} holds no scenarios; {expected}")
        return
    if not located.value:
        reader.note(located.place, "the list of scenarios is empty; expected at least one entry")
    for item in located.value:
        entry = _entry(path, item, defaults, reader)
        if entry is not None:
            yield entry


def _entry(path: Path, located: Located, defaults: Defaults, reader: Reader) -> Entry | None:
    if not isinstance(located.value, dict):
        reader.note(located.place, f"{shown(located)} is not an entry; {_EXPECTED}")
        return None
    fields: dict[Any, Located] = located.value
    for key in fields:
        if not isinstance(key, str):
            reader.note(located.key_places[key], f"key {key!r} is not text; quote it")
            return None
    options = _options(located, reader)
    if "from" in fields:
        return _recorded(path, located, options, defaults, reader)
    matrix = _matrix(fields.get("matrix"), reader)
    params, places = _parameters(located, reader)
    resolved = {name: reader.resolved(value) for name, value in params.items()}
    is_sound = _check_references(params, matrix, options, reader)
    operation = _operation(located, reader)
    if operation is None or options is None or matrix is None or not is_sound:
        return None
    return Entry(
        path=path,
        place=located.place,
        operation=operation.value,
        operation_place=located.key_places["operation"],
        options=options,
        defaults=defaults,
        matrix=matrix,
        params=resolved,
        param_places=places,
    )


def _options(located: Located, reader: Reader) -> Options | None:
    fields = {name: value for name, value in located.value.items() if name in Options.__struct_fields__}
    named = fields.get("name")
    if named is not None and not isinstance(named.value, str):
        reader.note(named.place, f"name {shown(named)} is not text; expected a str, quote it")
        fields.pop("name")
    read = reader.struct(Located(fields, located.place, 1, located.key_places), Options, "the entry")
    return None if read is WRONG else read


def _operation(located: Located, reader: Reader) -> Located | None:
    operation = located.value.get("operation")
    if operation is None:
        reader.note(located.place, "no operation given; expected operation: NAME")
    elif not isinstance(operation.value, str):
        reader.note(operation.place, f"operation {shown(operation)} is not text; expected a str, quote it")
    else:
        return reader.resolved(operation)
    return None


def _recorded(
    path: Path, located: Located, options: Options | None, defaults: Defaults, reader: Reader
) -> Entry | None:
    for key in located.value:
        if key not in (*Options.__struct_fields__, "from"):
            reader.note(located.key_places[key], f"{key!r} stands beside from:, which brings its calls; remove one")
    source = reader.struct(located.value["from"], UsageSource, "from")
    if source is WRONG or options is None:
        return None
    return Entry(
        path=path,
        place=located.place,
        operation="",
        operation_place=located.place,
        options=options,
        defaults=defaults,
        matrix=Matrix(),
        params={},
        param_places={},
        source=source,
    )


def _parameters(entry: Located, reader: Reader) -> tuple[dict[str, Located], Mapping[Any, Place]]:
    beside = {key: value for key, value in entry.value.items() if key not in ENTRY_KEYS}
    params = entry.value.get("params")
    if params is None:
        return beside, entry.key_places
    for key in beside:
        reader.note(
            entry.key_places[key],
            f"{key!r} stands beside params:; expected every parameter under params:, move it there",
        )
    if not isinstance(params.value, dict):
        reader.note(params.place, f"params {shown(params)} is not a mapping of parameters; expected {{name: value}}")
        return beside, entry.key_places
    fields: dict[Any, Located] = params.value
    for key in fields:
        if not isinstance(key, str):
            reader.note(params.key_places[key], f"parameter {key!r} is not text; quote it")
    return {key: value for key, value in fields.items() if isinstance(key, str)}, params.key_places


def _matrix(located: Located | None, reader: Reader) -> Matrix | None:
    if located is None:
        return Matrix()
    if not isinstance(located.value, dict) or not located.value:
        reader.note(located.place, f"matrix {shown(located)} has no axes; expected {{axis: [value, ...]}}")
        return None
    located = reader.resolved(located)
    axes = {name: value for name, value in located.value.items() if name not in ("exclude", "include")}
    is_sound = True
    for name, values in axes.items():
        if not isinstance(name, str) or not isinstance(values.value, list) or not values.value:
            reader.note(located.key_places[name], f"axis {name!r} is not a list of values; expected {name}: [a, b]")
            is_sound = False
    lists = {key: _combinations(located.value.get(key), key, axes, reader) for key in ("exclude", "include")}
    if not is_sound or None in lists.values():
        return None
    plain = {name: tuple(values.plain()) for name, values in axes.items()}
    return Matrix(axes=plain, exclude=lists["exclude"] or (), include=lists["include"] or ())


def _combinations(
    located: Located | None, key: str, axes: Mapping[Any, Located], reader: Reader
) -> tuple[Mapping[str, Any], ...] | None:
    if located is None:
        return ()
    if not isinstance(located.value, list) or not all(isinstance(item.value, dict) for item in located.value):
        reader.note(located.place, f"{key} {shown(located)} is not a list of mappings; expected [{{axis: value}}]")
        return None
    for item in located.value:
        for name, value in item.value.items():
            if name not in axes:
                reader.note(item.key_places[name], f"{key} names no axis {name!r}{suggestion(str(name), axes)}")
            elif key == "exclude" and value.plain() not in axes[name].plain():
                reader.note(value.place, f"axis {name!r} has no value {shown(value)} to exclude")
    missing = [item for item in located.value if key == "include" and axes.keys() - item.value.keys()]
    for item in missing:
        names = ", ".join(sorted(axes.keys() - item.value.keys()))
        reader.note(item.place, f"include leaves out axis {names}; give every axis a value")
    return None if missing else tuple(item.plain() for item in located.value)


def _check_references(
    params: Mapping[str, Located], matrix: Matrix | None, options: Options | None, reader: Reader
) -> bool:
    """Whether all that parameters refer to is there; what is not is noted."""
    is_sound = True
    for name, located in params.items():
        for source, referred in references(located.plain()):
            problem = _reference_problem(source, referred, matrix, options)
            if problem is not None:
                reader.note(located.place, f"parameter {name!r}: {problem}")
                is_sound = False
    return is_sound


def _reference_problem(source: str, name: str, matrix: Matrix | None, options: Options | None) -> str | None:
    if source not in SOURCES:
        return f"'{name}' is not understood; write ${{{{ matrix.NAME }}}}, ${{{{ row.NAME }}}} or ${{{{ env.NAME }}}}"
    if source == "params":
        return f"'params.{name}' is for declared operations; here write ${{{{ matrix.NAME }}}} or ${{{{ row.NAME }}}}"
    if source == "matrix" and matrix is not None and name not in matrix.axes:
        return f"the matrix has no axis {name!r}{suggestion(name, matrix.axes)}"
    if source == "row" and options is not None and options.data is None:
        return f"${{{{ row.{name} }}}} needs data: with a file"
    return None
