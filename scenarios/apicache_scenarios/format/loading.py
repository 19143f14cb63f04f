"""Scenario files as a whole: read, held against an application's operations, and expanded case by case."""

import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from apicache.operations import Operation
from apicache_scenarios.format.checking import Accepted
from apicache_scenarios.format.declared import description
from apicache_scenarios.format.document import Located, read_document
from apicache_scenarios.format.entries import Entry, read_entries
from apicache_scenarios.format.expansion import expanded
from apicache_scenarios.format.model import (
    Arm,
    BenchPlan,
    Budget,
    Case,
    DeclaredOperation,
    Defaults,
    Keys,
    Stage,
    WarmSettings,
    two_arms,
)
from apicache_scenarios.format.problems import Problems, suggestion
from apicache_scenarios.format.quantities import Seconds
from apicache_scenarios.format.reading import WRONG, Reader, shown
from apicache_scenarios.format.templates import references
from apicache_scenarios.format.thresholds import read_thresholds

VERSION: Final = 1


class ScenarioFile(msgspec.Struct, frozen=True, kw_only=True):
    """One file. Its `operations` are those it declares itself; `cases` gives what its entries stand for."""

    path: Path
    defaults: Defaults = Defaults()
    budget: Budget = Budget()
    operations: Mapping[str, DeclaredOperation] = {}
    entries: tuple[Entry, ...] = ()
    warm: WarmSettings = WarmSettings()
    bench: BenchPlan = BenchPlan()
    accepted: Mapping[str, Accepted] = {}

    def cases(self, problems: Problems | None = None) -> Iterator[Case]:
        """Each entry's cases, in the file's order, one at a time.

        A case that is not usable, by a row of a data file say, is noted and passed over; without `problems` it raises
        InputError.
        """
        for entry in self.entries:
            noted = Problems() if problems is None else problems
            for case in expanded(entry, self.accepted, noted):
                if problems is None:
                    noted.refuse()
                yield case
            if problems is None:
                noted.refuse()


class _Bench(msgspec.Struct, frozen=True, kw_only=True):
    """`bench` without its thresholds, which have a syntax of their own."""

    seed: int = 42
    arms: dict[str, Arm] = msgspec.field(default_factory=two_arms)
    keys: Keys = Keys()
    warmup: Seconds = 0.0
    stages: tuple[Stage, ...] = ()


class Sections(msgspec.Struct, frozen=True, kw_only=True):
    """The sections of a file's long form but `version` and `scenarios`."""

    defaults: Defaults = Defaults()
    budget: Budget = Budget()
    operations: dict[str, DeclaredOperation] = {}
    warm: WarmSettings = WarmSettings()
    bench: _Bench = _Bench()


FILE_KEYS: Final = ("version", *Sections.__struct_fields__, "scenarios")


def load_file(
    path: Path, operations: Mapping[str, Operation], problems: Problems, environ: Mapping[str, str] | None = None
) -> ScenarioFile | None:
    """The file, its entries held against `operations` and those it declares; what is wrong is noted.

    None for a file that could not be read at all. Its data files are read when its cases are.
    """
    document = read_document(path, problems)
    if document is None:
        return None
    reader = Reader(path, problems, os.environ if environ is None else environ)
    if not isinstance(document.value, dict):
        return _with_entries(ScenarioFile(path=path), document, operations, problems, reader)
    _check_keys(document, reader)
    read = {name: _section(document, name, reader) for name in Sections.__struct_fields__}
    bench = read.pop("bench")
    file = ScenarioFile(path=path, **read, bench=_plan(path, document, bench, reader))
    if "scenarios" not in document.value:
        return file
    return _with_entries(file, document.value["scenarios"], operations, problems, reader)


def load_files(
    paths: Sequence[Path], operations: Mapping[str, Operation], environ: Mapping[str, str] | None = None
) -> list[ScenarioFile]:
    """The files, in order; raises InputError that names every problem with its file, line and column."""
    problems = Problems()
    files = [load_file(path, operations, problems, environ) for path in paths]
    problems.refuse()
    return [file for file in files if file is not None]


