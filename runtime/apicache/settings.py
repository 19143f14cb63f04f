"""The configuration of the process-wide cache, each value with its origin.

Lowest to highest: defaults, `[tool.apicache]` of the nearest `pyproject.toml`, the nearest `apicache.toml` (the same
keys at its top level), `APICACHE_*` variables. What is wrong is collected and passed over: no call fails of it.
"""

import hashlib
import logging
import os
import re
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import platformdirs

from apicache.chain.settings import BY_PROVIDER, ProviderSettings, check_provider
from apicache.errors import InputError
from apicache.modes import Switch
from apicache.policy import checked
from apicache.setting_sources import Given, Source, environment_source, table_source
from apicache.setting_values import SettingPath, value_of, without_credentials

_log = logging.getLogger("apicache")

DEFAULT: Final = "default"
_PROJECT_FILE: Final = "pyproject.toml"
_OWN_FILE: Final = "apicache.toml"
_FOLDER: Final = ".apicache"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The configuration in force."""

    mode: Switch = Switch("on")
    directory: Path
    """Where tiers that write files, and the usage log, put them."""
    tiers: tuple[str, ...] = ("memory", "disk")
    """Their names, nearest first."""
    tier_options: Mapping[str, Mapping[str, Any]] = {}
    """Tiers' own settings, by tier."""
    tier_timeout: float = 0.25
    """Seconds within which each operation of a tier has to end."""
    policy: Mapping[str, Any] = {}
    """Policy options of every operation, a preset resolved into what it stands for."""
    operations: Mapping[str, Mapping[str, Any]] = {}
    """Policy options by operation, likewise."""
    usage_log: bool = True
    usage_retention: float = 30 * 86400.0
    """Seconds that the usage log keeps a call."""
    allow_modules: tuple[str, ...] = ()
    """Prefixes of the modules whose classes may be stored."""
    providers: ProviderSettings = ProviderSettings()
    """What is set for providers, prices included."""
    encryption: bool = False
    """Whether a key is given; the key itself is never held here."""
    origins: Mapping[str, str] = {}
    """Where each value comes from, by dotted name: `policy.ttl`, `operations.completion.ttl`, `tiers.redis.url`."""
    problems: tuple[str, ...] = ()
    """What was passed over, and why."""

    def global_options(self) -> dict[str, Any]:
        """Policy options to lay under those that the code gives."""
        return dict(self.policy)

    def operation_options(self, operation: str) -> dict[str, Any]:
        """Policy options to lay over those that the code gives an operation.

        Without a table of exactly that name, names match by letters of either case and digits.
        """
        found = self.operations.get(operation)
        if found is None:
            folded = _folded(operation)
            found = next((options for name, options in self.operations.items() if _folded(name) == folded), {})
        return dict(found)


def project_file(start: Path) -> Path | None:
    """The nearest `pyproject.toml` in `start` or above it."""
    return _nearest(_PROJECT_FILE, start)


def _nearest(name: str, start: Path) -> Path | None:
    return next((folder / name for folder in (start, *start.parents) if (folder / name).is_file()), None)


def _document(file: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} cannot be read: {error}") from error


def project_table(file: Path | None) -> Mapping[str, Any]:
    """The `[tool.apicache]` table of a project file, empty without one; raises InputError if it cannot be read."""
    if file is None:
        return {}
    tools = _document(file).get("tool", {})
    table = tools.get("apicache", {}) if isinstance(tools, dict) else None
    if not isinstance(table, dict):
        raise InputError(f"{file}: [tool.apicache] is not a table")
    return table


def load(start: Path | None = None, environ: Mapping[str, str] | None = None) -> Settings:
    """The configuration as seen from a folder (the working directory); never raises for what is wrong in it."""
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    project, own, start = _files(start, problems)
    files = [_file_source(own), _file_source(project)]
    operations = {path[1] for source in files for path in source.values if path[0] == "operations"}
    variables = environment_source(environ).for_operations(
        lambda name: [known for known in sorted(operations) if _folded(known) == _folded(name)] or [name]
    )
    sources = (variables, *files)
    for source in sources:
        problems += source.problems
    found = _resolved(sources, problems)
    return _assembled(found, _Surroundings(start, project or own, environ), problems)


