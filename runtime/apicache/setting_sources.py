"""Sources of settings: the tables of project files and the environment, taken apart into single values."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from apicache.chain.settings import BY_PROVIDER, PLAIN
from apicache.errors import did_you_mean
from apicache.setting_values import CONFIGURABLE, TOP, SettingPath
from apicache.tiers import known as known_tiers

PREFIX: Final = "APICACHE"
ELSEWHERE: Final = frozenset({"APICACHE_ENCRYPTION_KEY", "APICACHE_MOCK", "APICACHE_TEST_REDIS_URL"})
"""Variables that are read in other places."""
_NOT_OURS: Final = frozenset({"app", "scan"})
"""Keys that the scenarios and `apicache scan` read."""
_OPERATION_PARTS: Final = 3


class Given(NamedTuple):
    """A value as a source gives it."""

    value: Any
    origin: str
    folder: Path | None = None
    """What a relative path is relative to; None: the working directory."""
    is_text: bool = False


class Source:
    """One place that settings come from: values by path, and what could not be understood about their names."""

    def __init__(self, values: Mapping[SettingPath, Given] | None = None) -> None:
        self.values: dict[SettingPath, Given] = dict(values or {})
        self.problems: list[str] = []

    def for_operations(self, rename: Callable[[str], list[str]]) -> "Source":
        """The source with each operation's name replaced by those that it stands for."""
        renamed = Source()
        renamed.problems = self.problems
        for path, given in self.values.items():
            names = rename(path[1]) if path[0] == "operations" else [""]
            for name in names:
                renamed.values[(path[0], name, path[2]) if name else path] = given
        return renamed


def table_source(table: Mapping[str, Any], origin: str, folder: Path) -> Source:
    """The values of a configuration table; names with `-` and `_` are alike."""
    source = Source()
    tiers = known_tiers()
    known = TOP | _NOT_OURS | tiers | {"policy", "operations", "providers", "prices"}
    for key, value in table.items():
        name = _plain(key)
        if name in CONFIGURABLE - known:
            source.problems.append(f"{origin}: {key!r} is a policy option; write it in the table 'policy'")
        elif name not in known:
            source.problems.append(f"{origin}: unknown key {key!r}; {did_you_mean(name, known)}")
        elif name == "tiers" and isinstance(value, dict):
            _add_tiers(source, value, origin)
        elif name in TOP:
            source.values[name,] = Given(value, origin, folder)
        elif name not in _NOT_OURS and not isinstance(value, dict):
            source.problems.append(f"{origin}: {key!r} is not a table")
        elif name not in _NOT_OURS:
            _add_table(source, name, value, origin)
    return source


def _add_table(source: Source, name: str, table: Mapping[str, Any], origin: str) -> None:
    if name == "operations":
        for operation, options in table.items():
            _add_section(source, ("operations", operation), options, origin)
    elif name == "prices":
        source.values.update({("prices", model): Given(price, origin) for model, price in table.items()})
    elif name == "providers":
        _add_providers(source, table, origin)
    else:
        _add_section(source, ("tiers", name) if name in known_tiers() else (name,), table, origin)


def _add_section(source: Source, path: SettingPath, options: Any, origin: str) -> None:
    if not isinstance(options, dict):
        source.problems.append(f"{origin}: {'.'.join(path)!r} is not a table")
        return
    for option, value in options.items():
        source.values[(*path, _plain(option))] = Given(value, origin)


def _add_tiers(source: Source, tables: Mapping[str, Any], origin: str) -> None:
    """Tiers' tables where the list of tiers could stand: `[tool.apicache.tiers.redis]`."""
    known = known_tiers()
    for tier, options in tables.items():
        if tier in known:
            _add_section(source, ("tiers", tier), options, origin)
        else:
            source.problems.append(f"{origin}: unknown tier {tier!r}; {did_you_mean(tier, known)}")


def _add_providers(source: Source, table: Mapping[str, Any], origin: str) -> None:
    """Options of all providers, and tables: of one value for each, or with one provider's own options."""
    for key, value in table.items():
        name = _plain(key)
        if name in PLAIN:
            source.values["providers", name] = Given(value, origin)
        elif not isinstance(value, dict):
            hint = did_you_mean(name, PLAIN | BY_PROVIDER)
            source.problems.append(f"{origin}: unknown option {key!r} of providers; {hint}")
        elif name in BY_PROVIDER:
            source.values.update({("providers", name, provider): Given(one, origin) for provider, one in value.items()})
        else:
            _add_section(source, ("providers", key), value, origin)


def _plain(name: str) -> str:
    return name.replace("-", "_")


def environment_source(environ: Mapping[str, str]) -> Source:
    """The values of the `APICACHE_*` variables; an empty one counts as not set."""
    source = Source()
    for variable, text in sorted(environ.items(), reverse=True):  # APICACHE last: it wins over APICACHE_MODE
        if text and variable not in ELSEWHERE and (variable == PREFIX or variable.startswith(f"{PREFIX}_")):
            path = _path_of(variable[len(PREFIX) + 1 :].lower())
            if path is None:
                hint = did_you_mean(variable, _variables())
                source.problems.append(f"{variable}: unknown variable; {hint}")
            else:
                source.values[path] = Given(text, variable, is_text=True)
    return source


def _path_of(name: str) -> SettingPath | None:
    """The setting that a variable is for, by its name in lower case without the prefix; None for none."""
    if name == "" or name in TOP:
        return (name or "mode",)
    if name in CONFIGURABLE:
        return ("policy", name)
    if name == "providers" or name.startswith("providers_"):
        option = name.removeprefix("providers").removeprefix("_") or "order"
        return ("providers", option) if option in PLAIN else None
    if name.startswith("operations__"):
        parts = name.split("__")
        return ("operations", "__".join(parts[1:-1]), parts[-1]) if len(parts) >= _OPERATION_PARTS else None
    for tier in known_tiers():
        if name.startswith(f"{tier}_"):
            return ("tiers", tier, name[len(tier) + 1 :])
    return None


def _variables() -> Iterator[str]:
    """The variables there are, but for the tiers' own and those of operations."""
    yield PREFIX
    yield from ELSEWHERE
    for name in TOP | CONFIGURABLE:
        yield f"{PREFIX}_{name.upper()}"
    yield f"{PREFIX}_PROVIDERS"
    for name in PLAIN - {"order"}:
        yield f"{PREFIX}_PROVIDERS_{name.upper()}"
    yield f"{PREFIX}_OPERATIONS__NAME__TTL"
    yield f"{PREFIX}_REDIS_URL"
