"""What an entry stands for: one case for each combination of its matrix and each row of its data, one at a time."""

import copy
import csv
import itertools
from collections.abc import Hashable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import IO, Any, Final

import msgspec

from apicache_scenarios.format.checking import Accepted, WrongValueError
from apicache_scenarios.format.document import Located
from apicache_scenarios.format.entries import DataSource, Entry, Matrix
from apicache_scenarios.format.model import Case
from apicache_scenarios.format.problems import Place, Problems, suggestion
from apicache_scenarios.format.templates import filled, references

_KEPT_VALUES: Final = 4096
"""Converted values of one parameter that are kept for the next case with the same."""
_IMMUTABLE: Final = (str, int, float, bool, bytes, type(None))
_WRONG: Final = object()


class Row(msgspec.Struct, frozen=True):
    """One row of a data file; `is_text` where its values are texts whatever they stand for."""

    values: Mapping[str, Any]
    line: int
    is_text: bool


def expanded(entry: Entry, accepted: Mapping[str, Accepted], problems: Problems) -> Iterator[Case]:
    """The entry's cases: for each row of its data, each combination of its matrix; unusable ones are noted."""
    if entry.source is not None:
        yield from _recorded(entry, accepted, problems)
        return
    parameters = [_Parameter(name, located, accepted[entry.operation]) for name, located in entry.params.items()]
    for row in _rows(entry, parameters, problems):
        for combination in combinations(entry.matrix):
            params = {}
            for parameter in parameters:
                value = parameter.value(entry, combination, row, problems)
                if value is _WRONG:
                    break
                params[parameter.name] = value
            else:
                yield _case(entry, entry.operation, params)


def _case(entry: Entry, operation: str, params: Mapping[str, Any]) -> Case:
    options, defaults = entry.options, entry.defaults
    return Case(
        path=entry.path,
        line=entry.place.line,
        operation=operation,
        params=params,
        name=options.name,
        priority=options.priority,
        ttl=defaults.ttl if options.ttl is None else options.ttl,
        skip_if=options.skip_if or defaults.skip_if,
        weight=options.weight,
        provider=options.provider or defaults.provider,
    )


class _Parameter:
    """One parameter of an entry, converted once for each different value it takes."""

    def __init__(self, name: str, located: Located, accepted: Accepted) -> None:
        self.name = name
        self._located = located
        self._accepted = accepted
        self._plain = located.plain()
        self.used = sorted(set(references(self._plain)))
        self._known: dict[Hashable, Any] = {}

    def value(self, entry: Entry, combination: Mapping[str, Any], row: Row | None, problems: Problems) -> Any:
        """The converted value, of which its caller owns a copy; _WRONG when it is noted."""
        cells = row.values if row is not None else {}
        sources = {"matrix": combination, "row": cells}
        taken = tuple(sources[source][name] for source, name in self.used)
        known = (*map(type, taken), *taken) if all(isinstance(each, _IMMUTABLE) for each in taken) else None
        if known is None or known not in self._known:
            converted = self._convert(entry, sources, row, problems)
            if known is None:
                return converted
            if len(self._known) >= _KEPT_VALUES:
                self._known.clear()
            self._known[known] = converted
        value = self._known[known]
        return value if isinstance(value, _IMMUTABLE) or value is _WRONG else copy.deepcopy(value)

    def _convert(
        self, entry: Entry, sources: Mapping[str, Mapping[str, Any]], row: Row | None, problems: Problems
    ) -> Any:
        located = self._located
        if self.used:
            located = _in_place(located, filled(self._plain, sources))
        try:
            is_text = row is not None and row.is_text and any(source == "row" for source, _ in self.used)
            return self._accepted.converted(self.name, located, from_text=is_text)
        except WrongValueError as wrong:
            at = f" (row in line {row.line} of the data)" if row is not None and self.used else ""
            message = f"{entry.operation} parameter {self.name!r}: {wrong.message}{at}"
            problems.add(entry.path, wrong.place, message)
            return _WRONG


