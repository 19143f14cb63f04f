"""`apicache scan`: the documented JSON, the text, the exit codes."""

import json
import os
import subprocess
import sys

import pytest

from apicache_codemods.detector import load_detectors

SOURCE = """
import httpx
from openai import OpenAI

client = httpx.AsyncClient()


async def get_completion(prompt: str):
    response = await client.post(
        "https://api.openai.com/v1/chat/completions",
        json={"prompt": prompt}
    )
    return response.json()


def ask(prompt):
    return OpenAI().chat.completions.create(model="m", messages=[])


def fetch(path):
    return httpx.get("https://api.example.com" + path)


fetch("/users")
"""

TOP = {
    "schema",
    "call_sites",
    "wrapper_calls",
    "duplicate_groups",
    "findings",
    "skipped_files",
    "summary",
}
CALL_SITE = {
    "path": str,
    "line": int,
    "column": int,
    "end_line": int,
    "end_column": int,
    "function": (str, type(None)),
    "library": str,
    "kind": str,
    "call": str,
    "async": bool,
    "method": (str, type(None)),
    "endpoint": (str, type(None)),
    "client_origin": (str, type(None)),
    "operation": (str, type(None)),
    "group": (str, type(None)),
}
WRAPPER_CALL = {"path": str, "line": int, "endpoint": (str, type(None)), "via": str, "group": (str, type(None))}
GROUP = {"id": str, "endpoint": str, "operation": (str, type(None)), "sites": list}
FINDING = {"rule": str, "path": str, "line": int, "message": str}
SKIPPED = {"path": str, "reason": str}
SUMMARY = {"files": int, "lines": int, "call_sites": int, "duplicate_groups": int, "seconds": float}


def run(*arguments, cwd, **environment):
    return subprocess.run(
        [sys.executable, "-m", "apicache_cli", "scan", *arguments],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "COLUMNS": "80", **environment},
    )


@pytest.fixture
def application(tmp_path):
    package = tmp_path / "src" / "a_package_whose_name_is_long" / "with_a_module_of_a_long_name_inside"
    package.mkdir(parents=True)
    (package / "application_code.py").write_text(SOURCE)
    (tmp_path / "src" / "broken.py").write_text("def f(:\n")
    (tmp_path / "src" / "empty.py").write_text("")
    return tmp_path


PATH = "src/a_package_whose_name_is_long/with_a_module_of_a_long_name_inside/application_code.py"


def has_keys(rows, keys):
    assert rows
    for row in rows:
        assert keys.keys() <= row.keys()
        for key, kind in keys.items():
            assert isinstance(row[key], kind), key


def test_json_is_the_documented_contract(application):
    result = run("src", "--format", "json", cwd=application)
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report.keys() >= TOP
    assert report["schema"] == 1
    has_keys(report["call_sites"], CALL_SITE)
    has_keys(report["wrapper_calls"], WRAPPER_CALL)
    has_keys(report["duplicate_groups"], GROUP)
    has_keys(report["findings"], FINDING)
    has_keys(report["skipped_files"], SKIPPED)
    has_keys([report["summary"]], SUMMARY)
    assert {site["kind"] for site in report["call_sites"]} <= {"http", "llm", "db"}


def test_json_says_what_the_source_says(application):
    report = json.loads(run("src", "--format", "json", cwd=application).stdout)
    first, second, third = report["call_sites"]
    assert (first["path"], first["line"], first["column"]) == (PATH, 9, 21)
    assert (first["end_line"], first["end_column"], first["async"]) == (12, 5, True)
    assert first["client_origin"] == f"{PATH}:5"
    assert (second["library"], second["group"]) == ("openai", "G1")
    assert (third["endpoint"], third["group"]) == ("GET api.example.com{}", None)
    (group,) = report["duplicate_groups"]
    assert group["sites"] == [[PATH, 9], [PATH, 17]]
    (call,) = report["wrapper_calls"]
    assert (call["line"], call["via"], call["endpoint"]) == (24, "fetch", "GET api.example.com/users")
    assert {file["path"]: file["reason"] for file in report["skipped_files"]} == {
        "src/broken.py": "does not parse: invalid syntax (line 1)",
        "src/empty.py": "empty",
    }


def test_without_a_path_the_working_directory_is_scanned(application):
    report = json.loads(run("--format", "json", cwd=application).stdout)
    assert report["summary"]["call_sites"] == 3


