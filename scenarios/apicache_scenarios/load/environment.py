"""What a second run needs to be the same, or a reader to know why it was not."""

import os
import platform
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final

from apicache_scenarios.load.executors import Shape, executor
from apicache_scenarios.load.plan import Leg, RunPlan

_PACKAGES: Final = ("apicache-toolkit", "httpx", "httpx-aiohttp", "aiohttp", "numpy", "hdrhistogram", "redis")


def captured(plan: RunPlan, processes: int) -> dict[str, Any]:
    """Machine, versions, and how the load was made; read before it begins."""
    measured = [leg for leg in plan.legs if leg.measured]
    return {
        "started_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "platform": platform.platform(),
        "cpu_count": os.cpu_count(),
        "cpu": _processor(),
        "load_average": _load_average(),
        "versions": _versions(),
        "seed": plan.seed,
        "population": plan.population,
        "keys": described_keys(plan),
        "executor": ", ".join(dict.fromkeys(leg.stage.executor for leg in measured)),
        "loop": _loops(measured),
        "warmup_seconds": sum(leg.stage.duration for leg in plan.legs if not leg.measured),
        "blocks": max((leg.rounds for leg in measured), default=0),
        "processes": processes,
    }


def described_keys(plan: RunPlan) -> str:
    """The distribution and what it goes by: `zipf 0.99`."""
    keys = plan.keys
    details = {"zipf": f" {keys.s:g}", "latest": f" {keys.s:g}", "hotspot": f" {keys.hot:g} gets {keys.hot_traffic:g}"}
    return f"{keys.dist}{details.get(keys.dist, '')}"


def _loops(legs: Sequence[Leg]) -> str:
    shapes = (Shape(stage=leg.stage, start_rate=leg.start_rate) for leg in legs)
    return " and ".join(sorted({"closed" if executor(shape).arrivals() is None else "open" for shape in shapes}))


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:  # an extra
            continue
    return found


def _load_average() -> list[float] | None:
    try:
        return [round(value, 2) for value in os.getloadavg()]
    except (AttributeError, OSError):  # not on every platform
        return None


def _processor() -> str:
    """The processor's name; Linux tells it in a file only."""
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:  # noqa: PTH123 - one line of a device-like file
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
