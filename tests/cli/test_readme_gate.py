"""The README's gate for pull requests is run as its workflow says: in a repository, from the target branch on."""

import io
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
RECIPE = README.split("# .github/workflows/bench.yml\n", 1)[1].split("```", 1)[0]
STEPS = [step for step in YAML(typ="safe").load(io.StringIO(RECIPE))["jobs"]["bench"]["steps"] if "run" in step]
APPLICATION = """
import apicache
api_cache = apicache.UnifiedAPICache()
@api_cache.operation("quote", ttl=600)
async def quote(symbol: str): return symbol
"""
FILES = {
    "app.py": APPLICATION,
    "pyproject.toml": '[tool.apicache]\napp = "app:api_cache"\n',
    "bench.yaml": """version: 1
scenarios: [{operation: quote, matrix: {symbol: [a, b, c, d, e]}, params: {symbol: "${{ matrix.symbol }}"}}]
bench:
  arms: {cached: {}, direct: {cache: bypass, max_calls: 40}}
  stages: [{executor: constant-arrival-rate, rate: 100/s, duration: 1s}]
""",
}


def run(folder, *command, **environment):
    return subprocess.run(
        command, cwd=folder, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )


@pytest.fixture
def clone(tmp_path):
    """A clone of a repository, as a workflow's checkout leaves it."""
    origin = tmp_path / "origin"
    origin.mkdir()
    for name, text in FILES.items():
        (origin / name).write_text(text)
    author = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    for command in (["init", "-q", "-b", "main"], ["add", "."], [*author, "commit", "-q", "-m", "begin"]):
        assert run(origin, "git", *command).returncode == 0
    assert run(tmp_path, "git", "clone", "-q", str(origin), "clone").returncode == 0
    (tmp_path / "bin").mkdir()
    program = tmp_path / "bin" / "apicache"
    program.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m apicache_cli "$@"\n')
    program.chmod(0o755)
    return tmp_path / "clone"


def worked(clone):
    """The exit code of each step by its name; after one that fails only those that always run are."""
    codes = {}
    for step in STEPS:
        if step["run"].startswith("pip "):
            continue
        if any(codes.values()) and step.get("if") != "always()":
            continue
        done = run(
            clone, "bash", "-eo", "pipefail", "-c", step["run"],
            APICACHE="on", GITHUB_BASE_REF="main", GITHUB_WORKSPACE=str(clone),
            GITHUB_STEP_SUMMARY=str(clone / "summary.md"),
            PATH=f"{clone.parent / 'bin'}{os.pathsep}{os.environ['PATH']}",
        )  # fmt: skip
        codes[step["name"]] = done.returncode
    return codes


def test_an_unchanged_application_is_judged_by_what_was_measured(clone):
    codes = worked(clone)
    assert list(codes) == ["the target branch", "the pull request", "the gate", "the summary"]
    done = run(
        clone, sys.executable, "-m", "apicache_cli", "bench", "compare", "before.json", "after.json", "--format=json"
    )
    verdicts = {each["metric"]: each["verdict"] for each in json.loads(done.stdout)["metrics"]}
    is_refused = "worse" in verdicts.values() or set(verdicts.values()) == {"not comparable"}
    assert codes == {name: 99 if name == "the gate" and is_refused else 0 for name in codes}
    assert verdicts["hit_rate"] != "worse"
    summary = (clone / "summary.md").read_text()
    assert "## apicache bench\n" in summary
    assert "## apicache bench compare\n" in summary


def test_a_pull_request_that_loses_the_cache_does_not_pass(clone):
    (clone / "app.py").write_text(APPLICATION.replace("ttl=600", "no_store=lambda quote: True"))
    codes = worked(clone)
    assert codes["the gate"] == 99
    assert codes["the summary"] == 0
