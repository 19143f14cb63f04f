"""`apicache doctor`: the configuration in force, each value's origin, and whether the tiers can be used."""

import importlib.metadata
import os
import platform
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import msgspec
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from apicache.chain.states import ProviderState, states_of
from apicache.defaults import IN_PROCESS, explained, tier_from
from apicache.envelope import PlainSealer, Sealer
from apicache.errors import InputError
from apicache.policy import DEFAULT, OPERATION_TTL
from apicache.sealing import sealer_from_environment
from apicache.setting_values import shown, without_credentials
from apicache.settings import DEFAULT as BY_DEFAULT
from apicache.settings import Settings, load
from apicache.tier import TierSize
from apicache.tiers import options as options_of_tier
from apicache.usage.usage import FILE_NAME
from apicache_cli import __version__, output

UNHEALTHY = 1
PLAIN_SETTINGS: Final = ("directory", "tiers", "tier_timeout", "usage_log", "usage_retention", "allow_modules")
LIBRARIES: Final = ("msgspec", "diskcache", "redis", "hiredis", "cryptography", "backports.zstd", "httpx", "requests")
LIBRARIES_OF_CALLS: Final = ("openai", "aiohttp")
HINTS: Final = {
    "AuthenticationError": "the server refuses the credentials; correct them in its URL",
    "ConnectionError": "nothing answers there; start the server or correct its URL",
    "TimeoutError": "no answer in time; look at the server, or raise tier-timeout",
    "PermissionError": "the folder is not yours to write; change its owner, or APICACHE_DIR",
    "FileExistsError": "a file is in the folder's place; move it away, or change APICACHE_DIR",
    "NotADirectoryError": "a file is in the folder's place; move it away, or change APICACHE_DIR",
    "OperationalError": "the database is locked or cannot be written; look for another process, free space and rights",
}


class Row(msgspec.Struct, frozen=True):
    """A setting; durations are in seconds, nothing secret is in it."""

    name: str
    value: Any
    origin: str


class TierState(msgspec.Struct, frozen=True, kw_only=True):
    """What a tier answered when it was asked for its size."""

    name: str
    reachable: bool
    location: str = ""
    entries: int | None = None
    bytes: int | None = None
    max_bytes: int | None = None
    max_entries: int | None = None
    error: str | None = None
    """The error's class."""
    hint: str | None = None


class UsageLogState(msgspec.Struct, frozen=True):
    """The usage log's file; `bytes` is None where there is none yet."""

    on: bool
    path: str
    bytes: int | None


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """What `--format json` prints."""

    schema: int = 1
    mode: Row
    settings: list[Row]
    tiers: list[TierState]
    providers: list[ProviderState]
    encryption: bool
    usage_log: UsageLogState
    versions: dict[str, str]
    problems: list[str]

    @property
    def healthy(self) -> bool:
        """Whether every tier answers and nothing was passed over."""
        return not self.problems and all(tier.reachable for tier in self.tiers)


def command(
    *,
    all: Annotated[bool, typer.Option("--all", help="Show the defaults too.")] = False,  # noqa: A002 - the option's name
    format: Annotated[Literal["text", "json"], typer.Option(help="How the result is printed.")] = "text",  # noqa: A002 - the option's name
) -> None:
    """Show the configuration in force with each value's origin, and whether the tiers can be used.

    Exits 1 when a tier cannot be reached, part of the configuration was passed over, or none of the configured
    providers can be asked.
    """
    report = examine(load(), with_defaults=all)
    if format == "json":
        output.print_json(msgspec.to_builtins(report))
    else:
        _print_report(output.stdout(), report)
    if not report.healthy:
        raise typer.Exit(UNHEALTHY)


