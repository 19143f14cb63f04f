"""What warming and expanding take: in wall time against the ideal, and in memory."""

import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
from httpx_aiohttp import AiohttpTransport
from turns import Figure

from apicache import UnifiedAPICache
from apicache_scenarios.format.loading import load_checked
from apicache_scenarios.upstream import running_upstream
from apicache_scenarios.warming.report import WarmedEntry
from apicache_scenarios.warming.running import run_warming
from apicache_scenarios.warming.warmer import WarmOptions

ENTRIES = 10_000
CONCURRENCY = 64
LATENCY_MS = 100.0
EXPANDED = 1_000_000
LIMIT_MIB = 200
FLAT_MIB = 10
"""What memory may grow by from the first thousand entries to the last, beside what the cache itself stores."""

EXPAND = """
import resource, sys
from pathlib import Path
from apicache import UnifiedAPICache
from apicache_scenarios.format.loading import load_files

cache = UnifiedAPICache.create()
cache.operation("completion")(lambda prompt: prompt)
[file] = load_files([Path(sys.argv[1])], cache.operations)
count = sum(1 for _ in file.cases())
print(count, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def measure() -> list[Figure]:
    """The rows of warming."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        return [*_warmed(folder), _expanded(folder)]


def _warmed(folder: Path) -> list[Figure]:
    file = _matrix(folder, 100, 100)
    cache = UnifiedAPICache.create(directory=folder / "cache")
    peaks: dict[int, int] = {}
    """Resident MiB after so many entries, less what the memory tier counts as stored."""

    def note(done: int) -> None:
        if done % 1000 == 0:
            resident = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
            peaks[done] = resident - cache.get_stats()["bytes"] // 2**20

    def keep(entry: WarmedEntry, kept: int) -> bool:
        return entry.status == "failed" and kept < CONCURRENCY

    with running_upstream(latency_ms=LATENCY_MS, seed=1) as upstream:
        client = httpx.AsyncClient(
            transport=AiohttpTransport(limits=httpx.Limits(max_connections=CONCURRENCY), trust_env=False),
            trust_env=False,
        )

        @cache.operation("completion", ttl="1h", returns="json")
        async def completion(prompt: str) -> httpx.Response:
            body = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": prompt}]}
            return await client.post(f"{upstream.url}/v1/chat/completions", json=body)

        [(loaded, total)] = load_checked([file], cache.operations).values()
        started = time.perf_counter()
        report = run_warming(
            cache,
            [loaded],
            WarmOptions(concurrency=CONCURRENCY),
            total=total,
            directory=folder,
            on_progress=note,
            keep=keep,
        )
        seconds = time.perf_counter() - started
    cache.close()
    assert report.summary.warmed == total == ENTRIES
    ideal = ENTRIES / CONCURRENCY * LATENCY_MS / 1000
    measured = seconds / ideal
    grown = peaks[ENTRIES] - peaks[1000]
    return [
        Figure(
            f"warm {ENTRIES:,} entries against a {LATENCY_MS:g} ms upstream at concurrency {CONCURRENCY}, to ideal",
            f"{measured:.2f}x ({seconds:.1f} s)",
            "at most 1.3x",
            measured <= 1.3,
        ),
        Figure(
            "memory from 1,000 to 10,000 warmed entries, beside what the memory tier stores",
            f"{grown} MiB more",
            f"flat: at most {FLAT_MIB} MiB",
            grown <= FLAT_MIB,
        ),
    ]


def _expanded(folder: Path) -> Figure:
    file = _matrix(folder, 1000, 1000)
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", EXPAND, str(file)], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - started
    count, mib = map(int, done.stdout.split())
    assert count == EXPANDED
    return Figure(
        f"expand {EXPANDED:,} matrix cases: memory of the whole process",
        f"{mib} MiB ({seconds:.0f} s)",
        f"under {LIMIT_MIB} MiB",
        mib < LIMIT_MIB,
    )


def _matrix(folder: Path, one: int, other: int) -> Path:
    file = folder / "cases.yaml"
    file.write_text(
        f"- operation: completion\n  matrix: {{a: {list(range(one))}, b: {list(range(other))}}}\n"
        '  params: {prompt: "question ${{ matrix.a }} of ${{ matrix.b }}"}\n'
    )
    return file


if __name__ == "__main__":
    for figure in measure():
        print(*figure, sep=" | ")
