"""Runs that are ended before their end: journals, resuming, no paid call made twice."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.format.loading import load_checked
from apicache_scenarios.warming.journal import Journal
from apicache_scenarios.warming.running import run_warming
from apicache_scenarios.warming.warmer import WarmOptions

APPLICATION = """
import asyncio, os, sys, json
from pathlib import Path
from apicache import UnifiedAPICache
from apicache_scenarios.format.loading import load_checked
from apicache_scenarios.warming.running import run_warming
from apicache_scenarios.warming.warmer import WarmOptions

cache = UnifiedAPICache.create(directory=Path("cache"))

@cache.operation("answer", ttl="1h")
async def answer(n: int) -> int:
    with open("paid.txt", "a") as file:
        file.write(f"{n}\\n")
    await asyncio.sleep(0.02)
    return n

[(file, total)] = load_checked([Path("faq.yaml")], cache.operations).values()
options = WarmOptions(again="--again" in sys.argv)
report = run_warming(cache, [file], options, total=total, directory=Path("cache"), on_progress=lambda done: None)
cache.close()
print(json.dumps([report.summary.warmed, report.summary.fresh, report.summary.uncertain, report.summary.resumed]))
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "application.py").write_text(APPLICATION)
    (tmp_path / "faq.yaml").write_text(
        f'- {{operation: answer, matrix: {{n: {list(range(60))}}}, params: {{n: "${{{{ matrix.n }}}}"}}}}'
    )
    return tmp_path


def paid(folder):
    return [int(line) for line in (folder / "paid.txt").read_text().split()]


def run(folder, *arguments):
    environ = {**os.environ, "APICACHE": "on"}
    done = subprocess.run(
        [sys.executable, "application.py", *arguments],
        cwd=folder,
        env=environ,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout)


def test_after_a_kill_no_call_is_paid_for_twice(folder):
    with subprocess.Popen([sys.executable, "application.py"], cwd=folder, stdout=subprocess.DEVNULL) as process:
        while not (folder / "paid.txt").exists() or len(paid(folder)) < 20:
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    made = len(paid(folder))
    assert made < 60
    warmed, fresh, uncertain, resumed = run(folder)
    assert resumed
    assert warmed + fresh + uncertain == 60
    assert len(paid(folder)) == len(set(paid(folder))) >= 60 - uncertain


def test_calls_that_may_be_paid_for_are_made_again_when_asked(folder):
    journal = Journal.of(folder / "cache", [Path("faq.yaml")])
    cache = UnifiedAPICache.create(directory=folder / "other")
    cache.operation("answer")(lambda n: n)
    with journal:
        journal.begin(cache.key_of(operation="answer", n=7))
    cache.close()
    assert run(folder) == [59, 0, 1, True]
    assert 7 not in paid(folder)


def warm(cache, text, **options):
    Path("faq.yaml").write_text(text)
    [(file, total)] = load_checked([Path("faq.yaml")], cache.operations).values()
    return run_warming(
        cache, [file], WarmOptions(**options), total=total, directory=Path("cache"), on_progress=lambda _: None
    )


@pytest.fixture
def cache(folder):
    cache = UnifiedAPICache.create()
    cache.made = []

    @cache.operation("answer")
    async def answer(n: int) -> int:
        cache.made.append(n)
        await asyncio.sleep(0)
        return n

    return cache


def test_a_run_that_ends_leaves_no_journal(cache):
    warm(cache, "[{operation: answer, n: 1}]")
    assert [file.name for file in Path("cache/warming").iterdir()] == [".gitignore"]


def test_a_run_that_the_budget_ended_goes_on_where_it_ended(cache):
    entries = ", ".join(f"{{operation: answer, n: {n}}}" for n in (1, 2, 3))
    text = f"version: 1\nbudget: {{calls: 2}}\nscenarios: [{entries}]"
    warm(cache, text)
    assert sorted(cache.made) == [1, 2]
    cache.clear()  # what was paid for is not paid for again, though it has been evicted
    summary = warm(cache, text).summary
    assert summary.resumed
    assert cache.made[2:] == [3]


def test_always_loading_anew_is_not_done_twice_by_a_resumed_run(cache):
    text = (
        "version: 1\nbudget: {calls: 1}\ndefaults: {skip_if: never, concurrency: 1}\n"
        "scenarios: [{operation: answer, n: 1}, {operation: answer, n: 2}]"
    )
    warm(cache, text)
    warm(cache, text)
    assert cache.made == [1, 2]


def test_a_changed_file_is_another_run(folder):
    file = folder / "faq.yaml"
    before = Journal.of(folder, [file]).path
    file.write_text("- {operation: answer, n: 1}")
    assert Journal.of(folder, [file]).path != before


def test_a_journal_is_read_up_to_a_line_that_was_cut_short(folder):
    with Journal.of(folder, [folder / "faq.yaml"]) as journal:
        journal.begin("aa")
        journal.end("aa", "warmed", 0.5)
        journal.begin("bb")
    with journal.path.open("a") as file:
        file.write('{"key":"cc","sta')
    with Journal.of(folder, [folder / "faq.yaml"]) as again:
        assert again.is_resumed
        assert again.ended("aa").cost == 0.5
        assert again.is_uncertain("bb")
        assert not again.is_uncertain("cc")
        again.end("bb", "failed", 0.0)
    with Journal.of(folder, [folder / "faq.yaml"]) as third:
        assert third.ended("bb").state == "failed"


def test_a_journal_is_its_owner_s_alone(folder):
    with Journal.of(folder, [folder / "faq.yaml"]) as journal:
        assert journal.path.stat().st_mode & 0o777 == 0o600
        assert journal.path.parent.stat().st_mode & 0o777 == 0o700
        assert (journal.path.parent / ".gitignore").read_text() == "*\n"


def test_a_folder_that_cannot_be_written_is_named(folder):
    (folder / "taken").write_text("")
    with pytest.raises(InputError, match=r"taken.* cannot be written"), Journal.of(folder / "taken", []):
        pass
