import json
import os
import re
import signal
import subprocess
import sys

import pytest

from apicache_scenarios.upstream import running_upstream

APPLICATION = """
import asyncio
import os

import httpx

from apicache import UnifiedAPICache

api_cache = UnifiedAPICache()
UPSTREAM = os.environ["UPSTREAM"]
print("a line that the application prints while it is imported")


@api_cache.operation("completion", ttl="1h", returns="json")
async def completion(prompt: str, temperature: float = 1.0) -> httpx.Response:
    async with httpx.AsyncClient(trust_env=False) as client:
        body = {"prompt": prompt, "temperature": temperature}
        return await client.post(f"{UPSTREAM}/v1/chat/completions", json=body)


@api_cache.operation("quote", ttl="5m", returns="json")
def quote(symbol: str) -> httpx.Response:
    print("a line that the application prints while it is called")
    return httpx.get(f"{UPSTREAM}/v1/quotes/{symbol}", trust_env=False)


@api_cache.operation("endless")
async def endless(name: str) -> None:
    await asyncio.Event().wait()
"""

ASK = """
import asyncio, json, sys
from shop import api_cache
answers = [
    asyncio.run(api_cache.cached_api_call(operation="completion", prompt="Analyze emergency fund", temperature=0.0)),
    api_cache.cached_api_call_sync(operation="quote", symbol="AAPL"),
]
print(json.dumps([answers, api_cache.get_stats()["cache_hits"]]), file=sys.stderr)
"""

SCENARIOS = """
- {operation: completion, prompt: Analyze emergency fund, temperature: 0}
- {operation: quote, symbol: AAPL, name: shares}
"""


@pytest.fixture(scope="module")
def running():
    with running_upstream(latency_ms=0) as upstream:
        yield upstream


@pytest.fixture
def upstream(running):
    running.behave(fail_share=0)
    return running


@pytest.fixture
def project(tmp_path):
    (tmp_path / "shop.py").write_text(APPLICATION)
    (tmp_path / "pyproject.toml").write_text('[tool.apicache]\napp = "shop:api_cache"\n')
    (tmp_path / "scenarios.yaml").write_text(SCENARIOS)
    return tmp_path


@pytest.fixture
def environment(upstream, project):
    return os.environ | {
        "UPSTREAM": upstream.url,
        "APICACHE": "on",
        "APICACHE_DIR": str(project / "cache"),
        "COLUMNS": "100",
    }


@pytest.fixture
def python(project, environment):
    def run(*arguments, **changes):
        command = [sys.executable, *arguments]
        return subprocess.run(
            command, cwd=project, env=environment | changes, capture_output=True, text=True, check=False
        )

    return run


@pytest.fixture
def warm(python):
    return lambda *arguments, **changes: python("-m", "apicache_cli", "warm", *arguments, **changes)


def test_the_application_hits_in_another_process_what_was_warmed(warm, python, upstream):
    before = upstream.requests_served()
    assert warm("scenarios.yaml").returncode == 0
    assert upstream.requests_served() == before + 2
    asked = python("-c", ASK)
    (completion, quote), hits = json.loads(asked.stderr)
    assert upstream.requests_served() == before + 2, "the application called nothing"
    assert hits == 2
    assert completion["choices"][0]["message"]["content"].endswith("to: Analyze emergency fund")
    assert quote["symbol"] == "AAPL"


def test_a_second_run_finds_everything_fresh_and_calls_nothing(warm, upstream):
    warm("scenarios.yaml")
    before = upstream.requests_served()
    done = warm("scenarios.yaml", "--format=json")
    assert [entry["status"] for entry in json.loads(done.stdout)["entries"]] == ["fresh", "fresh"]
    assert upstream.requests_served() == before


def test_the_json_has_the_documented_keys(warm):
    document = json.loads(warm("scenarios.yaml", "--format=json").stdout)
    assert document["schema"] == 2
    assert document.keys() == {"schema", "entries", "summary"}
    completion, quote = document["entries"]
    assert completion.keys() >= {"operation", "key", "status", "seconds", "error"}
    assert (completion["operation"], completion["status"], completion["error"]) == ("completion", "warmed", None)
    assert re.fullmatch("[0-9a-f]{64}", completion["key"])
    assert (quote["name"], quote["path"], quote["line"]) == ("shares", "scenarios.yaml", 3)
    summary = document["summary"]
    assert summary.pop("seconds") > 0
    assert summary == {
        "scenarios": 2,
        "warmed": 2,
        "fresh": 0,
        "failed": 0,
        "uncertain": 0,
        "not_run": 0,
        "calls": 2,
        "cost": 0.0,
        "failures": {},
        "stopped": None,
        "over_budget": False,
        "interrupted": False,
        "resumed": False,
        "refreshed": 0,
    }


def test_the_table_shows_every_entry_and_a_summary(warm):
    done = warm("scenarios.yaml", "--app=shop:api_cache", "--concurrency=1")
    assert done.returncode == 0
    first, second = re.findall(r"[│|] (warmed|fresh|failed) .*", done.stdout, flags=re.MULTILINE)
    assert (first, second) == ("warmed", "warmed")
    assert "shares (scenarios.yaml:3)" in done.stdout
    assert re.search(r"^2 warmed, 0 fresh, 0 failed in \d+\.\d s$", done.stdout, flags=re.MULTILINE)


