import json
import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing

import pytest

COMMAND = [sys.executable, "-m", "apicache_cli", "bench"]
QUICK = ["--requests=200", "--population=40", "--latency-ms=0"]


def bench(*arguments, **environment):
    return subprocess.run(
        [*COMMAND, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | {"COLUMNS": "100"} | environment,
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
    assert row(text, "hit rate")[3] == "50%"
    assert row(text, "API-call reduction")[3] == "50%"
    assert row(text, "throughput")[3] == "194.53 req/s"
    assert row(text, "p50")[3] == "25.56 ms"
    assert row(text, "p95")[3] == "51.16 ms"
    assert row(text, "speed-up of hits")[3] == "531x"
    assert row(text, "requests") == ["requests", "200", "200", ""]
    assert row(text, "errors") == ["errors", "0", "0", ""]


def test_the_table_is_followed_by_how_it_was_measured(text):
    notes = " ".join(text.stdout.split())
    assert "started empty" in notes
    assert "a closed loop" in notes
    assert "seed 42" in notes
    assert "Calls counted by the upstream" in notes


def test_progress_is_on_stderr_in_plain_lines_without_a_terminal(text):
    assert text.stderr.splitlines()[-1] == "requests 400/400"
    assert len(text.stderr.splitlines()) == 10
    assert "\x1b" not in text.stdout + text.stderr


def test_json_is_alone_on_stdout_and_never_coloured():
    done = bench(*QUICK, "--format=json", FORCE_COLOR="1")
    assert "\x1b" not in done.stdout
    json.loads(done.stdout)


def test_a_refusing_upstream_is_shown_by_class_and_exits_1(refusing_url):
    done = bench(*QUICK, f"--url={refusing_url}")
    assert done.returncode == 1
    assert row(done, "errors") == ["errors", "200", "200", ""]
    assert row(done, "ConnectionRefusedError") == ["ConnectionRefusedError", "200", "200", ""]
    assert row(done, "p50")[1:3] == ["-", "-"]


def test_a_refusing_upstream_in_json_has_no_made_up_figures(refusing_url):
    done = bench(*QUICK, f"--url={refusing_url}", "--format=json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["arms"]["direct"]["error_classes"] == {"ConnectionRefusedError": 200}
    assert document["arms"]["direct"]["p50_ms"] is None
    assert document["speedup_p50"] is None


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_interrupt_prints_what_was_measured_and_exits_130(form):
    command = [*COMMAND, "--requests=2000", "--latency-ms=50", f"--format={form}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr.readline() == "requests 400/4000\n"
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
    assert 200 <= document["arms"]["cached"]["requests"] < 2000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--requests=0"], "requests 0 is not usable; expected 1 or more"),
        (["--latency-ms=-1"], "latency -1.0 ms is not usable; expected 0 or more"),
        (["--url=localhost"], "url 'localhost' is not usable; expected http://HOST:PORT"),
        (["--executor=constant-vu"], "unknown executor 'constant-vu'; did you mean 'constant-vus'?"),
    ],
)
def test_bad_input_is_named_and_exits_2(arguments, message):
    done = bench(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"error: {message}\n")