def test_text_names_groups_places_and_what_to_type_next(application):
    result = run("src", cwd=application)
    assert (result.returncode, result.stderr) == (0, "")
    assert "POST api.openai.com/v1/chat/completions" in result.stdout
    assert f"{PATH}:9" in result.stdout
    assert f"{PATH}:17" in result.stdout
    assert "GET api.example.com{}" in result.stdout
    assert "does not parse: invalid syntax (line 1)" in result.stdout
    assert "3 call sites, 1 duplicate group, 1 wrapper call; 3 files" in result.stdout
    assert "apicache migrate src" in result.stdout
    assert "\x1b" not in result.stdout
    assert result.stdout.index("completion") < result.stdout.index("other call sites")


def test_text_of_a_clean_project_says_what_is_known(tmp_path):
    (tmp_path / "app.py").write_text("x = 1\n")
    result = run(cwd=tmp_path)
    assert result.returncode == 0
    assert "0 call sites, 0 duplicate groups; 1 file with 1 line" in result.stdout
    assert f"known libraries: {', '.join(load_detectors())}" in result.stdout


def test_text_without_duplicates_points_to_migrate(tmp_path):
    (tmp_path / "app.py").write_text("import httpx\nhttpx.get('https://api.example.com/[b]')\n")
    result = run("app.py", cwd=tmp_path)
    assert "GET api.example.com/[b]" in result.stdout
    assert "no duplicates; apicache migrate app.py" in result.stdout


@pytest.mark.parametrize(("fail_on", "code"), [("never", 0), ("any", 1)])
def test_fail_on_any_exits_one_when_there_is_a_duplicate(application, fail_on, code):
    assert run("src", "--fail-on", fail_on, cwd=application).returncode == code


def test_fail_on_any_is_fine_without_a_duplicate(tmp_path):
    (tmp_path / "app.py").write_text("import httpx\nhttpx.get('https://api.example.com/a')\n")
    assert run("--fail-on", "any", cwd=tmp_path).returncode == 0


@pytest.mark.parametrize("arguments", [("nowhere",), ("src", "nowhere"), ("--format", "yaml"), ("--fail-on", "some")])
def test_bad_input_exits_two_and_says_so_on_stderr(application, arguments):
    result = run(*arguments, cwd=application)
    assert result.returncode == 2
    assert result.stdout == ""
    assert result.stderr != ""


def test_what_does_not_exist_is_named(application):
    assert "no such file or directory: nowhere" in run("nowhere", cwd=application).stderr


def test_a_scan_never_runs_what_it_reads(tmp_path):
    (tmp_path / "app.py").write_text("import httpx\nopen('ran', 'w').close()\nhttpx.get('https://x.example.com/a')\n")
    assert run(cwd=tmp_path).returncode == 0
    assert not (tmp_path / "ran").exists()


def test_scan_loads_no_rewriting_library(tmp_path):
    program = "import sys, apicache_cli.commands.scan; print(sorted({'libcst', 'httpx', 'openai'} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert result.stdout.strip() == "[]"


OPERATIONS = """
import httpx
from apicache import UnifiedAPICache
api_cache = UnifiedAPICache()
@api_cache.operation("items")
def items():
    return httpx.get("https://api.example.com/items")
"""


def test_calls_that_apicache_answers_do_not_fail_the_gate(tmp_path):
    (tmp_path / "api_operations.py").write_text(OPERATIONS)
    (tmp_path / "one.py").write_text("import httpx\nhttpx.get('https://api.example.com/items')\n")
    result = run("--fail-on", "any", cwd=tmp_path)
    assert result.returncode == 0
    assert "api_operations.py:7 (cached)" in result.stdout
    assert "no further duplicates" in result.stdout
    (tmp_path / "two.py").write_text("import httpx\nhttpx.get('https://api.example.com/items')\n")
    assert run("--fail-on", "any", cwd=tmp_path).returncode == 1


def test_when_all_is_cached_scan_says_so(tmp_path):
    (tmp_path / "api_operations.py").write_text(OPERATIONS)
    result = run(cwd=tmp_path)
    assert "every call found is answered by apicache" in result.stdout
    (site,) = json.loads(run("--format", "json", cwd=tmp_path).stdout)["call_sites"]
    assert site["cached"] is True
