"""Scanning sources written in a test: what is expected stands beside the calls, as comments."""

import re
import textwrap
from collections.abc import Mapping
from pathlib import Path

import pytest

from apicache_codemods.model import ScanReport
from apicache_codemods.scan import scan

EXPECTED = re.compile(r"# -> (?P<endpoint>.+?)\s*$")


class Sources:
    """A small project in a temporary folder."""

    def __init__(self, root: Path) -> None:
        self.root = root

    def write(self, sources: str | Mapping[str, str]) -> None:
        files = {"app.py": sources} if isinstance(sources, str) else sources
        for name, text in files.items():
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(textwrap.dedent(text), encoding="utf-8")

    def scan(self, sources: str | Mapping[str, str]) -> ScanReport:
        self.write(sources)
        return scan([self.root], self.root)

    def expected(self) -> list[tuple[str, int, str]]:
        """Path, line and endpoint of every `# -> ENDPOINT` comment; `?` stands for an endpoint that is not known."""
        found = []
        for path in sorted(self.root.rglob("*.py")):
            for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
                comment = EXPECTED.search(line)
                if comment is not None:
                    found.append((path.relative_to(self.root).as_posix(), number, comment["endpoint"]))
        return found


@pytest.fixture
def project(tmp_path: Path) -> Sources:
    return Sources(tmp_path)


@pytest.fixture
def check(project: Sources):
    """Scan the sources; the call sites must be those that their comments name, and no others."""

    def run(sources: str | Mapping[str, str]) -> ScanReport:
        report = project.scan(sources)
        found = [(site.path, site.line, site.endpoint or "?") for site in report.call_sites]
        assert found == project.expected()
        return report

    return run
