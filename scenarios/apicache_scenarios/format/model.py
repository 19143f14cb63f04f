"""What a scenario file says, as values: everything of the format but the entries under `scenarios`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from apicache_scenarios.format.problems import Place
from apicache_scenarios.format.quantities import PerSecond, Seconds, Share

SkipIf = Literal["fresh", "exists", "never"]
AtLeastOne = Annotated[int, Meta(ge=1)]
NotNegative = Annotated[float, Meta(ge=0)]


class Retries(msgspec.Struct, frozen=True, kw_only=True):
    """How often a failed call is made again: at most `max` times, after `first`, then doubling or equal waits."""

    max: Annotated[int, Meta(ge=0)] = 4
    backoff: Literal["exponential", "constant"] = "exponential"
    first: Seconds = 0.5


class Defaults(msgspec.Struct, frozen=True, kw_only=True):
    """What holds for entries that say nothing else; `rate` is that of one provider."""

    provider: str | None = None
    concurrency: AtLeastOne = 8
    rate: PerSecond | None = None
    retries: Retries = Retries()
    ttl: Seconds | None = None
    skip_if: SkipIf = "fresh"


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """What warming may spend in one run; on reaching it, it stops in order, or counts as failed."""

    usd: NotNegative | None = None
    calls: Annotated[int, Meta(ge=0)] | None = None
    on_exceed: Literal["stop", "error"] = "stop"


class HTTPRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A declared operation's request; `${{ params.X }}` and `${{ env.X }}` are filled in for each call."""

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD"] = "GET"
    url: str
    headers: dict[str, str] = {}
    params: dict[str, Any] = {}
    json: Any = None


class DeclaredOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An HTTP operation that the file declares; its parameters are those that the request refers to."""

    request: HTTPRequest
    ttl: Seconds | None = None
    returns: Literal["json", "response"] = "json"


class RefreshAhead(msgspec.Struct, frozen=True, kw_only=True):
    """Entries are loaded anew once less than this share of their ttl is left, give or take `jitter` of the ttl."""

    when_ttl_below: Share = 0.1
    jitter: Share = 0.0


class WarmSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is warmed; with `yield_to_live` a warming call waits while live calls are under way."""

    refresh_ahead: RefreshAhead | None = None
    yield_to_live: bool = False
    ttl_jitter: Share = 0.1


class Arm(msgspec.Struct, frozen=True, kw_only=True):
    """One side of a benchmark: with the cache or past it; `max_calls` bounds what it may send."""

    cache: Literal["use", "bypass"] = "use"
    max_calls: AtLeastOne | None = None


def two_arms() -> dict[str, Arm]:
    """The usual sides: cached and direct."""
    return {"cached": Arm(), "direct": Arm(cache="bypass")}


class Keys(msgspec.Struct, frozen=True, kw_only=True):
    """Which of the cases each request asks for; `dist` names a file of `load/keys`.

    `s` is zipf's exponent, `hot` the share of the keys that get `hot_traffic` of the requests (hotspot), `file` the
    recorded trace; without a `population` it is as large as there are cases.
    """

    dist: str = "zipf"
    s: NotNegative = 0.99
    population: AtLeastOne | None = None
    hot: Share = 0.2
    hot_traffic: Share = 0.8
    file: Path | None = None


class Stage(msgspec.Struct, frozen=True, kw_only=True):
    """One load shape for one stretch of time; `executor` names a file of `load/executors`."""

    executor: str
    duration: Seconds
    rate: PerSecond | None = None
    target: PerSecond | None = None
    max_in_flight: AtLeastOne | None = None
    vus: AtLeastOne | None = None


class Threshold(msgspec.Struct, frozen=True, kw_only=True):
    """A bound on a metric: `cached.latency{operation:completion}` with `p95 < 20ms` has arm, metric, labels, statistic.

    `bound` is in seconds for times, 0 to 1 for shares. `after` delays `abort`, in seconds from the start of measuring.
    """

    path: Path
    place: Place
    written: str
    arm: str | None
    metric: str
    labels: Mapping[str, str]
    statistic: str | None
    comparison: Literal["<", "<=", ">", ">=", "=="]
    bound: float
    abort: bool = False
    after: float = 0.0


class BenchPlan(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is benchmarked."""

    seed: int = 42
    arms: dict[str, Arm] = msgspec.field(default_factory=two_arms)
    keys: Keys = Keys()
    warmup: Seconds = 0.0
    stages: tuple[Stage, ...] = ()
    thresholds: tuple[Threshold, ...] = ()


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """One call: its parameters are those of the operation's annotations, so its key is that of live calls.

    `ttl` is in seconds; `weight` its share of a benchmark's mix.
    """

    path: Path
    line: int
    operation: str
    params: Mapping[str, Any]
    name: str | None = None
    priority: int = 0
    ttl: float | None = None
    skip_if: SkipIf = "fresh"
    weight: float = 1.0
    provider: str | None = None

    @property
    def place(self) -> str:
        """`path:line` of the entry."""
        return f"{self.path}:{self.line}"

    def call(self) -> dict[str, Any]:
        """The case as `warm_cache` takes it: `{"operation": ..., **params}`."""
        return {**self.params, "operation": self.operation}