def test_stdout_holds_data_alone_and_progress_is_plain_without_a_terminal(warm):
    done = warm("scenarios.yaml")
    assert "a line that the application prints" not in done.stdout
    assert "a line that the application prints while it is imported" in done.stderr
    assert "a line that the application prints while it is called" in done.stderr
    assert {"warming 1/2", "warming 2/2"} <= set(done.stderr.splitlines())
    assert "\x1b" not in done.stdout + done.stderr


def test_no_color_is_respected_where_colour_is_forced(warm):
    coloured = warm("scenarios.yaml", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="")
    plain = warm("scenarios.yaml", FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    colour = re.compile(r"\x1b\[[0-9;]*3[0-9]")
    assert colour.search(coloured.stdout)
    assert not colour.search(plain.stdout)


def test_a_failing_call_is_shown_and_exits_1(warm, project, upstream):
    upstream.behave(fail_share=1, fail_status=500)
    done = warm("scenarios.yaml", "--format=json")
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert [entry["status"] for entry in document["entries"]] == ["failed", "failed"]
    assert all("500" in entry["error"] for entry in document["entries"])
    assert document["summary"]["failed"] == 2


def test_an_upstream_that_refuses_connections_fails_every_entry(warm):
    done = warm("scenarios.yaml", UPSTREAM="http://127.0.0.1:1")
    assert done.returncode == 1
    assert done.stdout.count("ConnectError: ") == 2
    assert "failed: 2 ConnectError" in done.stdout
    assert "10 calls made" in done.stdout
    assert "0 warmed, 0 fresh, 2 failed" in done.stdout


def test_text_of_an_entry_is_never_read_as_markup(warm, project):
    (project / "scenarios.yaml").write_text("- {operation: quote, symbol: A, name: '[red]x[/nonsense]'}")
    assert "[red]x[/nonsense]" in warm("scenarios.yaml").stdout


def test_a_long_run_lists_failures_only(warm, project):
    entries = [f"- {{operation: completion, prompt: p{number}}}" for number in range(60)]
    (project / "scenarios.yaml").write_text("\n".join([*entries, "- {operation: quote, symbol: 'x/y/z'}"]))
    done = warm("scenarios.yaml")
    assert done.returncode == 1
    assert len(re.findall("[│|] warmed", done.stdout)) == 0
    assert len(re.findall("[│|] failed", done.stdout)) == 1
    assert "60 more went well; --format json lists all" in done.stdout


@pytest.mark.parametrize("form", ["text", "json"])
def test_an_interrupt_prints_what_had_ended_and_exits_130(project, environment, form):
    (project / "scenarios.yaml").write_text(
        "- {operation: endless, params: {name: x}}\n- {operation: completion, prompt: x}\n"
    )
    command = [sys.executable, "-m", "apicache_cli", "warm", "scenarios.yaml", f"--format={form}"]
    with subprocess.Popen(
        command, cwd=project, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        while process.stderr.readline() != "warming 1/2\n":
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "Traceback" not in stderr
    if form == "text":
        assert "1 warmed, 0 fresh, 0 failed" in stdout
        assert "interrupted, 1 of 2 not run" in stdout
        return
    document = json.loads(stdout)
    assert [(entry["status"], entry["line"]) for entry in document["entries"]] == [("warmed", 2)]
    assert (document["summary"]["not_run"], document["summary"]["interrupted"]) == (1, True)


def test_all_bad_entries_are_named_at_once_and_nothing_is_called(warm, project, upstream):
    (project / "scenarios.yaml").write_text(
        "- {operation: completion, prompt: fine}\n"
        "- {operation: complete, prompt: x}\n"
        "- {operation: completion, promt: x}\n"
        "- {operation: completion, prompt: 5}\n"
    )
    before = upstream.requests_served()
    done = warm("scenarios.yaml")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[1:] == [
        "error: 4 problems",
        "  scenarios.yaml:2:4: unknown operation 'complete'; did you mean 'completion'?",
        "  scenarios.yaml:3:3: completion needs parameter 'prompt'; add prompt:",
        "  scenarios.yaml:3:27: completion has no parameter 'promt'; did you mean 'prompt'?",
        "  scenarios.yaml:4:35: completion parameter 'prompt': 5: expected `str`, got `int`; quote it",
    ]
    assert upstream.requests_served() == before


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scenario.yaml"], "error: scenario.yaml: no such file; did you mean 'scenarios.yaml'?"),
        (["scenarios.yaml", "--app=shop"], "error: --app 'shop'; expected MODULE:ATTRIBUTE"),
        (["scenarios.yaml", "--app=shop:cache"], "error: module 'shop' has no attribute 'cache'; did you mean 'api_c"),
        (["scenarios.yaml", "--app=shp:api_cache"], "error: no module 'shp' for --app shp"),
    ],
)
def test_bad_input_is_named_and_exits_2(warm, arguments, message):
    done = warm(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.splitlines()[-1].startswith(message)


def test_an_application_that_cannot_be_imported_shows_the_cause_and_exits_2(warm, project):
    (project / "shop.py").write_text("import os\nos.environ['SHOP_KEY']\n")
    done = warm("scenarios.yaml")
    assert done.returncode == 2
    assert done.stderr == f"error: importing 'shop' failed at {project / 'shop.py'}:2: KeyError: 'SHOP_KEY'\n"


def test_a_cache_that_is_off_is_not_warmed(warm, upstream):
    before = upstream.requests_served()
    done = warm("scenarios.yaml", APICACHE="off")
    assert done.returncode == 2
    assert "the application's cache is off" in done.stderr
    assert upstream.requests_served() == before
