"""What the README says is run: its commands in the sample application, its Python as programs, its lists checked."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import apicache
from apicache.policy import Policy
from apicache.providers import anthropic, openai
from apicache_cli.commands.demo import SAMPLE
from apicache_scenarios.load.result import ThresholdResult
from apicache_scenarios.upstream import Upstream, running_upstream

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w+)\n(.*?)^```$", README, re.MULTILINE | re.DOTALL)
COMMANDS = [
    line.removeprefix("$ ")
    for language, text in BLOCKS
    if language == "console"
    for line in text.splitlines()
    if line.startswith("$ ")
]
PROGRAMS = [text for language, text in BLOCKS if language == "python"]


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running_upstream(latency_ms=1) as upstream:
        yield upstream


def against(upstream: Upstream, program: str) -> str:
    return re.sub(r"https://api\.(openai|example)\.com", upstream.url, program)


def run_example(upstream: Upstream, folder: Path, program: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-c", against(upstream, program)],
        cwd=folder,
        env=environment(upstream, folder),
        capture_output=True,
        text=True,
        check=False,
    )


def environment(upstream: Upstream, folder: Path) -> dict[str, str]:
    return {
        **os.environ,
        "APICACHE": "on",
        "APICACHE_DIR": str(folder / ".apicache"),
        "FINWISE_API": upstream.url,
        "OPENAI_BASE_URL": f"{upstream.url}/v1",
        "OPENAI_API_KEY": "test",
        "PYTHONPATH": str(folder),
    }


def test_the_commands_run_in_the_order_they_stand_in(upstream: Upstream, tmp_path: Path) -> None:
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    assert [shlex.split(command)[1] for command in COMMANDS] == [
        *["scan"] * 6, "migrate", "migrate", "migrate", "warm", "scenarios", "warm", "bench",
    ]  # fmt: skip
    for command in COMMANDS:
        program, *arguments = shlex.split(command)
        assert program == "apicache"
        done = subprocess.run(
            [sys.executable, "-m", "apicache_cli", *arguments],
            cwd=tmp_path,
            env=environment(upstream, tmp_path),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"


@pytest.mark.parametrize("program", PROGRAMS, ids=range(len(PROGRAMS)))
def test_each_python_example_runs(upstream: Upstream, tmp_path: Path, program: str) -> None:
    done = run_example(upstream, tmp_path, program)
    assert done.returncode == 0, done.stderr
    assert done.stdout
    assert done.stderr == ""


def test_the_operation_examples_second_answer_is_a_hit(upstream: Upstream, tmp_path: Path) -> None:
    program = next(text for text in PROGRAMS if 'operation("completion"' in text)
    before = upstream.requests_served()
    done = run_example(upstream, tmp_path, program)
    assert done.returncode == 0, done.stderr
    assert upstream.requests_served() - before == 1
    assert done.stdout.splitlines()[-1] == "1"


def table_names(heading: str) -> set[str]:
    """The first cells, without backticks, of the table under a heading cell."""
    rows = README.split(heading, 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return {match[1] for row in rows if (match := re.match(r"\| `([\w.]+)`", row))}


def test_the_policy_table_lists_every_option() -> None:
    assert table_names("| policy option |") == set(Policy.__struct_fields__)


def test_the_surface_table_names_what_the_module_exports() -> None:
    table = README.split("| on the process-wide cache", 1)[1].split("\n\n", 1)[0]
    types = {"ApicacheError", "CacheEvent", "InputError", "LoadTimeoutError", "UnifiedAPICache", "WarmOutcome"}
    for name in set(apicache.__all__) - types:
        assert name in table


def documented_keys(command: str) -> set[str]:
    contract = README.split(f"- `{command}`: `", 1)[1].split("\n- `", 1)[0].split("\n\n", 1)[0]
    return set(re.findall(r'"(\w+)"', contract))


def all_keys(value: Any) -> set[str]:
    if isinstance(value, dict):
        return set(value) | {key for item in value.values() for key in all_keys(item)}
    if isinstance(value, list):
        return {key for item in value for key in all_keys(item)}
    return set()


@pytest.mark.parametrize(
    ("command", "arguments", "free_form"),
    [
        ("scan", ["finwise"], set()),
        ("migrate", ["finwise"], set()),
        ("warm", ["scenarios.yaml"], {"failures"}),
        (
            "bench",
            ["--requests", "20", "--latency-ms", "0"],
            {"environment", "error_classes", "cache", "passes", "operations", "cost", "miss_ratio"},
        ),
    ],
)
def test_the_documented_json_keys_are_the_printed_ones(
    upstream: Upstream, tmp_path: Path, command: str, arguments: list[str], free_form: set[str]
) -> None:
    shutil.copytree(SAMPLE, tmp_path, dirs_exist_ok=True)
    (tmp_path / "finwise" / "empty.py").touch()
    run = [sys.executable, "-m", "apicache_cli"]
    if command == "warm":
        subprocess.run([*run, "migrate", "finwise", "--write"], cwd=tmp_path, capture_output=True, check=True)
    done = subprocess.run(
        [*run, command, *arguments, "--format", "json"],
        cwd=tmp_path,
        env=environment(upstream, tmp_path),
        capture_output=True,
        text=True,
        check=True,
    )
    check_document(command, json.loads(done.stdout), free_form)


IN_SERVICE = """
import apicache
@apicache.operation("quote", record=True)
def quote(symbol): return symbol
for symbol in "aab":
    apicache.cached_api_call_sync(operation="quote", symbol=symbol)