def examine(settings: Settings, *, with_defaults: bool) -> Report:
    """The state of a configuration; each of its tiers is asked for its size."""
    problems = list(settings.problems)
    try:
        sealer: Sealer | None = sealer_from_environment(os.environ)
    except InputError as error:
        problems.append(f"encryption: {without_credentials(str(error))}")
        sealer = None
    rows = [row for row in _rows(settings) if with_defaults or not row.origin.startswith(BY_DEFAULT)]
    log = settings.directory / FILE_NAME
    providers = states_of(settings.providers)
    problems += [f"provider {each.name}: {without_credentials(each.needs or '')}" for each in providers if each.wrong]
    problems += _nobody_to_ask(settings, providers)
    return Report(
        mode=Row("mode", str(settings.mode), settings.origins["mode"]),
        settings=rows,
        tiers=[_state(settings, name, sealer) for name in settings.tiers],
        providers=providers,
        encryption=settings.encryption,
        usage_log=UsageLogState(settings.usage_log, str(log), log.stat().st_size if log.is_file() else None),
        versions=_versions(),
        problems=problems,
    )


def _nobody_to_ask(settings: Settings, providers: Sequence[ProviderState]) -> Iterator[str]:
    """A problem where built-in operations cannot work at all: for who has configured them, not for who calls none."""
    asked = [each for each in providers if each.in_order]
    is_configured = "providers.order" in settings.origins or any(
        each.name in settings.providers.tables for each in asked
    )
    if is_configured and not any(each.ready for each in asked):
        missing = "; ".join(f"{each.name}: {without_credentials(each.needs or '')}" for each in asked)
        yield f"built-in operations have no provider to ask ({missing})"


def _rows(settings: Settings) -> Iterator[Row]:
    """Every setting, defaults included."""
    for name in PLAIN_SETTINGS:
        yield _row(settings, name, getattr(settings, name))
    for tier in dict.fromkeys((*settings.tiers, *settings.tier_options)):
        values = _tier_defaults(tier) | dict(settings.tier_options.get(tier, {}))
        yield from (_row(settings, f"tiers.{tier}.{option}", value) for option, value in values.items())
    yield from _provider_rows(settings)
    policy = {name: getattr(DEFAULT, name) for name in DEFAULT.__struct_fields__} | dict(settings.policy)
    yield from (_row(settings, f"policy.{option}", value) for option, value in policy.items())
    for operation in dict.fromkeys((*OPERATION_TTL, *settings.operations)):
        known = {} if operation not in OPERATION_TTL or "ttl" in settings.policy else {"ttl": OPERATION_TTL[operation]}
        options = known | dict(settings.operations.get(operation, {}))
        yield from (_row(settings, f"operations.{operation}.{option}", value) for option, value in options.items())


def _provider_rows(settings: Settings) -> Iterator[Row]:
    """What is set for providers; of their own tables only what can hold nothing secret is shown."""
    providers = settings.providers
    for name in ("order", "routing", "timeout", "retries", "retries_alone", "retry_after_max", "proxy"):
        yield _row(settings, f"providers.{name}", getattr(providers, name))
    for table in ("timeouts", "rate_limits"):
        yield from (_row(settings, f"providers.{table}.{name}", one) for name, one in getattr(providers, table).items())
    for provider, options in providers.tables.items():
        for option, value in options.items():
            harmless = option in {"model", "base_url", "url", "enabled", "max_tokens", "api"}
            yield _row(settings, f"providers.{provider}.{option}", value if harmless else "(given)")
    for model, price in providers.prices.items():
        yield _row(settings, f"prices.{model}", f"input {price.input:g}, output {price.output:g}")


def _row(settings: Settings, name: str, value: Any) -> Row:
    return Row(name, shown(name, value), settings.origins.get(name, BY_DEFAULT))


def _tier_defaults(tier: str) -> dict[str, Any]:
    try:
        fields = msgspec.structs.fields(options_of_tier(tier))
    except (InputError, ImportError):
        return {}  # its library is missing, which its state tells
    return {field.name: field.default for field in fields if field.default is not msgspec.NODEFAULT}