class _File(NamedTuple):
    path: Path
    table: Mapping[str, Any]
    origin: str


def _files(start: Path | None, problems: list[str]) -> tuple[_File | None, _File | None, Path | None]:
    """The project file and our own, both only if they can be read, and the folder that was looked from."""
    project: _File | None = None
    own: _File | None = None
    try:
        start = Path.cwd() if start is None else start.absolute()
    except OSError as error:  # the working directory was removed
        problems.append(f"configuration passed over: {error}")
        return None, None, None
    try:
        file = project_file(start)
        project = _File(file, project_table(file), f"{file} [tool.apicache]") if file else None
    except (InputError, OSError) as error:
        problems.append(f"configuration passed over: {error}")
    try:
        file = _nearest(_OWN_FILE, start)
        own = _File(file, _document(file), str(file)) if file else None
    except (InputError, OSError) as error:
        problems.append(f"configuration passed over: {error}")
    return project, own, start


def _file_source(file: _File | None) -> Source:
    if file is None:
        return Source()
    return table_source(file.table, file.origin, file.path.parent)


class _Value(NamedTuple):
    """A setting's value in force."""

    value: Any
    given: Given
    rank: int
    """The position of its source, 0 the highest."""


_Found = dict[SettingPath, _Value]


def _resolved(sources: Sequence[Source], problems: list[str]) -> _Found:
    """For each setting the highest source's good value."""
    found: _Found = {}
    for rank, source in enumerate(sources):
        for path, given in source.values.items():
            try:
                value = value_of(path, given.value, is_text=given.is_text)
            except InputError as error:
                problems.append(f"{given.origin}: {error}")
                if path != ("mode",):
                    continue
                # A word that is not known switches the cache off: the safe side of a typing mistake.
                value, given = Switch("off"), given._replace(origin=f"{given.origin}, not known: off")  # noqa: PLW2901 - the same value with its reason
            found.setdefault(path, _Value(value, given, rank))
    return found


class _Surroundings(NamedTuple):
    start: Path | None
    file: _File | None
    environ: Mapping[str, str]


def _assembled(found: _Found, surroundings: _Surroundings, problems: list[str]) -> Settings:
    values: dict[str, Any] = {}
    origins: dict[str, str] = dict.fromkeys(
        ("tiers", "tier_timeout", "usage_log", "usage_retention", "allow_modules"), DEFAULT
    )
    tier_options: dict[str, dict[str, Any]] = {}
    groups: dict[SettingPath, _Found] = {}
    for path, held in found.items():
        if path[0] in {"policy", "operations"}:
            groups.setdefault(path[:-1], {})[path] = held
            continue
        origins[".".join(path)] = held.given.origin
        if path[0] in {"providers", "prices"}:
            groups.setdefault(("providers",), {})[path] = held
        elif len(path) > 1:
            tier_options.setdefault(path[1], {})[path[2]] = held.value
        elif path != ("dir",):
            values[path[0]] = held.value
    values["providers"] = _provider_settings(groups.pop(("providers",), {}), problems)
    resolved = {path: _policy_options(path, group, origins, problems) for path, group in groups.items()}
    if "mode" not in values:
        values["mode"], origins["mode"] = _default_mode(surroundings.environ)
    values["directory"], origins["directory"] = _directory(found.get(("dir",)), surroundings)
    origins.pop("dir", None)
    if "tiers" not in values and tier_options.get("redis", {}).get("url"):
        values["tiers"], origins["tiers"] = ("memory", "redis", "disk"), f"{DEFAULT}, as tiers.redis.url is given"
    encryption = "APICACHE_ENCRYPTION_KEY" in surroundings.environ  # an empty one too: it is refused, not ignored
    origins["encryption"] = "APICACHE_ENCRYPTION_KEY" if encryption else DEFAULT
    return Settings(
        **values,
        tier_options=tier_options,
        policy=resolved.get(("policy",), {}),
        operations={path[1]: options for path, options in resolved.items() if path[0] == "operations"},
        encryption=encryption,
        origins=origins,
        problems=tuple(map(without_credentials, problems)),
    )


