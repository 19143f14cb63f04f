import io
import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from rich.console import Console

from apicache_cli.bench_live import shown, view
from apicache_scenarios.load.result import load
from apicache_scenarios.load.snapshots import ArmSnapshot, Snapshot

COMMAND = [sys.executable, "-m", "apicache_cli", "bench"]
QUICK = ["--requests=200", "--population=40", "--latency-ms=0"]


def bench(*arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "160"} | environment,
        check=False,
    )


@pytest.fixture(scope="module")
def text():
    return bench(*QUICK)


@pytest.fixture(scope="module")
def document():
    done = bench(*QUICK, "--format=json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture
def refusing_url():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        host, port = server.getsockname()
    return f"http://{host}:{port}"


def row(done, label):
    """The cells of a row of the printed table."""
    (line,) = [line for line in done.stdout.splitlines() if re.match(rf"[│|]\s*{re.escape(label)}\s*[│|]", line)]
    return [cell.strip() for cell in re.split("[│|]", line)[1:-1]]


def test_the_json_has_the_documented_keys(document):
    assert document["schema"] == 1
    assert document.keys() >= {"arms", "api_call_reduction", "speedup_p50", "environment"}
    assert list(document["arms"]) == ["cached", "direct"]
    promised = {"requests", "hit_rate", "throughput_rps", "p50_ms", "p95_ms", "p99_ms", "max_ms", "errors"}
    for arm in document["arms"].values():
        assert arm.keys() >= promised
        assert arm["requests"] == 200
        assert arm["errors"] == 0
        assert 0 < arm["p50_ms"] <= arm["p95_ms"] <= arm["p99_ms"] <= arm["max_ms"]


def test_the_cache_saves_calls_and_time(document):
    assert document["arms"]["cached"]["hit_rate"] > 0.5
    assert document["arms"]["direct"]["hit_rate"] == 0
    assert document["api_call_reduction"] > 0.5
    assert document["speedup_p50"] > 1


def test_the_table_stands_beside_the_source_documents_figures(text):
    assert text.returncode == 0
    assert row(text, "hit rate")[4] == "50%"
    assert row(text, "API-call reduction")[4] == "50%"
    assert row(text, "throughput")[4] == "194.53 req/s"
    assert row(text, "p50")[4] == "25.56 ms"
    assert row(text, "p95")[4] == "51.16 ms"
    assert row(text, "speed-up of hits")[4] == "531x"
    assert row(text, "requests") == ["requests", "200", "800", "200", ""]
    assert row(text, "errors") == ["errors", "0", "0", "0", ""]


def test_the_table_is_followed_by_how_it_was_measured(text):
    notes = " ".join(text.stdout.split())
    assert "started empty" in notes
    assert "a closed loop" in notes
    assert "seed 42" in notes
    assert "Calls counted by the upstream" in notes


def test_progress_is_on_stderr_in_plain_lines_without_a_terminal(text):
    assert text.stderr.splitlines()[-1] == "requests 1200/1200"
    assert len(text.stderr.splitlines()) == 10
    assert "\x1b" not in text.stdout + text.stderr


def test_json_is_alone_on_stdout_and_never_coloured():
    done = bench(*QUICK, "--format=json", FORCE_COLOR="1")
    assert "\x1b" not in done.stdout
    json.loads(done.stdout)


def test_a_refusing_upstream_is_shown_by_class_and_exits_1(refusing_url):
    done = bench(*QUICK, f"--url={refusing_url}")
    assert done.returncode == 1
    assert row(done, "errors") == ["errors", "200", "800", "200", ""]
    assert row(done, "ConnectionRefusedError") == ["ConnectionRefusedError", "200", "800", "200", ""]
    assert row(done, "p50")[1:4] == ["-", "-", "-"]


def test_a_refusing_upstream_in_json_has_no_made_up_figures(refusing_url):
    done = bench(*QUICK, f"--url={refusing_url}", "--format=json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["arms"]["direct"]["error_classes"] == {"ConnectionRefusedError": 200}
    assert document["arms"]["direct"]["p50_ms"] is None
    assert document["speedup_p50"] is None


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_interrupt_prints_what_was_measured_and_exits_130(form):
    command = [*COMMAND, "--requests=2000", "--latency-ms=50", "--direct-calls=2000", f"--format={form}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline().startswith("requests 1")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    if form == "text":
        assert "Interrupted: the figures are of the requests that had ended." in stdout
        return
    document = json.loads(stdout)
    assert document["interrupted"] is True
    assert 0 < document["arms"]["direct"]["requests"] < 2000
    assert 0 < document["arms"]["cached"]["requests"] < 2000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--requests=0"], "requests 0 is not usable; expected 1 or more"),
        (["--latency-ms=-1"], "latency -1.0 ms is not usable; expected 0 or more"),
        (["--url=localhost"], "url 'localhost' is not usable; expected http://HOST:PORT"),
        (
            ["--executor=constant-vu"],
            "unknown executor 'constant-vu'; did you mean 'constant-vus' or 'constant-arrival-rate'?",
        ),
        (["--tiers=memry"], "unknown tier 'memry'; did you mean 'memory'?"),
        (["--app=a:b"], "--app is for a scenario file; give one: apicache bench FILE --app MODULE:ATTRIBUTE"),
        (
            ["faq.yaml", "--requests=3"],
            "--requests is for a run without a scenario file; write it in the file's bench section",
        ),
    ],
)
def test_bad_input_is_named_and_exits_2(arguments, message):
    done = bench(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")


APPLICATION = """
from apicache import UnifiedAPICache

print("the application prints")
api_cache = UnifiedAPICache.create()

@api_cache.operation("completion", ttl="1h")
async def completion(prompt: str) -> str:
    if prompt == "fail":
        raise ValueError(prompt)
    return prompt

@api_cache.operation("quote", ttl="1h")
async def quote(symbol: str) -> str:
    return symbol
"""
FAQ = """
version: 1
scenarios:
  - {operation: completion, prompt: a}
  - {operation: quote, symbol: A}
bench:
  stages: [{executor: constant-arrival-rate, rate: 100/s, duration: 300ms}]
  thresholds:
    cached.hit_rate: [">= 0.5"]
"""


@pytest.fixture
def faq(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("shop.py").write_text(APPLICATION)
    Path("faq.yaml").write_text(FAQ)
    return Path("faq.yaml")


def of_file(*arguments):
    return bench("faq.yaml", "--app=shop:api_cache", "--max-lag-ms=100000", *arguments)


def test_a_scenario_files_run_shows_operations_and_thresholds(faq):
    done = of_file()
    assert done.returncode == 0, done.stderr
    assert "the application prints" in done.stderr
    assert "the application prints" not in done.stdout
    assert "source document" not in done.stdout
    assert "By operation" in done.stdout
    assert row(done, "holds")[1:3] == ["cached.hit_rate: >= 0.5", "cached"]
    assert "an open loop" in " ".join(done.stdout.split())
    assert "seconds 1/1" in done.stderr


def test_a_missed_threshold_exits_99(faq):
    faq.write_text(FAQ.replace(">= 0.5", "== 1"))
    done = of_file()
    assert done.returncode == 99
    assert row(done, "MISSED")[1] == "cached.hit_rate: == 1"


def test_a_threshold_without_samples_exits_99(faq):
    faq.write_text(FAQ.replace('cached.hit_rate: [">= 0.5"]', '"latency{operation:other}": ["p95 < 1h"]'))
    done = of_file()
    assert done.returncode == 99
    assert "no samples" in done.stdout


@pytest.mark.parametrize(("threshold", "code"), [("hit_rate: ['>= 0']", 1), ("errors.rate: ['<= 100%']", 0)])
def test_failed_calls_exit_1_unless_a_threshold_says_how_many_may(faq, threshold, code):
    text = FAQ.replace('cached.hit_rate: [">= 0.5"]', threshold).replace("prompt: a", "prompt: fail")
    faq.write_text(text)
    assert of_file().returncode == code


def test_an_invalid_run_is_labelled(faq):
    done = bench("faq.yaml", "--app=shop:api_cache", "--max-lag-ms=0")
    assert done.returncode == 0
    assert "INVALID: the generator did not keep up." in done.stdout


def test_what_is_wrong_with_a_file_is_told_with_its_places(faq):
    faq.write_text(FAQ.replace("prompt: a", "promt: a").replace("rate: 100/s", "rate: fast"))
    done = of_file()
    assert done.returncode == 2
    assert "faq.yaml:4:" in done.stderr
    assert "faq.yaml:7:" in done.stderr
    assert done.stdout == ""


def test_a_saved_run_is_whole_and_replaces_an_older_one(tmp_path):
    path = tmp_path / "run.json"
    path.write_text("older")
    assert bench(*QUICK, f"--save={path}").returncode == 0
    saved = load(path.read_bytes())
    assert saved.arms["cached"].requests == 200
    assert len(saved.blocks) == 40
    assert [file.name for file in tmp_path.iterdir()] == ["run.json"]


def test_a_place_that_cannot_be_written_is_bad_input(tmp_path):
    done = bench(*QUICK, f"--save={tmp_path}/none/run.json")
    assert done.returncode == 2
    assert done.stderr == f"error: --save {tmp_path}/none/run.json cannot be written: no folder {tmp_path}/none\n"


def test_an_interrupt_of_several_processes_gives_what_they_measured():
    command = [*COMMAND, "--requests=2000", "--latency-ms=50", "--processes=2", "--format=json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=30)
    assert process.returncode == 130, stderr
    assert "Traceback" not in stderr
    document = json.loads(stdout)
    assert document["interrupted"] is True
    assert 0 < document["arms"]["cached"]["requests"] < 2000


DIES_AT_ONCE = "\nimport os, sys\nif 'load.worker' in str(sys.orig_argv): os._exit(7)\n"
DIES_LATER = APPLICATION.replace("    return symbol", "    import os; os._exit(7)")


@pytest.mark.parametrize("application", [APPLICATION + DIES_AT_ONCE, DIES_LATER], ids=["at once", "in a call"])
def test_a_worker_that_dies_is_told_of_and_exits_1(faq, application):
    Path("shop.py").write_text(application)
    done = of_file("--processes=2")
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "error: a worker process ended with exit code 7 before its turns"


def test_tiers_without_a_server_are_bad_input(monkeypatch):
    monkeypatch.delenv("APICACHE_REDIS_URL", raising=False)
    done = bench(*QUICK, "--tiers=redis")
    assert done.returncode == 2
    assert "the redis tier has no URL" in done.stderr


def test_help_is_the_commands_own(tmp_path):
    done = bench("--help")
    assert done.returncode == 0
    assert "--tiers" in done.stdout


def test_a_file_below_the_command_is_found_by_its_name(tmp_path):
    (tmp_path / "weigh.py").write_text("def command(name: str) -> None:\n    print('weighed', name)\n")
    program = (
        f"import sys, apicache_cli.commands.bench as package; package.__path__.append({str(tmp_path)!r})\n"
        "from apicache_cli.app import app; app()"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, "bench", "weigh", "this"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "weighed this\n"), done.stderr


def test_the_live_view_shows_each_arm():
    arms = {"cached": ArmSnapshot(requests=100, hits=75, seconds=2.0, p50_ms=0.02), "direct": ArmSnapshot()}
    snapshot = Snapshot(unit="seconds", done=3, total=10, arm="cached", stage=1, phase="warm", arms=arms)
    console = Console(width=120, record=True, file=io.StringIO(), force_terminal=True)
    with shown(console) as show:
        show(snapshot)
    console.print(view(snapshot))
    printed = console.export_text()
    assert "stage 2, warm: 3/10 seconds" in printed
    assert "cached *" in printed
    assert "75.0%" in printed
    assert "0.020 ms" in printed
