"""The demo, whole: a real upstream, real commands, the sample application's own tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest


def run_demo(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "apicache_cli", "demo", *arguments],
        env={name: value for name, value in os.environ.items() if not name.startswith(("OPENAI", "APICACHE"))},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_the_demo_walks_the_whole_line_and_saves_calls(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    done = run_demo("--folder", str(folder))
    assert done.returncode == 0, done.stdout + done.stderr
    calls = {
        row: int(found[1])
        for row in ("before", "migrated, empty cache", "migrated, warmed")
        if (found := re.search(rf"{row}\s*[│|]\s*(\d+)", done.stdout))
    }
    assert calls["before"] == 42
    assert calls["migrated, empty cache"] < calls["before"] / 2
    assert calls["migrated, warmed"] < calls["migrated, empty cache"]
    for name in ("finwise/api_operations.py", "migrate.diff", ".apicache/entries/cache.db"):
        assert (folder / name).is_file(), name
    assert str(folder) in done.stdout


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    done = run_demo("--folder", str(tmp_path))
    assert done.returncode == 2
    assert "not an empty folder" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
