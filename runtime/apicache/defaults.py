"""What caches are built from when no tiers were injected."""

import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from apicache.envelope import PlainSealer, Sealer
from apicache.errors import InputError
from apicache.resources import Setup
from apicache.sealing import sealer_from_environment
from apicache.setting_values import shown, without_credentials
from apicache.settings import Settings, load, report
from apicache.tier import Tier, TierPlace
from apicache.tiers import build
from apicache.usage.feed import Log

_log = logging.getLogger("apicache")

IN_PROCESS = "memory"
"""The tier that nothing leaves the process through."""


def tiers_from(settings: Settings, names: Sequence[str] | None = None) -> Sequence[Tier]:
    """The tiers of that configuration, or those of them that are named; one that cannot be built is reported, left out.

    Without a usable encryption key where one is given, nothing but the memory tier is built: what was to be encrypted
    is never written in the clear.
    """
    wanted = settings.tiers if names is None else names
    try:
        sealer: Sealer = sealer_from_environment(os.environ)
    except InputError as error:
        _log.warning("tiers outside the process are left out: %s", error)
        sealer, wanted = PlainSealer(), [name for name in wanted if name == IN_PROCESS]
    built: list[Tier] = []
    for name in wanted:
        try:
            built.append(tier_from(settings, name, sealer))
        except Exception as error:  # noqa: BLE001 - the edge of a tier: it may raise anything, the cache works without it
            _log.warning("tier %s is left out: %s", name, explained(error, settings.tier_options.get(name, {})))
    return built


def tier_from(settings: Settings, name: str, sealer: Sealer) -> Tier:
    """One tier of that configuration; raises what building it raises."""
    place = TierPlace(
        directory=settings.directory,
        options=settings.tier_options.get(name, {}),
        sealer=sealer,
        timeout=settings.tier_timeout,
    )
    return build(name, place)


def explained(error: BaseException, options: Mapping[str, Any]) -> str:
    """A tier's error as it may be shown: its type, or its text where that is ours or names a missing module.

    `options` are the tier's own: what is secret in them is not in the text.
    """
    if not isinstance(error, InputError | ImportError):
        return type(error).__name__
    text = str(error)
    for name, value in options.items():
        if isinstance(value, str) and value and value != shown(name, value):
            text = text.replace(value, shown(name, value))
    told, newline, help_text = text.partition("\n")  # help shows the forms of URLs, which are not to be cut
    return without_credentials(told) + newline + help_text


def tiers_in(directory: Path | str, settings: Settings | None = None) -> Sequence[Tier]:
    """Memory and disk, the files in `directory`, otherwise as configured or by default."""
    base = settings or Settings(directory=Path(directory))
    return tiers_from(msgspec.structs.replace(base, directory=Path(directory)), ("memory", "disk"))


def memory_alone() -> Sequence[Tier]:
    """The memory tier, for an isolated cache that writes no files."""
    return [build(IN_PROCESS, TierPlace(directory=Path()))]


def project_setup() -> Setup:
    """What the process-wide cache is built from: the configuration; what is wrong in it is reported, passed over."""
    found = load()
    report(found)
    return Setup(
        build_tiers=lambda: tiers_from(found),
        switch=found.mode,
        global_options=found.global_options(),
        operation_options=found.operation_options,
        allow_modules=found.allow_modules,
        timeout=found.tier_timeout,
        build_usage_log=(lambda: usage_log_in(found.directory, found.usage_retention)) if found.usage_log else None,
        providers=found.providers,
    )


def usage_log_in(directory: Path | str, retention_seconds: float = 30 * 86400.0) -> Log:
    """The usage log in a cache's folder."""
    from apicache.usage.log import UsageLog  # noqa: PLC0415 - brings in sqlite3
    from apicache.usage.usage import FILE_NAME  # noqa: PLC0415 - as the log itself, for caches that log

    return UsageLog(Path(directory) / FILE_NAME, retention_seconds=retention_seconds)
