"""The options of `apicache scan`: formats, files, baseline, explanations, scenarios, grep, selection, exit codes."""

import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from ruamel.yaml import YAML
from typer.testing import CliRunner

from apicache import UnifiedAPICache
from apicache_cli.app import app
from apicache_codemods import report_formats
from apicache_codemods.detector import load_detectors
from apicache_scenarios.format.loading import load_scenarios

ROOT = Path(__file__).parents[2]
DUPLICATES = """
import httpx

def one():
    return httpx.get("https://api.example.com/a")

def two():
    return httpx.get("https://api.example.com/a")
"""
MORE = """
import requests

def three():
    return requests.get("https://api.example.com/b")

def four():
    return requests.get("https://api.example.com/b")
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    (tmp_path / "app.py").write_text(DUPLICATES)
    return tmp_path


def scan(*arguments):
    return CliRunner().invoke(app, ["scan", *arguments])


def refused(*arguments):
    done = scan(*arguments)
    assert done.exit_code == 2
    assert done.stdout == ""
    return done.stderr


# Formats and --output


@pytest.mark.parametrize("name", ["text", *report_formats.known()])
def test_output_writes_to_a_file_what_stdout_would_show(folder, name):
    shown = scan("--format", name)
    written = scan("--format", name, "--output", "out")
    assert (written.exit_code, written.stdout, written.stderr) == (0, "", "")

    def timeless(text):
        return "\n".join(line for line in text.splitlines() if "seconds" not in line and " read in " not in line)

    assert timeless((folder / "out").read_text(encoding="utf-8")) == timeless(shown.stdout)


def test_output_keeps_the_files_mode_and_leaves_nothing_beside_it(folder):
    out = folder / "out.json"
    out.write_text("before")
    out.chmod(0o640)
    scan("--format", "json", "--output", "out.json")
    assert json.loads(out.read_text())["schema"] == 1
    assert stat.S_IMODE(out.stat().st_mode) == 0o640
    assert sorted(path.name for path in folder.iterdir()) == ["app.py", "out.json"]


def test_output_follows_a_link_to_its_target(folder):
    (folder / "target").write_text("before")
    (folder / "link").symlink_to("target")
    scan("--output", "link")
    assert (folder / "link").is_symlink()
    assert "duplicate groups" in (folder / "target").read_text()


def test_output_into_a_folder_that_is_not_there_is_refused(folder):
    assert "nowhere/out cannot be written: no such file or directory" in refused("--output", "nowhere/out")


def test_an_unknown_format_is_refused_with_the_known_ones(folder):
    told = refused("--format", "sarfi")
    assert "did you mean 'sarif'?" in told
    assert "text, github, html, json, markdown, sarif" in told


def test_help_names_the_formats_and_the_exit_codes(folder):
    shown = " ".join(scan("--help").stdout.split())
    assert "text, github, html, json, markdown, sarif" in shown
    assert "Exit codes: 0 fine, 1" in shown


def test_machine_formats_are_utf8_whatever_the_locale(folder):
    (folder / "app.py").write_text(DUPLICATES.replace('/a"', '/ä"'), encoding="utf-8")
    command = [sys.executable, "-m", "apicache_cli", "scan", "--format", "html"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, check=True, env=environment)
    assert "api.example.com/ä" in done.stdout.decode()


# Text


def test_text_quotes_the_first_site_and_states_the_estimates_basis(folder):
    shown = scan().stdout
    assert '5 | return httpx.get("https://api.example.com/a")' in shown
    assert "caching saves up to" in shown
    assert "in 1,000 runs: 2 uncached call sites" in shown
    assert "AC001 duplicate-call" in shown
    assert "cacheable calls answered by apicache" in shown


def test_the_readme_lists_the_libraries_that_scan_knows():
    listed = (ROOT / "README.md").read_text(encoding="utf-8").split("\nLibraries: ", 1)[1].split("\n\n", 1)[0]
    assert re.findall(r"`([^`]+)`", listed) == list(load_detectors())


# Rules


def test_select_and_ignore_choose_rules_by_code_or_its_beginning(folder):
    def rules(*arguments):
        document = json.loads(scan("--format", "json", *arguments).stdout)
        return {finding["rule"] for finding in document["findings"]}

    assert rules() >= {"AC001", "AC002"}
    assert rules("--select", "AC001") == {"AC001"}
    assert rules("--select", "ac001, AC002", "--ignore", "AC002") == {"AC001"}
    assert rules("--ignore", "AC0") == set()
    assert rules("--select", "AC001", "--select", "AC002") == {"AC001", "AC002"}


@pytest.mark.parametrize("option", ["--select", "--ignore"])
def test_an_unknown_rule_is_refused_with_the_known_ones(folder, option):
    told = refused(option, "XY9")
    assert "'XY9'" in told
    assert "AC001" in told


def test_options_win_over_the_configuration(folder):
    (folder / "pyproject.toml").write_text('[tool.apicache.scan]\nselect = ["AC001"]\nfail_on = "any"\n')
    assert scan().exit_code == 1
    assert scan("--fail-on", "never").exit_code == 0
    assert scan("--select", "AC003").exit_code == 0


# Baseline


def test_a_baseline_accepts_what_there_is_and_reports_what_is_new(folder):
    updated = scan("--baseline", "base.json", "--update-baseline", "--fail-on", "new")
    assert updated.exit_code == 0
    assert "findings in base.json" in updated.stderr
    known = scan("--baseline", "base.json", "--fail-on", "new")
    assert known.exit_code == 0
    assert "no new findings" in known.stdout
    assert scan("--baseline", "base.json", "--fail-on", "any").exit_code == 1
    (folder / "more.py").write_text(MORE)
    new = scan("--baseline", "base.json", "--fail-on", "new", "--format", "json")
    assert new.exit_code == 1
    findings = json.loads(new.stdout)["findings"]
    assert {finding["path"] for finding in findings if finding["new"]} == {"more.py"}
    assert {finding["path"] for finding in findings if not finding["new"]} == {"app.py"}


def test_a_baseline_stays_the_same_when_lines_move_and_files_keep_their_order(folder):
    scan("--baseline", "base.json", "--update-baseline")
    before = (folder / "base.json").read_bytes()
    (folder / "app.py").write_text("# a line more\n\n" + DUPLICATES)
    assert scan("--baseline", "base.json", "--fail-on", "new").exit_code == 0
    scan("--baseline", "base.json", "--update-baseline")
    assert (folder / "base.json").read_bytes() == before


def test_a_baseline_has_one_finding_a_line_sorted_by_fingerprint(folder):
    (folder / "more.py").write_text(MORE)
    scan("--baseline", "base.json", "--update-baseline")
    text = (folder / "base.json").read_text()
    document = json.loads(text)
    fingerprints = [accepted["fingerprint"] for accepted in document["findings"]]
    assert document["schema"] == 1
    assert fingerprints == sorted(set(fingerprints))
    assert len(text.splitlines()) == len(fingerprints) + 5
    assert set(document["findings"][0]) == {"fingerprint", "rule", "path"}


def test_without_a_baseline_every_finding_is_new(folder):
    assert scan("--fail-on", "new").exit_code == 1


def test_a_note_never_fails(folder):
    (folder / "app.py").write_text("import httpx\nhttpx.get('https://api.example.com/a')\n")
    document = json.loads(scan("--format", "json").stdout)
    assert {finding["severity"] for finding in document["findings"]} == {"note"}
    assert scan("--fail-on", "any").exit_code == 0


def test_a_baseline_that_is_not_there_says_how_to_write_it(folder):
    told = refused("--baseline", "base.json")
    assert "no such baseline: base.json; write it with --baseline base.json --update-baseline" in told


@pytest.mark.parametrize("content", ["", "[]", '{"schema": 1}', '{"schema": 2, "findings": []}', "\udcff"])
def test_what_is_no_baseline_is_refused(folder, content):
    (folder / "base.json").write_bytes(content.encode(errors="surrogateescape"))
    assert "base.json" in refused("--baseline", "base.json")


def test_update_baseline_needs_a_file(folder):
    assert "--baseline FILE" in refused("--update-baseline")


def test_an_empty_baseline_is_a_baseline(folder):
    (folder / "app.py").write_text("x = 1\n")
    scan("--baseline", "base.json", "--update-baseline")
    assert json.loads((folder / "base.json").read_text())["findings"] == []
    assert scan("--baseline", "base.json").exit_code == 0


# --explain

EXPLAINED = """
import httpx
import json
from elsewhere import thing

