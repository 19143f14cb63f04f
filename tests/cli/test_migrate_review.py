"""Reviewing a migration: diffs, questions, explanations, reports, and taking it back."""

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

CHAT = """import requests


def ask(prompt):
    response = requests.post("https://api.openai.com/v1/chat/completions", json={"prompt": prompt})
    return response.json()
"""
USERS = """import requests


def user(uid):
    return requests.get(f"https://api.example.com/users/{uid}", timeout=10).json()


def name(uid):
    return requests.get(f"https://api.example.com/users/{uid}", timeout=10).json()["name"]


def save(data):
    return requests.put("https://api.example.com/x", json=data)
"""
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith(("APICACHE", "PYTEST"))}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    (tmp_path / "app").mkdir()
    (tmp_path / "app/__init__.py").write_text("")
    (tmp_path / "app/chat.py").write_text(CHAT)
    (tmp_path / "app/users.py").write_text(USERS)
    return tmp_path


def run(folder: Path, *arguments: str, typed: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "apicache_cli", "migrate", *arguments],
        cwd=folder,
        env={**ENVIRONMENT, "COLUMNS": "120", **environment},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=n", "-c", "user.email=e@example.com", "-c", "core.autocrlf=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def files(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in (folder / "app").glob("*.py")}


def test_piped_into_git_apply_it_is_what_write_would_have_written(folder):
    git(folder, "init", "-q")
    before = files(folder)
    command = f"{sys.executable} -m apicache_cli migrate . 2>/dev/null | git apply"
    subprocess.run(["sh", "-c", command], cwd=folder, env=ENVIRONMENT, check=True)
    applied = files(folder)
    assert applied != before
    for name, text in before.items():
        (folder / "app" / name).write_text(text)
    (folder / "app/api_operations.py").unlink()
    assert run(folder, "--write").returncode == 0
    assert files(folder) == applied


def on_a_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "apicache_cli", "migrate", *arguments]
    surroundings = {**ENVIRONMENT, "TERM": "xterm-256color", "COLUMNS": "120", **environment}
    process = subprocess.Popen(command, cwd=folder, env=surroundings, stdout=theirs, stderr=subprocess.DEVNULL)
    os.close(theirs)
    said = b""
    while True:
        try:
            piece = os.read(ours, 65536)
        except OSError:
            break
        if not piece:
            break
        said += piece
    os.close(ours)
    assert process.wait(60) == 0
    return said.decode()


def test_on_a_terminal_the_diff_is_coloured_and_otherwise_the_same(folder):
    plain = run(folder).stdout
    coloured = on_a_terminal(folder)
    assert "\x1b[32m+" in coloured
    assert "\x1b[31m-" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured).replace("\r\n", "\n") == plain
    assert "\x1b" not in on_a_terminal(folder, NO_COLOR="1")


def test_yes_and_no_at_each_call_with_its_context(folder):
    done = run(folder, "app/chat.py", "--interactive", typed="what\ny\n")
    assert done.returncode == 0, done.stderr
    assert "[1 of 1]" in done.stderr
    assert "app/chat.py:5  POST api.openai.com/v1/chat/completions  rewritten (operation)" in done.stderr
    assert '-    response = requests.post("https://api.openai.com' in done.stderr
    assert "defined in app/api_operations.py:" in done.stderr
    assert "y: rewrite it; n: leave it" in done.stderr
    assert done.stdout.splitlines() == ["app/chat.py", "app/api_operations.py"]
    refused = run(folder, "app/users.py", "-i", typed="n\nn\n")
    assert refused.returncode == 0
    assert refused.stdout == ""
    assert "app/users.py:5: M201 left out on request" in refused.stderr
    assert (folder / "app/users.py").read_text() == USERS


def test_a_call_that_another_answer_changes_is_asked_about_again(folder):
    done = run(folder, "app/users.py", "-i", typed="y\nn\ny\n")
    assert done.returncode == 0, done.stderr
    assert "again: your answers changed it" in done.stderr
    text = (folder / "app/users.py").read_text()
    assert text.count("return cached_api_call_sync(") == 1
    assert not (folder / "app/api_operations.py").exists()


def test_all_takes_the_rest_and_quit_leaves_it(folder):
    everything = run(folder, "-i", typed="a\n")
    assert everything.returncode == 0
    assert run(folder, "--check").returncode == 0
    assert run(folder, "--undo").returncode == 0
    quitted = run(folder, "-i", typed="y\nq\n")
    assert quitted.returncode == 0, quitted.stderr
    assert "cached_api_call" in (folder / "app/chat.py").read_text()
    assert (folder / "app/users.py").read_text() == USERS


def test_answers_that_end_too_early_write_nothing(folder):
    before = files(folder)
    done = run(folder, "-i", typed="y\n")
    assert done.returncode == 2
    assert "nothing was written" in done.stderr
    assert files(folder) == before


def test_explain_says_what_becomes_of_a_call_and_how_it_was_resolved(folder):
    said = run(folder, "--explain", "app/users.py:5").stdout
    assert "app/users.py:5  GET api.example.com/users/{}  rewritten (operation)" in said
    assert "M001: duplicate calls became one operation" in said
    assert "+@api_cache.operation(" in said
    assert "call site" in said
    left = run(folder, "--explain", "app/users.py:13").stdout
    assert "M101: the call is not known to only read" in left
    assert "reason    PUT changes state upstream" in left
    assert "next      nothing: a cached answer would be wrong here" in left
    other = run(folder, "--explain", "app/chat.py:6").stdout
    assert "migrate rewrites call sites only" in other