"""


def test_the_documented_json_keys_of_the_commands_in_service_are_the_printed_ones(
    upstream: Upstream, tmp_path: Path
) -> None:
    (tmp_path / "app.py").write_text(IN_SERVICE + "api_cache = apicache.UnifiedAPICache()\n")
    run = [sys.executable, "-m", "apicache_cli"]
    surroundings = environment(upstream, tmp_path)
    subprocess.run([sys.executable, "app.py"], cwd=tmp_path, env=surroundings, check=True)
    subprocess.run([*run, "export", "warm"], cwd=tmp_path, env=surroundings, capture_output=True, check=True)
    for command, arguments, free_form in (
        ("doctor", ["--all"], {"value", "versions", "models"}),
        ("stats", ["--frequent", "3"], {"parameters"}),
        ("explain", ["quote", "symbol=c", "--app", "app:api_cache"], {"parameters"}),
        ("purge", ["--all"], set()),
        ("export", ["warm"], set()),
        ("import", ["warm"], set()),
    ):
        done = subprocess.run(
            [*run, command, *arguments, "--format", "json"],
            cwd=tmp_path,
            env=surroundings,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == (1 if command == "explain" else 0), done.stderr
        check_document(command, json.loads(done.stdout), free_form)


@pytest.mark.parametrize(
    ("provider", "option", "model"),
    [
        ("anthropic", "model", anthropic.DEFAULT_MODEL),
        ("openai", "model", openai.DEFAULT_MODEL),
        ("openai", "embedding-model", openai.DEFAULT_EMBEDDING_MODEL),
    ],
)
def test_the_models_of_built_in_operations_are_the_documented_ones(provider: str, option: str, model: str) -> None:
    (row,) = [line for line in README.splitlines() if re.match(rf"\| `{provider}`[^`]*\| `model`", line)]
    assert f"`{option}` (`{model}`)" in row


def check_document(command: str, document: Any, free_form: set[str]) -> None:
    assert document["schema"] == (2 if command == "warm" else 1)

    def prune(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: None if key in free_form else prune(item) for key, item in value.items()}
        return [prune(item) for item in value] if isinstance(value, list) else value

    if command == "bench":  # no threshold was given
        document["thresholds"] = [dict.fromkeys(ThresholdResult.__struct_fields__)]
    assert all_keys(prune(document)) == documented_keys(command)
