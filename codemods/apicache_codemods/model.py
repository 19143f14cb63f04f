"""What scan returns and migrate starts from: plain values, no syntax trees."""

from collections import Counter
from typing import Literal

import msgspec

Kind = Literal["http", "llm", "db"]


class CallSite(msgspec.Struct, frozen=True, kw_only=True):
    """One call expression that makes a request through a known client library.

    `line` and `end_line` are 1-based, columns 0-based and in characters, as the call expression begins and ends
    (an `await` in front is not part of it). `path` is relative to the working directory, with forward slashes.
    """

    path: str
    line: int
    column: int
    end_line: int
    end_column: int
    function: str | None
    """Qualified name of the enclosing function inside its module (`Class.method`), None at module level."""
    library: str
    """The detector's name: httpx, requests, openai."""
    kind: Kind
    call: str
    """The called expression as written: `client.post`, `self._http.get`, `requests.post`."""
    is_async: bool = msgspec.field(name="async")
    method: str | None
    """`GET`, `POST`, ...; None when unknown."""
    endpoint: str | None
    """`METHOD host/path` with dynamic parts `{}`; None when nothing of the URL is known."""
    client_origin: str | None
    """`path:line` of the constructor the client came from, or the library's name for its module-level functions."""
    operation: str | None
    """The operation this call would become (`completion`, `embedding`, ...); None when no name can be given."""
    group: str | None
    """Id of its duplicate group; None when it has no duplicate."""
    cached: bool = False
    """Whether it stands in a registered operation or a cached function: apicache answers it already."""


class WrapperCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the project's own function that forwards to a call site."""

    path: str
    line: int
    endpoint: str | None
    via: str
    group: str | None


class DuplicateGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Two or more call sites of one endpoint; `sites` holds (path, line) pairs."""

    id: str
    endpoint: str
    operation: str | None
    sites: tuple[tuple[str, int], ...]


def open_groups(report: "ScanReport") -> list[DuplicateGroup]:
    """The duplicate groups with two or more call sites that apicache does not answer yet."""
    uncached = Counter(site.group for site in report.call_sites if not site.cached)
    return [group for group in report.duplicate_groups if uncached[group.id] > 1]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's result at a place."""

    rule: str
    path: str
    line: int
    message: str


class SkippedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was not read, and why."""

    path: str
    reason: str


class ScanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a scan; `seconds` is wall time."""

    files: int
    lines: int
    call_sites: int
    duplicate_groups: int
    seconds: float


class ScanReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one scan found; `schema` is the number of the documented JSON contract."""

    schema: int = 1
    call_sites: tuple[CallSite, ...]
    wrapper_calls: tuple[WrapperCall, ...]
    duplicate_groups: tuple[DuplicateGroup, ...]
    findings: tuple[Finding, ...]
    skipped_files: tuple[SkippedFile, ...]
    summary: ScanSummary