def _state(settings: Settings, name: str, sealer: Sealer | None) -> TierState:
    if sealer is None and name != IN_PROCESS:
        return TierState(
            name=name, reachable=False, error="InputError", hint="left out: the encryption key is unusable"
        )
    if name == "disk" and not settings.directory.exists() and _could_be_made(settings.directory):
        return TierState(name=name, reachable=True, location=str(settings.directory), entries=0, bytes=0)
    try:
        size = _size(settings, name, sealer or PlainSealer())  # nothing leaves the memory tier
    except Exception as error:  # noqa: BLE001 - the edge of a tier: it may raise anything, which is what is asked
        options = settings.tier_options.get(name, {})
        location = shown("url", options.get("url", ""))
        return TierState(
            name=name,
            reachable=False,
            location=location,
            error=type(error).__name__,
            hint=_hint(error, options) or None,
        )
    return TierState(
        name=name,
        reachable=True,
        location=without_credentials(size.location),
        entries=size.entries,
        bytes=size.bytes,
        max_bytes=size.max_bytes,
        max_entries=size.max_entries,
    )


def _could_be_made(folder: Path) -> bool:
    """Whether the disk tier would find its place: asking it would already make the folder."""
    nearest = next(parent for parent in folder.absolute().parents if parent.exists())
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


def _size(settings: Settings, name: str, sealer: Sealer) -> TierSize:
    tier = tier_from(settings, name, sealer)
    try:
        return tier.size()
    finally:
        tier.close()


def _hint(error: Exception, options: Mapping[str, Any]) -> str:
    if isinstance(error, InputError | ImportError):
        return explained(error, options)
    return next((HINTS[base.__name__] for base in type(error).__mro__ if base.__name__ in HINTS), "")


def _versions() -> dict[str, str]:
    versions = {"apicache": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}
    for library in (*LIBRARIES, *LIBRARIES_OF_CALLS):
        try:
            versions[library] = importlib.metadata.version(library)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _print_report(console: Console, report: Report) -> None:
    line = f"mode {report.mode.value} ({report.mode.origin})"
    console.print(Text(f"{line}, encryption {'on' if report.encryption else 'off'}"), soft_wrap=True)
    if report.settings:
        console.print(
            _table(("setting", "value", "origin"), [(r.name, _text(r.value), r.origin) for r in report.settings])
        )
    else:
        console.print("every setting has its default; --all shows them")
    console.print(_table(("tier", "state", "entries", "bytes", "bound", "location"), map(_cells, report.tiers)))
    for tier in report.tiers:
        if not tier.reachable:
            console.print(
                Text(f"tier {tier.name}: {tier.error}" + (f"; {tier.hint}" if tier.hint else "")), soft_wrap=True
            )
    console.print(_table(("provider", "state", "operations (and models)"), map(_provider_cells, report.providers)))
    log = report.usage_log
    state = "off" if not log.on else "none yet" if log.bytes is None else f"{log.bytes:,} bytes"
    console.print(Text(f"usage log: {state}, {log.path}"), soft_wrap=True)
    console.print(Text(", ".join(f"{name} {version}" for name, version in report.versions.items())), soft_wrap=True)
    for problem in report.problems:
        console.print(Text(f"problem: {problem}"), soft_wrap=True)


def _provider_cells(provider: ProviderState) -> Sequence[str]:
    state = "; ".join(filter(None, ("configured" if provider.ready else "", provider.needs)))
    by_model: dict[str, list[str]] = {}
    for operation in provider.operations:
        by_model.setdefault(provider.models.get(operation, ""), []).append(operation)
    told = (", ".join(names) + (f" ({model})" if model else "") for model, names in by_model.items())
    return (provider.name, state, "; ".join(told))


def _cells(tier: TierState) -> Sequence[str]:
    bound = [f"{tier.max_bytes:,} bytes"] if tier.max_bytes is not None else []
    bound += [f"{tier.max_entries:,} entries"] if tier.max_entries is not None else []
    counts = ("" if count is None else f"{count:,}" for count in (tier.entries, tier.bytes))
    return (tier.name, "ok" if tier.reachable else "unreachable", *counts, ", ".join(bound), tier.location)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return ", ".join(value)
    return "none" if value is None else f"{value:.12g}" if isinstance(value, float) else str(value)


def _table(headings: Sequence[str], rows: Any) -> Table:
    table = Table()
    for heading in headings:
        table.add_column(heading, overflow="fold")
    for cells in rows:
        table.add_row(*map(Text, cells))
    return table
