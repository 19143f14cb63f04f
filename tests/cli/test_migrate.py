"""The command migrate as a user runs it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

SITE = """import requests


def ask(prompt):
    response = requests.post("https://api.openai.com/v1/chat/completions", json={"prompt": prompt})
    return response.json()


def save(data):
    return requests.put("https://api.example.com/x", json=data)
"""


def run(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "apicache_cli", "migrate", *arguments],
        cwd=folder,
        env={**os.environ, "COLUMNS": "120", **environment},
        capture_output=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").write_text("")
    (tmp_path / "app/chat.py").write_text(SITE)
    return tmp_path


def test_a_patch_on_stdout_and_reasons_on_stderr(folder):
    done = run(folder)
    assert done.returncode == 0
    assert done.stdout.startswith(b"--- a/app/chat.py\n+++ b/app/chat.py\n@@ ")
    assert b"--- /dev/null\n+++ b/app/api_operations.py\n" in done.stdout
    assert b"\x1b" not in done.stdout
    errors = done.stderr.decode()
    assert "app/chat.py:10: M101 PUT changes state upstream" in errors
    assert "would rewrite 1 of 2 call sites in 2 files; apply with --write" in errors
    assert (folder / "app/chat.py").read_text() == SITE
    assert not (folder / "app/api_operations.py").exists()


def test_write_applies_and_a_second_run_changes_nothing(folder):
    assert run(folder, "--check").returncode == 1
    done = run(folder, "--write")
    assert done.returncode == 0
    assert done.stdout.decode().splitlines() == ["app/chat.py", "app/api_operations.py"]
    assert "from app.api_operations import api_cache" in (folder / "app/chat.py").read_text()
    again = run(folder, "--check")
    assert (again.returncode, again.stdout) == (0, b"")
    assert b"nothing to change" in again.stderr


def test_the_json_contract(folder):
    document = json.loads(run(folder, "app", "--format", "json").stdout)
    assert document["schema"] == 1
    assert document["sites"] == [
        {
            "path": "app/chat.py",
            "line": 5,
            "column": 15,
            "end_line": 5,
            "function": "ask",
            "endpoint": "POST api.openai.com/v1/chat/completions",
            "decision": "rewritten",
            "style": "operation",
            "operation": "completion",
            "safety": "safe",
            "code": "M002",
            "reason": "its endpoint is a known LLM endpoint (completion); "
            "it takes the place of apicache's own completion",
        },
        {
            "path": "app/chat.py",
            "line": 10,
            "column": 11,
            "end_line": 10,
            "function": "save",
            "endpoint": "PUT api.example.com/x",
            "decision": "skipped",
            "style": None,
            "operation": None,
            "safety": "never",
            "code": "M101",
            "reason": "PUT changes state upstream",
        },
    ]
    assert document["files"] == [
        {"path": "app/chat.py", "change": "modified"},
        {"path": "app/api_operations.py", "change": "created"},
    ]
    assert [(row["code"], row["sites"]) for row in document["summary"]] == [("M002", 1), ("M101", 1)]
    assert (document["applied"], document["verification"]) == (False, None)


def test_style_and_operations_module(folder):
    wrapped = run(folder, "--style", "wrap").stdout
    assert b"+    response = cached_api_call_sync(" in wrapped
    assert b"operation=" not in wrapped
    placed = run(folder, "--operations-module", "app/external.py").stdout
    assert b"+++ b/app/external.py" in placed


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["missing"], "no such file or directory: missing"),
        (["--write", "--check"], "both --write and --check were given"),
        (["--operations-module", "x.txt"], "is no Python file"),
        (["--style", "magic"], "'magic' is not one of"),
        (["--format", "htm"], "unknown format 'htm'; did you mean 'html'?"),
        (["--undo", "--write"], "--undo and --write were given together"),
        (["--undo"], "there is no run of migrate to undo"),
        (["--verify", "pytest"], "give --write or --interactive with it"),
        (["--revert", "--verify", "pytest"], "give --write or --interactive with it"),
        (["--revert", "--format", "json"], "--revert prints no report"),
        (["--explain", "app/chat.py:7"], "no call"),
        (["--write", "--verify", "no-such-command-at-all"], "there is no command"),
    ],
)
def test_bad_input_exits_2_and_says_what_to_type(folder, arguments, message):
    done = run(folder, *arguments)
    assert done.returncode == 2
    assert message in " ".join(done.stderr.decode().split())
    assert done.stdout == b""


def test_files_that_cannot_be_read_are_named_and_the_rest_goes_on(folder):
    (folder / "bad.py").write_text("import requests\ndef f(:\n")
    (folder / "latin.py").write_bytes(b"import requests\nx = '\xe9'\n")
    done = run(folder)
    assert done.returncode == 0
    errors = done.stderr.decode()
    assert "bad.py: not read: does not parse" in errors
    assert "latin.py: not read: cannot be decoded" in errors
    assert b"+++ b/app/chat.py" in done.stdout


def test_no_call_sites(tmp_path):
    (tmp_path / "a.py").write_text("x = 1\n")
    done = run(tmp_path, "--check")
    assert (done.returncode, done.stdout) == (0, b"")
    assert b"no call sites found" in done.stderr
