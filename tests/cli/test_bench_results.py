"""`apicache bench report`, `compare` and `export`, and the report options of `apicache bench`."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from apicache_scenarios.load.result import save

_made = Path(__file__).parents[1] / "scenarios" / "made_results.py"
_spec = importlib.util.spec_from_file_location("made_results", _made)
made_results = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made_results)

APPLICATION = """
import apicache
api_cache = apicache.UnifiedAPICache()
@api_cache.operation("quote", ttl=600)
async def quote(symbol: str): return symbol
print("imported")
"""
SCENARIOS = """version: 1
scenarios: [{operation: quote, matrix: {symbol: [a, b]}, params: {symbol: "${{ matrix.symbol }}"}}]
bench:
  arms: {cached: {}, direct: {cache: bypass, max_calls: 30}}
  stages: [{executor: constant-arrival-rate, rate: 50/s, duration: 20s, max_in_flight: 9}]
"""


def bench(folder, *arguments):
    return subprocess.run(
        [sys.executable, "-m", "apicache_cli", "bench", *arguments],
        cwd=folder,
        env=os.environ | {"COLUMNS": "100", "APICACHE_DIR": str(folder)},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    for name, made in (
        ("a", made_results.result(1)),
        ("b", made_results.result(2)),
        ("slow", made_results.result(3, slower=1.6)),
        ("elsewhere", made_results.result(4, cpu="another")),
        ("seed", made_results.result(5, keys=7)),
    ):
        (folder / f"{name}.json").write_bytes(save(made))
    (folder / "broken.json").write_text('{"schema": 1')
    (folder / "app.py").write_text(APPLICATION)
    (folder / "scenarios.yaml").write_text(SCENARIOS)
    return folder


@pytest.mark.parametrize("name", ["text", "json", "csv", "markdown", "html"])
def test_a_saved_run_is_reported_in_every_form(folder, name):
    done = bench(folder, "report", "a.json", f"--format={name}", f"--output=report.{name}", "--price-per-call=0.01")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    written = (folder / f"report.{name}").read_text()
    assert "double the memory" in " ".join(written.split())
    assert not list(folder.glob("*.part"))


def test_the_report_goes_to_stdout_where_no_file_is_named(folder):
    done = bench(folder, "report", "a.json", "--format=json", "--at-rate=5")
    assert json.loads(done.stdout)["cost"]["per_month"]["rate"] == 5


def test_equal_runs_pass_the_gate_and_a_slower_one_does_not(folder):
    assert bench(folder, "compare", "a.json", "b.json", "--fail-on-regression").returncode == 0
    done = bench(folder, "compare", "a.json", "slow.json", "--fail-on-regression")
    assert done.returncode == 99
    assert "worse" in done.stdout
    assert bench(folder, "compare", "a.json", "slow.json").returncode == 0


def test_another_machines_times_are_not_gated(folder):
    done = bench(folder, "compare", "a.json", "elsewhere.json", "--fail-on-regression")
    assert done.returncode == 0
    assert "other machine, cpu: a processor and another" in done.stdout


def test_runs_that_cannot_be_compared_do_not_pass_the_gate(folder):
    seeded = json.loads((folder / "b.json").read_text())
    seeded["environment"]["seed"] = 7
    (folder / "seeded.json").write_text(json.dumps(seeded))
    done = bench(folder, "compare", "a.json", "seeded.json", "--fail-on-regression", "--format=markdown")
    assert done.returncode == 99
    assert "other seed: 42 and 7" in done.stdout


def test_the_comparison_in_json_is_one_document(folder):
    done = bench(folder, "compare", "a.json", "slow.json", "--format=json", "--output=compared.json")
    assert (done.returncode, done.stdout) == (0, "")
    assert json.loads((folder / "compared.json").read_text())["metrics"][0]["metric"] == "hit_rate"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["report", "none.json"],
            "none.json cannot be read: No such file or directory; apicache bench --save none.json",
        ),
        (["report", "broken.json"], "broken.json is no result of apicache bench --save: "),
        (["report", "a.json", "--format=htm"], "unknown format 'htm'; did you mean 'html'?"),
        (["report", "a.json", "--output=no/where.html"], "--output no/where.html cannot be written: no folder"),
        (["report", "a.json", "--price-per-call=-1"], "price per call -1.0 is not usable"),
        (["--format=htm"], "unknown format 'htm'; did you mean 'html'?"),
        (["--at-rate=0"], "rate 0.0 is not usable"),
        (["compare", "a.json", "b.json", "--confidence=95"], "confidence 95.0 is not usable"),
        (["export", "--to=lokust", "scenarios.yaml", "--app=app:api_cache"], "unknown tool 'lokust'; did you mean"),
        (
            ["export", "--to=locust", "scenarios.yaml", "--app=app:api_cache", "--output=app.py"],
            "app.py is there and was not written by this command",
        ),
        (["export", "--to=locust", "none.yaml", "--app=app:api_cache"], "none.yaml"),
    ],
)
def test_bad_input_is_named_and_exits_2(folder, arguments, message):
    done = bench(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_locustfile_is_written_and_written_again(folder):
    for _ in range(2):
        done = bench(folder, "export", "--to=locust", "scenarios.yaml", "--app=app:api_cache")
        assert done.returncode == 0, done.stderr
        assert done.stdout == "wrote locustfile.py; type: locust -f locustfile.py --help\n"
    text = (folder / "locustfile.py").read_text()
    assert "rate_per_user=10.0" in text
    assert "-u 10 -r 10 -t 20s" in text
    compile(text, "locustfile.py", "exec")
