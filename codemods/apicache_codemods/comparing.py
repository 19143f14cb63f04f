"""What a plain text search for API calls would have found, held against the call sites of a scan."""

import re
from collections.abc import Iterator

import msgspec

from apicache_codemods.analysis import Analysis
from apicache_codemods.model import CallSite

COMMAND = r'grep -r "client.post\|requests.post\|httpx" --include="*.py"'
"""The search that migration guides give; its dots stand for any character."""
_PATTERN = re.compile(r"client.post|requests.post|httpx")
_IMPORT = re.compile(r"\s*(?:import|from)\s")


class Line(msgspec.Struct, frozen=True):
    """A line that the search prints."""

    path: str
    line: int
    text: str

    @property
    def kind(self) -> str:
        """What the line is, as far as it shows."""
        if self.text.lstrip().startswith("#"):
            return "comments"
        return "imports" if _IMPORT.match(self.text) else "other lines"


class Comparison(msgspec.Struct, frozen=True):
    """`hits` lines were printed, of which `false` belong to no call site; `missed` sites have no line among them."""

    hits: int
    sites: int
    false: tuple[Line, ...]
    missed: tuple[CallSite, ...]


def compare(analysis: Analysis) -> Comparison:
    """Search the files that were scanned."""
    sites = [resolved.site for resolved in analysis.sites]
    hits = list(_hits(analysis))
    printed = {(hit.path, hit.line) for hit in hits}
    covered = {(site.path, line) for site in sites for line in _lines(site)}
    return Comparison(
        hits=len(hits),
        sites=len(sites),
        false=tuple(hit for hit in hits if (hit.path, hit.line) not in covered),
        missed=tuple(site for site in sites if not any((site.path, line) in printed for line in _lines(site))),
    )


def _lines(site: CallSite) -> range:
    return range(site.line, max(site.line, site.end_line) + 1)


def _hits(analysis: Analysis) -> Iterator[Line]:
    for source in analysis.resolver.project.sources.values():
        if _PATTERN.search(source.text):
            for number, text in enumerate(source.text.split("\n"), start=1):
                if _PATTERN.search(text):
                    yield Line(source.path, number, text)
