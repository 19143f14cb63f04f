"""`apicache demo`: the whole line, on a small application, in a few seconds."""

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated, Final, NamedTuple

import typer
from rich.table import Table

import apicache_cli
from apicache.errors import InputError
from apicache_cli import output
from apicache_scenarios.upstream import Upstream, running_upstream

STEP_FAILED = 1
SAMPLE: Final = Path(apicache_cli.__file__).parent / "sample"
PACKAGE: Final = "finwise"
TESTS: Final = ("-m", "unittest", "discover", "tests")
DAY: Final = ("-m", f"{PACKAGE}.day")
APICACHE: Final = ("-m", "apicache_cli")


class Day(NamedTuple):
    """What one run of the application took."""

    calls: int
    seconds: float


class Stage:
    """The sample application in its folder, with the upstream that stands in for its APIs."""

    def __init__(self, folder: Path, upstream: Upstream) -> None:
        self._folder = folder
        self._upstream = upstream
        self._environment = {
            **os.environ,
            "PYTHONPATH": str(folder),
            "PYTHONDONTWRITEBYTECODE": "1",
            "FINWISE_API": upstream.url,
            "OPENAI_BASE_URL": f"{upstream.url}/v1",
            "OPENAI_API_KEY": "demo",
            "APICACHE": "on",
            "APICACHE_DIR": str(folder / ".apicache"),
        }

    def heading(self, text: str) -> None:
        """Say what comes next."""
        output.stdout().print(f"\n[bold]{text}[/bold]", highlight=False)

    def run(self, shown: str, *arguments: str, into: Path | None = None, **environment: str) -> None:
        """Run Python with `arguments` in the folder, as a user would type `shown`; stop the demo when it fails."""
        typer.echo(f"$ {shown}")
        sys.stdout.flush()
        with open(into or os.devnull, "wb") as file:  # noqa: PTH123 - the null device has no Path of its own
            done = subprocess.run(  # noqa: S603 - this interpreter, our own arguments
                [sys.executable, *arguments],
                cwd=self._folder,
                env={**self._environment, **environment},
                stdout=file if into else None,
                check=False,
            )
        if done.returncode != 0:
            typer.echo(f"error: `{shown}` ended with exit code {done.returncode}; its files: {self._folder}", err=True)
            raise typer.Exit(STEP_FAILED)

    def day(self, *, cache: str) -> Day:
        """Run the application once and count the calls that reach its APIs."""
        before, started = self._upstream.requests_served(), time.perf_counter()
        self.run(f"python -m {PACKAGE}.day", *DAY, APICACHE=cache)
        day = Day(self._upstream.requests_served() - before, time.perf_counter() - started)
        typer.echo(f"{day.calls} API calls, {day.seconds:.1f} s")
        return day


def command(
    folder: Annotated[
        Path | None, typer.Option(help="Where the sample application is put; else a new temporary folder.")
    ] = None,
) -> None:
    """Scan, migrate, warm and bench a small sample application against an embedded API server.

    Needs no key, no server and no network. Exits 1 when a step failed.
    """
    target = _new_folder(folder)
    shutil.copytree(SAMPLE, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    with running_upstream() as upstream:
        stage = Stage(target, upstream)
        before, cold, warm = _walk(stage, target)
    _print_savings(before, cold, warm, target)


def _walk(stage: Stage, folder: Path) -> tuple[Day, Day, Day]:
    stage.heading("1. The application as it is: its tests pass, and a working day calls its APIs again and again")
    stage.run("python -m unittest discover tests", *TESTS, APICACHE="off")
    before = stage.day(cache="off")
    stage.heading("2. See: which calls it makes, and which of them are duplicates")
    stage.run(f"apicache scan {PACKAGE}", *APICACHE, "scan", PACKAGE)
    stage.heading("3. Rewrite: the diff first, then the files")
    diff = folder / "migrate.diff"
    stage.run(f"apicache migrate {PACKAGE} > {diff.name}", *APICACHE, "migrate", PACKAGE, into=diff)
    stage.run(f"apicache migrate {PACKAGE} --write", *APICACHE, "migrate", PACKAGE, "--write")
    stage.heading("4. Its own tests again: without the cache, then with an empty one")
    stage.run("APICACHE=off python -m unittest discover tests", *TESTS, APICACHE="off")
    cold_folder = str(folder / ".apicache-tests")
    stage.run("APICACHE=on python -m unittest discover tests", *TESTS, APICACHE_DIR=cold_folder)
    shutil.rmtree(cold_folder, ignore_errors=True)
    stage.heading("5. Warm: the usual questions are answered before anybody asks")
    cold = stage.day(cache="on")
    shutil.rmtree(folder / ".apicache", ignore_errors=True)
    stage.run("apicache warm scenarios.yaml", *APICACHE, "warm", "scenarios.yaml")
    warm = stage.day(cache="on")
    stage.heading("6. Prove: cached against direct, in one run")
    stage.run("apicache bench --requests 400", *APICACHE, "bench", "--requests", "400")
    return before, cold, warm


def _new_folder(folder: Path | None) -> Path:
    if folder is None:
        return Path(tempfile.mkdtemp(prefix="apicache-demo-"))
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder} exists and is not an empty folder; name a new one with --folder")
    folder.mkdir(parents=True, exist_ok=True)
    return folder.resolve()


def _print_savings(before: Day, cold: Day, warm: Day, folder: Path) -> None:
    table = Table(title="One working day of the sample application", title_justify="left")
    table.add_column("")
    for heading in ("API calls", "seconds", "calls saved"):
        table.add_column(heading, justify="right")
    for name, day in (("before", before), ("migrated, empty cache", cold), ("migrated, warmed", warm)):
        saved = f"{1 - day.calls / before.calls:.0%}" if before.calls else "-"
        table.add_row(name, str(day.calls), f"{day.seconds:.1f}", saved)
    console = output.stdout()
    console.print()
    console.print(table)
    console.print("Calls are counted by the API server. The files:", soft_wrap=True)
    places = {
        "the application": str(folder / PACKAGE),
        "its operations": str(folder / PACKAGE / "api_operations.py"),
        "what migrate changed": str(folder / "migrate.diff"),
        "the warmed cache": str(folder / ".apicache"),
    }
    for name, place in places.items():
        console.print(f"  {name}: {place}", soft_wrap=True)
