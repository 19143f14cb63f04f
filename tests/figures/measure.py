"""The figures that are promised, measured: `make bench-peers`. Medians of the ratios of runs in turns.

    python tests/figures/measure.py [--only runtime] [APPLICATION]

APPLICATION is a folder with at least 50,000 lines of Python; without one, the source distribution of `PEER` is
downloaded from the package index into a temporary folder. `--only runtime` leaves out what starts the command line.
"""

import argparse
import os
import platform
import resource
import statistics
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Sequence
from pathlib import Path

import load_figures
import operation_figures
import prediction_figures
import runtime_figures
import store_figures
from turns import Figure

PEER = "crewai==1.0.0"
PAIRS = 11
SCAN_PAIRS = 5
PYTHON = sys.executable
APICACHE = (PYTHON, "-m", "apicache_cli")

PARSE_ALL = """
import ast, pathlib, sys, warnings
warnings.simplefilter("ignore")
for path in pathlib.Path(sys.argv[1]).rglob("*.py"):
    try:
        ast.parse(path.read_bytes())
    except (SyntaxError, ValueError):
        pass
"""


def cpu_seconds(command: Sequence[str]) -> float:
    """User and system time of one run, children included."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    # Bytecode is written as it is for a user; an earlier run has done so when the counted ones start.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    subprocess.run(command, stdout=subprocess.DEVNULL, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def ratio(one: Sequence[str], other: Sequence[str], pairs: int) -> float:
    """The median of `one` over `other`, run in turns after a run of each that is not counted."""
    cpu_seconds(one)
    cpu_seconds(other)
    return statistics.median(cpu_seconds(one) / cpu_seconds(other) for _ in range(pairs))


def ratio_figure(work: str, bound: float, one: Sequence[str], other: Sequence[str], pairs: int = PAIRS) -> Figure:
    """A figure that is a ratio."""
    measured = ratio(one, other, pairs)
    return Figure(work, f"{measured:.2f}x", f"at most {bound:g}x", measured <= bound)


def download(folder: Path) -> Path:
    """The unpacked source distribution of `PEER`."""
    name, _, version = PEER.partition("==")
    command = (PYTHON, "-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", name)
    subprocess.run([*command, "--dest", str(folder), f"{name}=={version}"], check=True)
    (archive,) = folder.glob("*.tar.gz")
    with tarfile.open(archive) as packed:
        packed.extractall(folder, filter="data")
    return folder / archive.name.removesuffix(".tar.gz")


def lines_in(application: Path) -> int:
    """How many lines of Python the application has."""
    return sum(path.read_bytes().count(b"\n") for path in application.rglob("*.py"))


def command_figures(application: Path, name: str) -> list[Figure]:
    """The figures of the command line and of imports, in CPU time."""
    scanned = f"scan of {name}, {lines_in(application):,} lines, against `ast.parse` of all its files"
    return [
        ratio_figure(
            "`apicache --version` against `import typer`", 1.5, (*APICACHE, "--version"), (PYTHON, "-c", "import typer")
        ),
        ratio_figure(
            "`import apicache` against `import asyncio, msgspec`",
            1.3,
            (PYTHON, "-c", "import apicache"),
            (PYTHON, "-c", "import asyncio, msgspec"),
        ),
        ratio_figure(
            "`from apicache import cached_api_call` against `import asyncio, msgspec`",
            1.3,
            (PYTHON, "-c", "from apicache import cached_api_call"),
            (PYTHON, "-c", "import asyncio, msgspec"),
        ),
        ratio_figure(
            scanned,
            1.0,
            (*APICACHE, "scan", "--format", "json", str(application)),
            (PYTHON, "-c", PARSE_ALL, str(application)),
            SCAN_PAIRS,
        ),
    ]


def all_command_figures(given: Path | None) -> list[Figure]:
    """Those figures, with the given application or the downloaded one."""
    with tempfile.TemporaryDirectory() as folder:
        application = given or download(Path(folder))
        return command_figures(application, application.name)


def main() -> int:
    """Print the table; 1 when a bound is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("application", nargs="?", type=Path, metavar="APPLICATION")
    parser.add_argument("--only", choices=["runtime"])
    arguments = parser.parse_args()
    figures = [] if arguments.only else all_command_figures(arguments.application)
    figures += [
        *runtime_figures.measure(),
        *store_figures.measure(),
        *operation_figures.measure(),
        *load_figures.measure(),
        *prediction_figures.measure(),
    ]
    print("| work | measured | must be |\n| --- | --- | --- |")
    for figure in figures:
        print(f"| {figure.work} | {figure.measured} | {figure.bound}{'' if figure.kept else ' (NOT KEPT)'} |")
    print(
        f"\nCPython {platform.python_version()}, {platform.system()}, {os.cpu_count()} CPUs; medians of the ratios of "
        "runs in turns: of CPU time; of wall time for Redis and disk. In brackets what one call or entry took."
    )
    return 0 if all(figure.kept for figure in figures) else 1


if __name__ == "__main__":
    sys.exit(main())
