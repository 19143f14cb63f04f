"""What a run can be told, beside its scenario file or without one."""

from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

import msgspec

from apicache.errors import InputError
from apicache_scenarios.load.plan import MAX_DROPPED_SHARE, MAX_LAG_P99_MS, ROUNDS
from apicache_scenarios.upstream.latency import DEFAULT_MEAN_MS

DIRECT_CALLS: Final = 1500
"""Of the direct arm, at most: at 100 ms each they take most of a run's time."""


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What to run; `requests` is the cached arm's in the cold pass, and the direct arm's up to `direct_calls`.

    `latency_ms` is the mean of the embedded upstream's latency. With `url`, an upstream that already runs is measured:
    `url` + /v1/chat/completions has to speak OpenAI's format. `tiers` are compared, each set in a cache of its own.
    """

    requests: int = 4000
    direct_calls: int = DIRECT_CALLS
    concurrency: int = 32
    seed: int = 42
    latency_ms: float = DEFAULT_MEAN_MS
    population: int = 2000
    url: str | None = None
    executor: str = "constant-vus"
    rate: float | None = None
    """Requests a second of an open loop, for as long as the requests take."""
    tiers: tuple[tuple[str, ...], ...] = ()
    processes: int = 1
    max_lag_p99_ms: float = MAX_LAG_P99_MS

    def __post_init__(self) -> None:
        for name in ("requests", "concurrency", "population", "processes", "direct_calls"):
            if getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)} is not usable; expected 1 or more")
        if not 0 <= self.latency_ms < float("inf"):
            raise InputError(f"latency {self.latency_ms} ms is not usable; expected 0 or more")
        if self.rate is not None and not 0 < self.rate < float("inf"):
            raise InputError(f"rate {self.rate} is not usable; expected more than 0 requests a second")
        if self.url is not None and not _is_http(self.url):
            raise InputError(f"url {self.url!r} is not usable; expected http://HOST:PORT")


class FileSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What goes beyond a scenario file. `application` is `load_application`'s reference, `tiers` are compared."""

    path: Path
    application: str | None = None
    working_directory: Path
    tiers: tuple[tuple[str, ...], ...] = ()
    processes: int = 1
    seed: int | None = None
    """In place of the file's."""
    rounds: int = ROUNDS
    max_lag_p99_ms: float = MAX_LAG_P99_MS
    max_dropped_share: float = MAX_DROPPED_SHARE

    def __post_init__(self) -> None:
        if self.processes < 1:
            raise InputError(f"processes {self.processes} is not usable; expected 1 or more")


def _is_http(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:  # a port that is no number, a broken IPv6 address
        return False