def _in_place(located: Located, value: Any) -> Located:
    """A filled value with the places of its template, as far as the two have one shape."""
    if isinstance(value, list):
        within = located.value if isinstance(located.value, list) else itertools.repeat(located)
        return Located([_in_place(place, item) for place, item in zip(within, value, strict=False)], located.place)
    if isinstance(value, dict):
        within = list(located.value.values()) if isinstance(located.value, dict) else [located] * len(value)
        fields = {key: _in_place(place, item) for place, (key, item) in zip(within, value.items(), strict=False)}
        return Located(fields, located.place, 1, dict.fromkeys(fields, located.place))
    return Located(value, located.place)


def combinations(matrix: Matrix) -> Iterator[Mapping[str, Any]]:
    """The combinations of a matrix, the last axis fastest, then those it includes; one empty one without axes."""
    names = tuple(matrix.axes)
    for values in itertools.product(*matrix.axes.values()):
        combination = dict(zip(names, values, strict=True))
        if not any(all(combination[name] == value for name, value in each.items()) for each in matrix.exclude):
            yield combination
    yield from matrix.include


def _rows(entry: Entry, parameters: "list[_Parameter]", problems: Problems) -> Iterator[Row | None]:
    """The rows of an entry's data, those that lack something noted and left out; one None without data."""
    data = entry.options.data
    if data is None:
        yield None
        return
    wanted = {name for parameter in parameters for source, name in parameter.used if source == "row"}
    for row in itertools.islice(_read(data, entry, problems), data.limit):
        missing = sorted(wanted - row.values.keys())
        for name in missing:
            problems.add(data.file, Place(row.line, 1), f"no column {name!r}{suggestion(name, row.values)}")
        if not missing:
            yield row
        elif row.is_text:
            return  # it is the header that lacks it


def _read(data: DataSource, entry: Entry, problems: Problems) -> Iterator[Row]:
    kind = data.format or ("csv" if data.file.suffix.lower() == ".csv" else "jsonl")
    try:
        file = data.file.open(encoding="utf-8-sig", newline="")
    except OSError as error:
        beside = [each.name for each in data.file.parent.glob("*") if each.suffix in (".csv", ".jsonl")]
        hint = suggestion(data.file.name, beside) if isinstance(error, FileNotFoundError) else ""
        message = f"data file {data.file} cannot be read: {error.strerror or error}{hint}"
        problems.add(entry.path, entry.place, message)
        return
    with closing(file):
        try:
            yield from (_csv_rows if kind == "csv" else _json_rows)(file, data.file, problems)
        except (UnicodeDecodeError, csv.Error) as error:
            problems.add(data.file, None, f"not a {kind} file in UTF-8: {error}")


def _csv_rows(file: IO[str], path: Path, problems: Problems) -> Iterator[Row]:
    reader = csv.DictReader(file, restkey="", restval=None)
    if not reader.fieldnames:
        problems.add(path, None, "is empty; expected a header and rows")
        return
    for values in reader:
        if "" in values or None in values.values():
            cells = len(reader.fieldnames)
            problems.add(path, Place(reader.line_num, 1), f"the row has not the {cells} cells of the header")
            continue
        yield Row(values, reader.line_num, is_text=True)


def _json_rows(file: IO[str], path: Path, problems: Problems) -> Iterator[Row]:
    for number, line in enumerate(file, start=1):
        if not line.strip():
            continue
        try:
            values = msgspec.json.decode(line)
        except msgspec.DecodeError as error:
            problems.add(path, Place(number, 1), f"not JSON: {error}")
            continue
        if not isinstance(values, dict):
            problems.add(path, Place(number, 1), 'not an object; expected one such as {"question": "..."} a line')
            continue
        yield Row(values, number, is_text=False)


def _recorded(entry: Entry, accepted: Mapping[str, Accepted], problems: Problems) -> Iterator[Case]:
    """The calls that a usage log brings; those of operations that are no longer there are passed over."""
    from apicache_scenarios.prediction.recorded import recorded_calls  # noqa: PLC0415 - for files with such entries

    source = entry.source
    if source is None:
        return
    if not source.usage.is_file():
        message = f"no usage log {str(source.usage)!r}; operations with record=True write one"
        problems.add(entry.path, entry.place, message)
        return
    for operation, params in recorded_calls(source):
        if operation in accepted:
            yield _case(entry, operation, params)