client = httpx.AsyncClient(base_url="https://api.example.com/v1/")

async def fetch(path, unknown):
    await client.get(f"/users/{path}")
    unknown.get("/x")
    json.loads("1")
    thing.get("/z")
    await client.aclose()
    made = make()
    made.get("u")

def make():
    return things()

class Holder:
    def __init__(self, session):
        self.session = session

    def go(self):
        return self.session.get("/x")

def finish(passed):
    passed.aclose()

finish(client)

async def main():
    await fetch("a", None)
    {}["a"].get("x")
"""


@pytest.fixture
def explained(folder):
    (folder / "app.py").write_text(EXPLAINED)

    def ask(fragment):
        line = next(number for number, text in enumerate(EXPLAINED.splitlines(), start=1) if fragment in text)
        done = scan("--explain", f"app.py:{line}")
        assert (done.exit_code, done.stderr) == (0, "")
        return done.stdout

    return ask


def test_explain_tells_how_a_call_site_was_resolved(explained):
    said = explained("await client.get")
    assert "client.get  call site" in said
    assert "`client`, a name at the top of the file: httpx.AsyncClient, made at app.py:6" in said
    assert "'https://api.example.com/v1'" in said
    assert "'https://api.example.com/v1/users/' + {parameter path of fetch}" in said
    assert "GET api.example.com/v1/users/{}" in said
    assert "none: no other call site of this endpoint" in said


@pytest.mark.parametrize(
    ("fragment", "reason"),
    [
        ("unknown.get", "`unknown` is an unannotated parameter of fetch, and no known client is seen passed"),
        ("json.loads", "`json.loads` belongs to no library that scan knows"),
        ("thing.get", "`elsewhere.thing.get` belongs to no library that scan knows"),
        ("client.aclose", "`aclose` of httpx.AsyncClient is no method that makes a request; such are delete, get"),
        ("passed.aclose", "`aclose` of httpx.AsyncClient is no method that makes a request"),
        ("httpx.AsyncClient(", "it makes a client (httpx.AsyncClient)"),
        ("made = make()", "it calls the project's own make (app.py:17)"),
        ("made.get", "what make (app.py:17) returns is no known client"),
        ("self.session.get", "`self.session` is set at app.py:22 from `session`"),
        ("self.session.get", "`session` is an unannotated parameter of __init__"),
        ("return things()", "`things` is a name that nothing in the file binds"),
        ('{}["a"].get', "`{}['a']` is an element that is not followed"),
    ],
)
def test_explain_tells_why_a_call_is_no_call_site(explained, fragment, reason):
    said = explained(fragment)
    assert "no call site" in said
    assert reason in said


def test_explain_knows_wrapper_calls(explained):
    said = explained('await fetch("a"')
    assert "fetch  wrapper call" in said
    assert "GET api.example.com/v1/users/a" in said


def test_explain_names_the_group(folder):
    assert "G1, with app.py:8" in scan("--explain", "app.py:5").stdout


@pytest.mark.parametrize(
    ("place", "told"),
    [
        ("app.py", "takes path:line"),
        ("app.py:x", "takes path:line"),
        (":3", "takes path:line"),
        ("app.py:1", "no call stands on app.py:1; call sites of this file are on lines 5, 8"),
        ("app.py:999", "no call stands on app.py:999"),
        ("gone.py:1", "gone.py is not among the 2 files that were read"),
        ("broken.py:1", "broken.py was not read: does not parse"),
    ],
)
def test_explain_refuses_a_place_that_is_none(folder, place, told):
    (folder / "broken.py").write_text("import httpx\nhttpx.get(\n")
    assert told in refused("--explain", place)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--explain", "app.py:5", "--format", "json"),
        ("--explain", "app.py:5", "--compare-grep"),
        ("--compare-grep", "--emit-scenarios", "x.yaml"),
        ("--compare-grep", "--baseline", "x.json"),
    ],
)
def test_an_answer_in_place_of_a_report_stands_alone(folder, arguments):
    assert "print no report" in refused(*arguments)


# --compare-grep


def test_compare_grep_counts_false_hits_and_misses(folder):
    (folder / "more.py").write_text("# httpx, one day\n" + MORE)
    said = scan("--compare-grep").stdout
    assert r'$ grep -r "client.post\|requests.post\|httpx" --include="*.py"' in said
    assert "prints 4 lines; scan finds 4 call sites" in said
    assert "false hits: 2 of 4 lines belong to no call site (comments 1, imports 1)" in said
    assert "    app.py:2: import httpx" in said
    assert "misses: no line is of 2 of 4 call sites" in said
    assert "    more.py:6: requests.get (GET api.example.com/b)" in said


def test_the_grep_that_is_compared_with_prints_as_many_lines(folder):
    (folder / "more.py").write_text("import httpx  # client-post\nclientXpost\n" + MORE)
    grep = ["grep", "-r", r"client.post\|requests.post\|httpx", "--include=*.py", "."]
    lines = subprocess.run(grep, capture_output=True, text=True, check=True).stdout.splitlines()
    assert f"prints {len(lines)} lines" in scan("--compare-grep").stdout


# --emit-scenarios

LITERALS = r"""
import httpx
from openai import OpenAI
from apicache import UnifiedAPICache

