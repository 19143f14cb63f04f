"""What the commands about a cache's contents open: the configured tiers that processes share, and the usage log."""

import contextlib
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from apicache.defaults import explained, tiers_from
from apicache.errors import ApicacheError, InputError
from apicache.setting_values import without_credentials
from apicache.settings import Settings, load
from apicache.tier import SharedTier
from apicache.usage.log import UsageLog
from apicache.usage.usage import FILE_NAME
from apicache_cli import output

KEY_DIGITS = 64


class Opened(NamedTuple):
    """What is configured where the command runs."""

    settings: Settings
    shared: Sequence[SharedTier]
    """The tiers that processes share, nearest first."""
    log: UsageLog

    def failure(self, tier: SharedTier, error: Exception) -> str:
        """What went wrong with a tier, without anything secret."""
        if isinstance(error, ApicacheError):
            return without_credentials(str(error))
        return explained(error, self.settings.tier_options.get(tier.name, {}))


@contextlib.contextmanager
def opened() -> Iterator[Opened]:
    """The configured shared tiers and the usage log; raises InputError when no tier is shared."""
    settings = configured()
    tiers = tiers_from(settings)
    log = UsageLog(settings.directory / FILE_NAME, settings.usage_retention)
    try:
        shared = [tier for tier in tiers if isinstance(tier, SharedTier)]
        if not shared:
            names = ", ".join(settings.tiers) or "none"
            raise InputError(
                f"no tier that processes share can be used (tiers: {names}); add disk or redis to `tiers` in "
                "[tool.apicache], or see what `apicache doctor` says"
            )
        yield Opened(settings, shared, log)
    finally:
        for tier in tiers:
            with contextlib.suppress(Exception):  # a tier that fails has been told of by now
                tier.close()
        log.close()


@contextlib.contextmanager
def opened_log() -> Iterator[UsageLog]:
    """The usage log alone."""
    settings = configured()
    log = UsageLog(settings.directory / FILE_NAME, settings.usage_retention)
    try:
        yield log
    finally:
        log.close()


def configured() -> Settings:
    """The configuration in force; what is wrong in it is told on stderr."""
    settings = load()
    for problem in settings.problems:
        output.stderr().print(f"warning: {problem}", soft_wrap=True, markup=False)
    return settings


def key_from(text: str) -> bytes:
    """A key as `warm` and `explain` print it: 64 hexadecimal digits."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(text) != KEY_DIGITS or len(key) * 2 != KEY_DIGITS:
        raise InputError(f"the key {text!r} is not understood; give the 64 hexadecimal digits that explain prints")
    return key


def now() -> float:
    """Seconds since the epoch: commands act at the machine's time."""
    return time.time()


def span(seconds: float) -> str:
    """A length of time in the two largest units that count: `2 d 3 h`, `14 min`, `0.4 s`."""
    if seconds < 1:
        return f"{seconds:.1f} s"
    parts: list[str] = []
    rest = round(seconds)
    for unit, length in (("d", 86400), ("h", 3600), ("min", 60), ("s", 1)):
        if rest >= length or (unit == "s" and not parts):
            parts.append(f"{rest // length} {unit}")
            rest %= length
    return " ".join(parts[:2])


def moment(at: float) -> str:
    """A time as text, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def size(count: float) -> str:
    """A number of bytes as text."""
    for unit in ("B", "KiB", "MiB"):
        if count < 1024:  # noqa: PLR2004 - the unit's own figure
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def counted(number: int, what: str, plural: str | None = None) -> str:
    """`1 entry`, `2,000 entries`."""
    return f"{number:,} {what if number == 1 else plural or what + 's'}"