def _provider_settings(found: _Found, problems: list[str]) -> ProviderSettings:
    options: dict[str, Any] = {}
    tables: dict[str, dict[str, Any]] = {}
    prices: dict[str, Any] = {}
    for path, held in found.items():
        if path[0] == "prices":
            prices[path[1]] = held.value
        elif path[1] in BY_PROVIDER:
            options.setdefault(path[1], {})[path[2]] = held.value
        elif len(path) > 2:  # noqa: PLR2004 - providers, name, option
            tables.setdefault(path[1], {})[path[2]] = held.value
        else:
            options[path[1]] = held.value

    def is_known(held: _Value, name: str) -> bool:
        try:
            check_provider(held.given.origin, name, tables)
        except InputError as error:
            problems.append(str(error))
            return False
        return True

    for path, held in found.items():
        if path[0] == "providers" and path[1] in BY_PROVIDER and not is_known(held, path[2]):
            del options[path[1]][path[2]]
    order = found.get(("providers", "order"))
    if order is not None:
        options["order"] = tuple(name for name in order.value if is_known(order, name)) or ProviderSettings().order
    return ProviderSettings(**options, tables=tables, prices=prices)


def _policy_options(path: SettingPath, group: _Found, origins: dict[str, str], problems: list[str]) -> dict[str, Any]:
    """The options of one table; a preset gives way to what its own source or a higher one says besides."""
    held = {name[-1]: value for name, value in group.items()}
    preset = held.pop("preset", None)
    given = {name: value.value for name, value in held.items()}
    sets: dict[str, Any] = {}
    if preset is not None:
        ttl = held.get("ttl")
        try:
            beside = {"ttl": ttl.value} if ttl and ttl.rank <= preset.rank else {}
            sets = checked({"preset": preset.value, **beside})
        except InputError as error:
            problems.append(f"{preset.given.origin}: {error}")
        given = {name: value.value for name, value in held.items() if name not in sets or value.rank <= preset.rank}
        origin = f"{preset.given.origin}, preset {preset.value!r}"
        origins.update({".".join((*path, name)): origin for name in sets})
    origins.update({".".join((*path, name)): held[name].given.origin for name in given})
    return sets | given


def _default_mode(environ: Mapping[str, str]) -> tuple[Switch, str]:
    # Both: the variables reach child processes, the module may be imported outside a run.
    named = "PYTEST_VERSION" in environ or "PYTEST_CURRENT_TEST" in environ
    if named and "pytest" in sys.modules:
        return Switch("off"), f"{DEFAULT}, off inside a pytest run"
    return Switch("on"), DEFAULT


def _directory(held: _Value | None, surroundings: _Surroundings) -> tuple[Path, str]:
    """The configured folder, else `.apicache/` beside the project file, else one in the user's cache folder."""
    if held is not None:
        given = Path(held.value).expanduser()
        return (held.given.folder / given if held.given.folder else given), held.given.origin
    if surroundings.file is not None:
        file = surroundings.file.path
        return file.parent / _FOLDER, f"{DEFAULT}, beside {file}"
    # One folder for each working directory: programs that share no project must not share answers.
    place = hashlib.sha256(os.fsencode(surroundings.start or "")).hexdigest()[:16]
    return Path(platformdirs.user_cache_dir("apicache")) / place, f"{DEFAULT}, in the user's cache folder"


def _folded(name: str) -> str:
    """An operation's name as an environment variable can hold it."""
    return re.sub(r"\W", "_", name, flags=re.ASCII).lower()


_reported: set[str] = set()


def report(found: Settings) -> None:
    """Log each problem as a warning, once in a process."""
    for problem in found.problems:
        if problem not in _reported:
            _reported.add(problem)
            _log.warning("%s", problem)