def load_checked(
    paths: Sequence[Path], operations: Mapping[str, Operation], environ: Mapping[str, str] | None = None
) -> dict[Path, tuple[ScenarioFile, int]]:
    """As `load_files`, with each case made once, so that those of data files are held against operations as well.

    Gives each file with how many cases it stands for.
    """
    problems = Problems()
    loaded = {path: load_file(path, operations, problems, environ) for path in paths}
    checked = {path: (file, sum(1 for _ in file.cases(problems))) for path, file in loaded.items() if file is not None}
    problems.refuse()
    return checked


def load_scenarios(
    paths: Sequence[Path | str], operations: Mapping[str, Operation], environ: Mapping[str, str] | None = None
) -> list[Case]:
    """The files' cases, all of them, ready to be called.

    Parameters are converted to the operation's annotations (`temperature: 0` becomes 0.0 for a float), so that their
    keys are those of live calls. Raises InputError that names every problem with its place.
    """
    problems = Problems()
    files = [load_file(Path(path), operations, problems, environ) for path in paths]
    cases = [case for file in files if file is not None for case in file.cases(problems)]
    problems.refuse()
    return cases


def _check_keys(document: Located, reader: Reader) -> None:
    top = document.value
    for key in top:
        if key not in FILE_KEYS:
            hint = "; start the entry with '- '" if key == "operation" else suggestion(str(key), FILE_KEYS)
            reader.note(document.key_places[key], f"unknown key {key!r}{hint}")
    version = top.get("version")
    if version is None:
        reader.note(document.place, f"no version given; expected version: {VERSION}")
    elif version.value != VERSION or isinstance(version.value, bool):
        reader.note(version.place, f"version {shown(version)} is not known; expected version: {VERSION}")
    if "scenarios" not in top:
        reader.note(document.place, "no scenarios given; expected scenarios: followed by a list of entries")


def _section(document: Located, name: str, reader: Reader) -> Any:
    default = {field.name: field for field in msgspec.structs.fields(Sections)}[name]
    located = document.value.get(name)
    if located is not None and name == "bench" and isinstance(located.value, dict):
        kept = {key: value for key, value in located.value.items() if key != "thresholds"}
        located = msgspec.structs.replace(located, value=kept)
    empty = getattr(Sections(), name)
    if located is None:
        return empty
    if name == "operations":
        return _declared(located, reader, default.type)
    read = reader.read(located, default.type, name)
    return empty if read is WRONG else read


def _declared(located: Located, reader: Reader, expected: Any) -> Mapping[str, DeclaredOperation]:
    """Declared operations; what their requests refer to is looked up with each call, and has to be there now too."""
    read = reader.literal().read(located, expected, "operations")
    for name in read if read is not WRONG else ():
        request = located.value[name].value["request"]
        reader.resolved(request)
        for source, referred in references(request.plain()):
            if source not in ("env", "params"):
                written = f"{source}.{referred}" if source else referred
                message = f"'{written}' is not understood; write ${{{{ params.NAME }}}} or ${{{{ env.NAME }}}}"
                reader.note(request.place, f"operation {name!r}: {message}")
    return {} if read is WRONG else read


def _plan(path: Path, document: Located, bench: _Bench, reader: Reader) -> BenchPlan:
    located = document.value.get("bench")
    thresholds = located.value.get("thresholds") if located is not None and isinstance(located.value, dict) else None
    read = () if thresholds is None else tuple(read_thresholds(path, thresholds, bench.arms, reader))
    return BenchPlan(
        seed=bench.seed, arms=bench.arms, keys=bench.keys, warmup=bench.warmup, stages=bench.stages, thresholds=read
    )


def _with_entries(
    file: ScenarioFile, located: Located, operations: Mapping[str, Operation], problems: Problems, reader: Reader
) -> ScenarioFile:
    known = {**operations, **{name: description(name, declared) for name, declared in file.operations.items()}}
    accepted = {name: Accepted(operation) for name, operation in known.items()}
    entries = []
    for entry in read_entries(file.path, located, file.defaults, reader):
        if entry.source is None and entry.operation not in accepted:
            hint = suggestion(entry.operation, accepted) or "; the application has registered none"
            problems.add(file.path, entry.operation_place, f"unknown operation {entry.operation!r}{hint}")
        elif entry.source is not None or accepted[entry.operation].takes(entry, problems):
            entries.append(entry)
    return msgspec.structs.replace(file, entries=tuple(entries), accepted=accepted)
