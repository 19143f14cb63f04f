"""What holds the house: one new file adds a part, names agree with files, files stay small."""

import importlib
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parent.parent
SOURCE_ROOTS = ("runtime", "codemods", "scenarios", "cli")
FOLDERS_OF_PARTS = (
    "apicache.adapters",
    "apicache.integrations",
    "apicache.providers",
    "apicache.tiers",
    "apicache_codemods.detectors",
    "apicache_codemods.migration_reports",
    "apicache_codemods.reports",
    "apicache_scenarios.load.executors",
    "apicache_scenarios.load.keys",
    "apicache_scenarios.reports",
    "apicache_scenarios.exports",
    "apicache_cli.commands",
)


def run_with_part(package: str, folder: Path, code: str) -> str:
    """Run code in a process where `folder` holds one more file of the package."""
    program = f"import {package} as package; package.__path__.append({str(folder)!r})\n{code}"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_adapter_file_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "fractions.py").write_text(
        "from apicache.adapter import Identified, Snapshot\n"
        "from fractions import Fraction\n"
        "def identify(function, args, kwargs):\n"
        "    return Identified(label='half', parameters=str(function.__self__), credentials=None, context=None)\n"
        "def snapshot(response):\n"
        "    return Snapshot(data=str(response), refusal=None, lifetime=None)\n"
        "def replay(data, context):\n"
        "    return Fraction(data)\n"
    )
    code = (
        "from fractions import Fraction\n"
        "from apicache import UnifiedAPICache\n"
        "cache = UnifiedAPICache.create()\n"
        "print([cache.cached_api_call_sync(Fraction(1, 2).limit_denominator, 10) for _ in range(2)])\n"
        "print(cache.get_stats()['cache_hits'])\n"
    )
    assert run_with_part("apicache.adapters", tmp_path, code) == "[Fraction(1, 2), Fraction(1, 2)]\n1\n"


def test_a_tier_file_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "attic.py").write_text(
        "import msgspec\nclass Options(msgspec.Struct):\n    shelves: int = 3\n"
        "def build(place):\n    return ('attic', place.directory.name, place.options)\n"
    )
    code = (
        "import pathlib; from apicache.tier import TierPlace; place = TierPlace(directory=pathlib.Path('/x/y'))\n"
        "print(sorted(package.known()), package.build('attic', place))"
    )
    assert run_with_part("apicache.tiers", tmp_path, code) == (
        "['attic', 'disk', 'memory', 'redis'] ('attic', 'y', {})\n"
    )


def test_a_command_file_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "hello.py").write_text(
        "import typer\ndef command(name: str = 'you') -> None:\n    '''Say hello.'''\n    typer.echo('hello ' + name)\n"
    )
    code = "import sys; from apicache_cli.app import app; sys.argv = ['apicache', 'hello', '--name', 'me']; app()"
    assert run_with_part("apicache_cli.commands", tmp_path, code) == "hello me\n"
    listed = run_with_part(
        "apicache_cli.commands",
        tmp_path,
        "import sys; from apicache_cli.app import app; sys.argv = ['apicache', '--help']; app()",
    )
    assert "hello" in listed
    assert "Say hello." in listed


def test_a_report_format_file_is_found_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "haiku.py").write_text("def render(report):\n    return f'{report}, in seventeen\\n'\n")
    code = "from apicache_scenarios.reporting.formats import known, render; print(known(), render('haiku', 'p99'))"
    assert run_with_part("apicache_scenarios.reports", tmp_path, code) == (
        "('csv', 'haiku', 'html', 'json', 'markdown') p99, in seventeen\n\n"
    )


def test_every_part_has_a_test_that_names_it() -> None:
    tests = "\n".join(_plain(path.read_text(encoding="utf-8")) for path in (ROOT / "tests").rglob("test_*.py"))
    for package in FOLDERS_OF_PARTS:
        module: ModuleType = importlib.import_module(package)
        for file in Path(module.__path__[0]).glob("*.py"):
            if file.stem != "__init__":
                assert _plain(file.stem) in tests, f"no test names {package}.{file.stem}"


def _plain(name: str) -> str:
    """`google_generativeai` and `google.generativeai`, `mysqldb` and `MySQLdb` are one name."""
    return re.sub(r"[._-]", "", name.lower())


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_no_file_has_outgrown_its_name(root: str) -> None:
    long = {
        str(path.relative_to(ROOT)): lines
        for path in (ROOT / root).rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 400
    }
    assert long == {}


@pytest.mark.parametrize("root", SOURCE_ROOTS)
def test_nothing_unsafe_is_called(root: str) -> None:
    """No pickle, eval, exec or unsafe YAML anywhere in the product; the sample application's data is code too."""
    for path in (ROOT / root).rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        for word in ("pickle.load", "pickle.dump", " eval(", " exec(", "yaml.load(", "os.system(", "shell=True"):
            assert word not in text, f"{path}: {word}"


def run_apicache(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "apicache_cli", *arguments], capture_output=True, text=True, check=False
    )


def test_the_version_is_the_distributions() -> None:
    from importlib.metadata import version

    done = run_apicache("--version")
    assert (done.returncode, done.stdout) == (0, f"apicache {version('apicache-toolkit')}\n")


def test_help_names_every_command() -> None:
    import apicache_cli.commands

    done = run_apicache("--help")
    assert done.returncode == 0
    for file in Path(apicache_cli.commands.__path__[0]).glob("*.py"):
        if file.stem != "__init__":
            assert f"  {file.stem} " in done.stdout
            assert run_apicache(file.stem, "--help").returncode == 0


@pytest.mark.parametrize("arguments", [("scna",), ("scan", "--no-such-option"), ("--no-such-option",)])
def test_what_is_not_understood_exits_2_and_says_so_on_stderr(arguments: tuple[str, ...]) -> None:
    done = run_apicache(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no such" in done.stderr.lower()