def test_reports_as_json_markdown_and_html(folder, tmp_path):
    document = json.loads(run(folder, "--format", "json").stdout)
    assert {site["operation"] for site in document["sites"]} == {"completion", "get_users_by_id", None}
    markdown = run(folder, "--format", "markdown").stdout
    assert markdown.startswith("<!-- apicache migrate -->\n\n## apicache migrate\n\n**would rewrite 3 of 4 call sites")
    assert "| rewritten (operation) | M001 | duplicate calls became one operation | 2 |" in markdown
    assert "```diff\n--- a/app/chat.py" in markdown
    done = run(folder, "--format", "html", "--output", str(tmp_path / "report.html"), "--write")
    assert (done.returncode, done.stdout) == (0, "")
    page = (tmp_path / "report.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "rewrote 3 of 4 call sites in 3 files" in page
    assert "<script" not in page
    assert "PUT changes state upstream" in page
    assert '<span class="gone">-    response = requests.post(&quot;https://api.openai.com' in page


def test_an_uncommitted_change_warns_and_a_clean_tree_does_not(folder):
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-q", "-m", "first")
    assert "warning" not in run(folder, "--write").stderr
    assert run(folder, "--undo").returncode == 0
    assert "warning" not in run(folder, "--write").stderr
    (folder / "app/users.py").write_text(USERS + "\n\nx = 1\n")
    done = run(folder, "--write")
    assert done.returncode == 0
    assert (
        "warning: the git tree has uncommitted changes (app/chat.py, app/users.py, app/api_operations.py" in done.stderr
    )
    assert "warning" not in run(folder).stderr


def test_undo_gives_back_the_bytes_and_refuses_what_changed_since(folder):
    before = files(folder)
    run(folder, "--write")
    done = run(folder, "--undo")
    assert done.returncode == 0
    assert sorted(done.stdout.splitlines()) == ["app/api_operations.py", "app/chat.py", "app/users.py"]
    assert files(folder) == before
    run(folder, "--write")
    (folder / "app/chat.py").write_text("mine\n")
    refused = run(folder, "--undo")
    assert refused.returncode == 2
    assert "changed since migrate wrote it: app/chat.py; nothing was undone" in refused.stderr


def test_revert_shows_a_diff_first_and_takes_apicache_out_when_told_to(folder):
    run(folder, "--write")
    shown = run(folder, "--revert", "--check")
    assert shown.returncode == 1
    assert "would make 3 calls plain in 3 files; apply with --write" in shown.stderr
    assert "--- a/app/api_operations.py\n+++ /dev/null\n" in shown.stdout
    git(folder, "init", "-q")
    subprocess.run(["git", "apply", "--check"], input=shown.stdout, text=True, cwd=folder, check=True)
    done = run(folder, "--revert", "--write")
    assert done.stdout.splitlines() == ["app/chat.py", "app/users.py", "app/api_operations.py (deleted)"]
    assert not [text for text in files(folder).values() if "api_cache" in text]
    assert "nothing to take out: no file uses apicache" in run(folder, "--revert").stderr


def test_verify_runs_pytest_three_times_and_leaves_what_it_fails_with(folder):
    (folder / "tests").mkdir()
    (folder / "tests/test_users.py").write_text(
        "import sys; sys.path.insert(0, '.')\n"
        "from app import chat, users\n\n\n"
        "class Answer:\n"
        "    def json(self):\n"
        "        return {'name': 'n'}\n\n\n"
        "def test_ask(monkeypatch):\n"
        "    monkeypatch.setattr(chat.requests, 'post', lambda *a, **k: Answer())\n"
        "    assert chat.ask('x') == {'name': 'n'}\n\n\n"
        "def test_the_names_of_the_module():\n"
        "    assert not [name for name in vars(chat) if 'api_cache' in name]\n"
    )
    command = f"{sys.executable} -m pytest -q -p no:cacheprovider"
    done = run(folder, "app", "--write", "--verify", command, "--verify-timeout", "100")
    assert done.returncode == 0, done.stderr
    assert "tests before the change: passed (exit 0" in done.stderr
    assert "app/chat.py:5: M202 the tests fail with this call rewritten" in done.stderr
    assert "rewrote 2 of 3 call sites" in done.stderr or "rewrote 2 of 4 call sites" in done.stderr
    assert (folder / "app/chat.py").read_text() == CHAT
    assert "operation=" in (folder / "app/users.py").read_text()
    again = run(folder, "app", "--undo")
    assert again.returncode == 0
    assert (folder / "app/users.py").read_text() == USERS


def test_a_run_that_was_killed_is_taken_back_by_the_next(folder):
    before = files(folder)
    script = (
        "import os; from pathlib import Path; from apicache_codemods.migrate import journal_at, plan\n"
        "from apicache_codemods.rewriting.transaction import transaction\n"
        "root = Path.cwd()\n"
        "with transaction(journal_at(root)) as run:\n"
        "    run.put(plan([root], root).changes); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script], cwd=folder, check=False)
    assert files(folder) != before
    done = run(folder)
    assert "an earlier run was stopped; 3 files of it have the old content again" in done.stderr
    assert files(folder) == before
    assert "stopped" not in run(folder).stderr
