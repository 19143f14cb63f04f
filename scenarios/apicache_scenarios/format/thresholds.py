"""Thresholds as files write them: `cached.latency{operation:completion}: ["p95 < 20ms"]`."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal

import msgspec

from apicache_scenarios.format.document import Located
from apicache_scenarios.format.model import Threshold
from apicache_scenarios.format.problems import suggestion
from apicache_scenarios.format.quantities import Seconds, duration, rate, share
from apicache_scenarios.format.reading import WRONG, Reader, shown

Unit = Literal["share", "time", "rate", "count", "factor", "money"]
METRICS: Final[Mapping[str, Unit]] = {
    "hit_rate": "share",
    "latency": "time",
    "service_time": "time",
    "lag": "time",
    "throughput": "rate",
    "errors.rate": "share",
    "errors.count": "count",
    "requests.count": "count",
    "dropped.count": "count",
    "upstream.calls": "count",
    "api_call_reduction": "share",
    "speedup": "factor",
    "cost": "money",
}
"""What a threshold may bound. `latency` is from the intended send, `service_time` from the actual one."""
_METRIC: Final = re.compile(r"(?P<path>[\w.-]+)(?:\{(?P<labels>[^}]*)\})?")
_CHECK: Final = re.compile(r"(?:(?P<statistic>[a-z][\w.]*)\s+)?(?P<comparison><=|>=|==|<|>)\s*(?P<bound>\S+)")
_STATISTIC: Final = re.compile(r"p(\d{1,2}(\.\d+)?|100)|min|max|avg|med")


class _Check(msgspec.Struct, frozen=True, kw_only=True):
    check: str
    abort: bool = False
    after: Seconds = 0.0


def read_thresholds(path: Path, located: Located, arms: Mapping[str, Any], reader: Reader) -> Iterator[Threshold]:
    """The thresholds of a mapping from metrics to checks; what cannot be understood is noted."""
    if not isinstance(located.value, dict):
        reader.note(located.place, f"thresholds {shown(located)} is not a mapping from metrics to lists of checks")
        return
    for written, checks in located.value.items():
        metric = _metric(written, arms)
        if isinstance(metric, str):
            reader.note(located.key_places[written], metric)
            continue
        listed = checks.value if isinstance(checks.value, list) else [checks]
        for each in listed:
            threshold = _threshold(path, str(written), metric, each, reader)
            if threshold is not None:
                yield threshold


class _Metric(msgspec.Struct, frozen=True):
    arm: str | None
    name: str
    labels: Mapping[str, str]


def _metric(written: object, arms: Mapping[str, Any]) -> _Metric | str:
    """The metric, or what is wrong with it."""
    found = _METRIC.fullmatch(str(written).strip())
    if found is None:
        return f"metric {written!r} is not understood; expected for example cached.latency{{operation:completion}}"
    arm, _, name = found["path"].partition(".")
    if arm not in arms:
        arm, name = "", found["path"]
    if name not in METRICS:
        hint = suggestion(name, {*METRICS, *arms} if "." not in name else METRICS)
        return f"unknown metric {name!r}{hint}"
    labels = {}
    for part in filter(None, (found["labels"] or "").split(",")):
        label, colon, value = part.partition(":")
        if not colon or label.strip() not in ("operation", "outcome"):
            return f"label {part!r} of {written!r} is not understood; expected operation:NAME or outcome:hit"
        labels[label.strip()] = value.strip()
    return _Metric(arm or None, name, labels)


def _threshold(path: Path, written: str, metric: _Metric, located: Located, reader: Reader) -> Threshold | None:
    given = located
    if isinstance(located.value, dict):
        check = reader.read(located, _Check, f"threshold of {written}")
        if check is WRONG:
            return None
    else:
        text = reader.resolved(given).value
        if not isinstance(text, str):
            reader.note(given.place, f"check {shown(given)} is not text; expected for example 'p95 < 20ms'")
            return None
        check = _Check(check=text)
    found = _CHECK.fullmatch(check.check.strip())
    unit = METRICS[metric.name]
    problem = None if found else "is not understood; expected for example 'p95 < 20ms' or '>= 0.80'"
    problem = problem or _statistic_problem(found["statistic"] if found else None, unit)
    bound = _bound(found["bound"], unit) if found and problem is None else None
    if found is None or problem is not None or bound is None:
        problem = problem or f"has no bound that {metric.name} can have; it is a {unit}"
        reader.note(given.place, f"check {check.check!r} of {written} {problem}")
        return None
    return Threshold(
        path=path,
        place=given.place,
        written=f"{written}: {check.check}",
        arm=metric.arm,
        metric=metric.name,
        labels=metric.labels,
        statistic=found["statistic"],
        comparison=found["comparison"],  # type: ignore[arg-type] # one of the pattern's
        bound=bound,
        abort=check.abort,
        after=check.after,
    )


def _statistic_problem(statistic: str | None, unit: Unit) -> str | None:
    if unit == "time" and statistic is None:
        return "names no statistic; write for example 'p95 < 20ms'"
    if unit != "time" and statistic is not None:
        return f"has a statistic, {statistic!r}, for a metric that has none; leave it out"
    if statistic is not None and not _STATISTIC.fullmatch(statistic):
        return f"names an unknown statistic {statistic!r}; known: p50, p95, p99.9, ..., min, avg, med, max"
    return None


def _bound(written: str, unit: Unit) -> float | None:
    """The bound as a number; None for none of that unit."""
    parse = {"time": duration, "rate": rate, "share": share}.get(unit, float)
    try:
        return parse(_number(written))
    except ValueError:
        return None


def _number(written: str) -> float | str:
    try:
        return float(written.removesuffix("x"))
    except ValueError:
        return written
