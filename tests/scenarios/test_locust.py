"""The locustfile of `apicache bench export --to locust`, tried: one master, three workers, on loopback."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import ExitStack, closing

import pytest

from apicache_scenarios.application import load_application
from apicache_scenarios.exporting import Asked, exported, known
from apicache_scenarios.load.figures import Total
from apicache_scenarios.load.result import load, unpacked
from apicache_scenarios.load.scenario_run import plan_of_file
from apicache_scenarios.load.settings import FileSettings

pytestmark = pytest.mark.xdist_group("locust")  # they look at one run

WORKERS = 3
APPLICATION = """
import asyncio
import apicache
api_cache = apicache.UnifiedAPICache()
@api_cache.operation("quote", ttl=600, cost=0.002)
async def quote(symbol: str):
    await asyncio.sleep(0.002)
    if symbol == "broken":
        raise ValueError(symbol)
    return symbol
"""
SCENARIOS = """version: 1
scenarios:
  - {operation: quote, matrix: {symbol: [a, b, c, d, e, f, g, broken]}, params: {symbol: "${{ matrix.symbol }}"}}
bench:
  arms: {cached: {}, direct: {cache: bypass, max_calls: 60}}
  keys: {dist: uniform}
  stages: [{executor: constant-arrival-rate, rate: 90/s, duration: 2s}]
  thresholds: {cached.hit_rate: [">= 99%"]}
"""
WITNESS = """
# A test's: each worker writes down what it sent.
import json, os
from apicache_scenarios.locust_load import users
_encoded = users.encoded
def encoded(blocks, ends):
    report = _encoded(blocks, ends)
    with open(f"worker-{os.getpid()}.jsonl", "a") as file:
        file.write(report + "\\n")
    return report
users.encoded = encoded
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("spread")
    (folder / "spread_app.py").write_text(APPLICATION)
    (folder / "scenarios.yaml").write_text(SCENARIOS)
    cache = load_application("spread_app:api_cache", folder)
    plan = plan_of_file(FileSettings(path=folder / "scenarios.yaml", working_directory=folder), cache)
    asked = Asked(
        scenarios=folder / "scenarios.yaml", application="spread_app:api_cache", working_directory=folder,
        target=folder / "locustfile.py", plan=plan,
    )  # fmt: skip
    (folder / "locustfile.py").write_text(exported("locust", asked) + WITNESS)
    return folder


@pytest.fixture(scope="module")
def told(folder):
    """What the master printed, and its exit code."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    command = [sys.executable, "-m", "locust", "-f", "locustfile.py"]
    surroundings = {**os.environ, "APICACHE": "on", "APICACHE_DIR": str(folder / "cache")}
    # Processes without the variable begin again with it: the master shows that, the workers save the time.
    at_once = {**surroundings, "LOCUST_SKIP_MONKEY_PATCH": "1"}
    with ExitStack() as stack:
        for number in range(WORKERS):
            log = stack.enter_context((folder / f"worker-{number}.log").open("w"))
            worker = subprocess.Popen(
                [*command, "--worker", "--master-host=127.0.0.1", f"--master-port={port}"],
                cwd=folder, env=at_once, stdout=log, stderr=log,
            )  # fmt: skip
            stack.callback(worker.wait, 20)
            stack.callback(worker.send_signal, signal.SIGTERM)
        return subprocess.run(
            [*command, "--headless", "--master", "--master-bind-host=127.0.0.1", f"--master-bind-port={port}",
             f"--expect-workers={WORKERS}", "--expect-workers-max-wait=60", "-u", "18", "-r", "18", "-t", "4s"],
            cwd=folder, env=surroundings, capture_output=True, text=True, check=False, timeout=120,
        )  # fmt: skip


@pytest.fixture(scope="module")
def merged(told, folder):
    assert (folder / "bench.json").exists(), told.stderr
    return load((folder / "bench.json").read_bytes())


@pytest.fixture(scope="module")
def reports(told, folder):
    """Blocks by worker, as each sent them."""
    return {
        file.name: [block for line in file.read_text().splitlines() for block in json.loads(line)["blocks"]]
        for file in folder.glob("worker-*.jsonl")
    }


def counted(blocks, arm):
    """Requests by (operation, outcome) and errors, from the histograms that were sent."""
    from apicache_scenarios.load.recording import Histogram

    counts = {}
    for block in blocks:
        if block["arm"] == arm:
            for series in block["series"]:
                key = series["operation"], series["outcome"]
                found = counts.setdefault(key, {})
                for value, count in Histogram.decoded(series["latency"]).counts():
                    found[value] = found.get(value, 0) + count
    return counts


def failures(blocks, arm):
    return sum(
        count for block in blocks if block["arm"] == arm
        for classes in block["errors"].values() for count in classes.values()
    )  # fmt: skip


def test_locust_is_a_file_of_the_exports():
    assert known() == ("locust",)


def test_all_workers_send_requests(reports):
    assert len(reports) == WORKERS
    assert all(counted(blocks, "cached") for blocks in reports.values())


@pytest.mark.parametrize("arm", ["cached", "direct"])
def test_the_masters_histograms_are_the_workers_counts_added(merged, reports, arm):
    sent = counted([block for blocks in reports.values() for block in blocks], arm)
    own = [block for block in merged.blocks if block.arm == arm]
    for (operation, outcome), values in sent.items():
        whole = Total(own, operation).latency([outcome])
        assert dict(whole.counts()) == values
    figures = merged.arms[arm]
    assert figures.requests - figures.errors == sum(sum(values.values()) for values in sent.values()) > 0
    assert figures.errors == failures([block for blocks in reports.values() for block in blocks], arm) > 0


def test_the_workers_share_the_bound_on_paid_calls(merged):
    assert 0 < merged.arms["direct"].upstream_calls <= 60


def test_the_run_is_whole_open_and_traced(merged, told):
    assert not merged.interrupted, told.stderr
    assert merged.environment["processes"] == WORKERS
    assert all(block.lag is not None for block in merged.blocks)
    keys = sum(len(unpacked(block.keys)) for block in merged.blocks if block.keys)
    assert keys >= merged.arms["cached"].requests
    # Misses are counted a moment apart from their calls.
    assert merged.cost_per_call["quote"] == pytest.approx(0.002, rel=0.05)


def test_a_missed_threshold_is_the_masters_exit_code(told):
    assert told.returncode == 99, told.stderr
    assert "threshold missed: cached.hit_rate: >= 99%" in told.stderr
    assert re.search(r"cached: \d+ requests, hit rate", told.stderr)


def test_the_workers_end_by_themselves(told, folder):
    for number in range(WORKERS):
        log = (folder / f"worker-{number}.log").read_text()
        assert "Got quit message from master" in log
        assert "Traceback" not in log
