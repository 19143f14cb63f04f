"""--verify: the user's tests decide which rewritten calls stay; the command is run as it is, and ended in time."""

import sys
import time

import pytest

from apicache.errors import InputError
from apicache_codemods.migrate import journal_at, prepare
from apicache_codemods.rewriting.suite import Suite
from apicache_codemods.rewriting.transaction import transaction
from apicache_codemods.rewriting.verifying import Verifier

APP = """
import requests


def one(u):
    return requests.get(u + "/one", timeout=1).text


def two(u):
    return requests.get(u + "/two", timeout=2).text


def three(u):
    return requests.get(u + "/three", timeout=3).text


def four(u):
    return requests.get(u + "/four", timeout=4).text
"""


def verified(project, checks: str, timeout: float = 60.0):
    """Verify by a script that stands in for the tests; gives the verification and the final plan."""
    project.put({"app.py": APP, "checks.txt": checks})
    preparation = prepare([project.folder / "app.py"], project.folder)
    suite = Suite(f"{sys.executable} checks.txt", project.folder, timeout)
    with transaction(journal_at(project.folder)) as run:
        verifier = Verifier(preparation.plan, run, suite)
        verifier.before()
        found = verifier.verify({})
    return found, preparation.plan(found.reverted)


def test_tests_that_pass_run_three_times_and_everything_stays(project):
    found, migration = verified(project, "import os, app; print(os.environ.get('APICACHE'))")
    assert [(run.phase, run.sites) for run in found.runs] == [("before", 0), ("bypassed", 4), ("cold cache", 4)]
    assert found.reverted == {}
    assert project.read("app.py").count("cached_api_call_sync(requests.get") == 4
    assert len(migration.rewritten) == 4


def test_the_runs_have_the_cache_off_and_then_an_empty_one_of_their_own(project):
    checks = """
        import json, os, pathlib
        folder = os.environ.get("APICACHE_DIR")
        said = [os.environ.get("APICACHE"), os.environ.get("APICACHE_TIERS"), folder and os.listdir(folder)]
        with open("said.txt", "a") as file:
            file.write(json.dumps(said) + "\\n")
        if folder:
            pathlib.Path(folder, "rest").touch()
        """
    verified(project, checks)
    lines = project.read("said.txt").splitlines()
    assert lines[1].startswith('["off"')
    assert lines[2] == '["on", "memory,disk", []]'


def test_sites_that_break_the_tests_are_found_and_left_as_they_were(project):
    checks = """
        import inspect, app
        for name in ("two", "three"):
            assert "cached" not in inspect.getsource(getattr(app, name)), name
        """
    found, migration = verified(project, checks)
    assert {place[1]: verdict.code for place, verdict in found.reverted.items()} == {9: "M202", 13: "M202"}
    assert [site.line for site in migration.rewritten] == [5, 17]
    text = project.read("app.py")
    assert text.count("cached_api_call_sync(requests.get") == 2
    assert 'return requests.get(u + "/two", timeout=2).text' in text
    assert migration.changes[0].after == text.encode()
    assert found.runs[-1].passed
    skipped = [site for site in migration.sites if site.decision == "skipped"]
    assert {site.reason for site in skipped} == {"the tests fail with this call rewritten, the cache being off"}


def test_a_test_that_counts_calls_makes_its_site_cache_sensitive_and_no_other(project, stub):
    checks = """
        import app, http.server, threading
        count = []
        class H(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                count.append(self.path)
                self.send_response(200); self.send_header("content-length", "2"); self.end_headers()
                self.wfile.write(b"ok")
            def log_message(self, *a): pass
        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), H)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_address[1]}"
        app.one(url), app.one(url), app.four(url), app.four(url)
        assert count.count("/four") == 2, count
        """
    found, migration = verified(project, checks)
    assert {place[1]: verdict.code for place, verdict in found.reverted.items()} == {17: "M203"}
    assert [site.line for site in migration.rewritten] == [5, 9, 13]
    assert [run.phase for run in found.runs][:3] == ["before", "bypassed", "cold cache"]
    assert any(run.phase == "bypassed" and run.sites == 3 and run.passed for run in found.runs)


def test_tests_that_fail_before_stop_the_run_and_say_why(project):
    with pytest.raises(
        InputError, match=r"(?s)fail before anything is changed \(exit 3\); nothing was written.*no luck"
    ):
        verified(project, "print('no luck'); raise SystemExit(3)")
    assert project.read("app.py") == APP.lstrip("\n")
    assert journal_at(project.folder).runs() == []


def test_a_suite_without_an_end_is_ended_with_what_it_started(project):
    checks = """
        import subprocess, sys, time
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(5); open('late.txt', 'w')"])
        time.sleep(60)
        """
    started = time.monotonic()
    with pytest.raises(InputError, match=r"no end after 1 s"):
        verified(project, checks, timeout=1.0)
    assert time.monotonic() - started < 20
    time.sleep(5)
    assert not (project.folder / "late.txt").exists()


def test_a_call_with_which_the_tests_hang_is_left_as_it_was(project, monkeypatch):
    monkeypatch.setattr("apicache_codemods.rewriting.suite._SLACK_SECONDS", 2.0)
    checks = """
        import inspect, time, app
        if "cached" in inspect.getsource(app.one):
            time.sleep(600)
        """
    found, _ = verified(project, checks)
    assert {place[1]: verdict.code for place, verdict in found.reverted.items()} == {5: "M202"}
    assert any("no end after" in run.ending for run in found.runs)


def test_tests_that_fail_with_nothing_rewritten_are_not_blamed_on_a_call(project):
    checks = """
        import pathlib
        flag = pathlib.Path("ran.txt")
        if flag.exists():
            raise SystemExit("not again")
        flag.touch()
        """
    with pytest.raises(InputError, match="they change from run to run"):
        verified(project, checks)
    assert project.read("app.py") == APP.lstrip("\n")


def test_the_command_goes_through_no_shell(project):
    project.put({"show.txt": "import sys; open('argv.txt', 'w').write(repr(sys.argv[1:]))"})
    run = Suite(f"{sys.executable} show.txt '$HOME; ls' a*b && true", project.folder, 60).run("before", 0)
    assert run.passed
    assert project.read("argv.txt") == repr(["$HOME; ls", "a*b", "&&", "true"])


@pytest.mark.parametrize(
    ("command", "timeout", "message"),
    [
        ("", 1, "was given no command"),
        ("no-such-command-at-all -q", 1, "there is no command 'no-such-command-at-all'"),
        ("pytest 'open", 1, "cannot be split into words"),
        ("pytest", 0, "takes seconds above 0"),
    ],
)
def test_commands_that_cannot_be_run_are_refused(tmp_path, command, timeout, message):
    with pytest.raises(InputError, match=message):
        Suite(command, tmp_path, timeout)


def test_an_interrupt_while_the_tests_run_gives_back_every_file(project, monkeypatch):
    calls = []

    def run(self, phase, sites):
        calls.append(phase)
        if phase == "cold cache":
            raise KeyboardInterrupt
        return real(self, phase, sites)

    real = Suite.run
    monkeypatch.setattr(Suite, "run", run)
    with pytest.raises(KeyboardInterrupt):
        verified(project, "import app")
    assert calls == ["before", "bypassed", "cold cache"]
    assert project.read("app.py") == APP.lstrip("\n")