client = OpenAI()
api_cache = UnifiedAPICache()
MODEL = "gpt-4o-mini"

def one():
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "\"it\"?\n: \x7f é"}])

def two():
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": "And - this # too"}])

def three(prompt):
    return client.chat.completions.create(model=MODEL, messages=[{"role": "user", "content": prompt}])

async def four(user):
    await api_cache.cached_api_call(operation="advice", prompt="Save?", top=3, share=0.5, deep={"a": [1, None, True]})
    await api_cache.cached_api_call(operation="advice", prompt="Save?", top=3, share=0.5, deep={"a": [1, None, True]})
    await api_cache.cached_api_call(operation="greet", name="Ann", big=1e20)
    await api_cache.cached_api_call(operation="advice", prompt=user)

async def template(user):
    await api_cache.cached_api_call(operation="advice", prompt="${{ env.HOME }}", top=1, share=0.5, deep={})

def five():
    return httpx.get("https://api.example.com/q", params={"api_key": "do-not-write-this"})

def six():
    return httpx.get("https://api.example.com/q", params={"api_key": "nor-this"})
"""


def completion(content: str): ...


def advice(prompt: str, top: int, share: float, deep: dict): ...


def greet(name: str, big: float): ...


def test_emitted_scenarios_load_back_as_the_calls_that_the_code_writes_out(folder):
    (folder / "app.py").write_text(LITERALS, encoding="utf-8")
    done = scan("--emit-scenarios", "scenarios.yaml")
    assert done.exit_code == 0
    assert "4 scenarios in scenarios.yaml" in done.stderr
    operation = json.loads(scan("--format", "json").stdout)["call_sites"][0]["operation"]
    cache = UnifiedAPICache.create()
    cache.operation(operation)(completion)
    cache.operation("advice")(advice)
    cache.operation("greet")(greet)
    found = load_scenarios([folder / "scenarios.yaml"], cache.operations)
    assert [(case.operation, dict(case.params)) for case in found] == [
        (operation, {"content": '"it"?\n: \x7f é'}),
        (operation, {"content": "And - this # too"}),
        ("advice", {"prompt": "Save?", "top": 3, "share": 0.5, "deep": {"a": [1, None, True]}}),
        ("greet", {"name": "Ann", "big": 1e20}),
    ]
    text = (folder / "scenarios.yaml").read_text(encoding="utf-8")
    assert "# app.py:11\n" in text
    assert "do-not-write-this" not in text


def test_without_literal_calls_no_scenarios_are_written(folder):
    (folder / "app.py").write_text(
        "import httpx\ndef f(x):\n    return httpx.post('https://api.example.com/a', json=x)\n"
    )
    done = scan("--emit-scenarios", "scenarios.yaml")
    assert done.exit_code == 0
    assert "scenarios.yaml is not written" in done.stderr
    assert not (folder / "scenarios.yaml").exists()


# The pre-commit hook


def test_the_pre_commit_hook_runs_and_fails_on_what_is_new(folder):
    (hook,) = YAML(typ="safe").load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))
    assert (hook["id"], hook["language"], hook["types"]) == ("apicache-scan", "python", ["python"])
    program, *arguments = [*shlex.split(hook["entry"]), *hook.get("args", [])]
    assert program == "apicache"
    # pre-commit gives file names only when they are asked for: duplicates are seen in the whole project.
    assert hook["pass_filenames"] is False
    command = [sys.executable, "-m", "apicache_cli", *arguments]
    assert subprocess.run(command, capture_output=True, check=False).returncode == 1
    (folder / "app.py").write_text("x = 1\n")
    assert subprocess.run(command, capture_output=True, check=False).returncode == 0
