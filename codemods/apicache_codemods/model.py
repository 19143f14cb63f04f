"""What scan returns and migrate starts from: plain values, no syntax trees."""

from collections import Counter
from collections.abc import Sequence
from typing import Literal

import msgspec

Kind = Literal["http", "llm", "db"]
Severity = Literal["error", "warning", "note"]


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
    """Whether apicache answers it already: it stands in a registered operation or a cached function, or is what
    `cached_api_call` wraps."""
    cacheable: bool = False
    """Whether it is known to only read: GET or HEAD, a POST known to be read-like, a SELECT."""
    query: tuple[str, ...] = ()
    """The names of the query parameters sent, sorted; `*` when some are not known. Empty when none are sent."""
    payload: tuple[str, ...] = ()
    """The top-level names of the payload sent, sorted; `*` when some are not known. Empty when none is sent."""
    loop: int = 0
    """How many loops of its function stand around it, comprehensions too."""
    wrapped_by: str | None = None
    """The library whose proxy the client is wrapped in: `instructor`, `langfuse`, ...; None for a bare client."""
    alternatives: tuple[str, ...] = ()
    """Further endpoints it reaches when its URL depends on a condition; `endpoint` is not among them."""
    model: str | None = None
    """The model an LLM call names; None when it is not known."""
    sql: str | None = None
    """The SQL text, normalised, for kind `db`; its `endpoint` is then made of it. None when it is not known."""


class WrapperCall(msgspec.Struct, frozen=True, kw_only=True):
    """A call of the project's own function that forwards to a call site."""

    path: str
    line: int
    endpoint: str | None
    via: str
    group: str | None


class Estimate(msgspec.Struct, frozen=True, kw_only=True):
    """What caching a group would save at most.

    `calls` are repeated calls per 1,000 runs of the code; `usd` what they cost, None where nothing is known of a price;
    `basis` states both assumptions in one line, ready to print.
    """

    calls: float
    usd: float | None
    basis: str


class DuplicateGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Two or more call sites of one endpoint; `sites` holds (path, line) pairs. Groups come ranked by `estimate`."""

    id: str
    endpoint: str
    operation: str | None
    sites: tuple[tuple[str, int], ...]
    estimate: Estimate = Estimate(calls=0.0, usd=None, basis="")


class NearDuplicate(msgspec.Struct, frozen=True, kw_only=True):
    """Call sites that look alike and are not proven to be duplicates; `differs` says in one sentence what differs.

    `id` is `N1`, `N2`, ...; `sites` holds (path, line) pairs; `endpoints` has what is known of each site's, sorted.
    """

    id: str
    sites: tuple[tuple[str, int], ...]
    endpoints: tuple[str, ...]
    differs: str


class Adoption(msgspec.Struct, frozen=True, kw_only=True):
    """How many call sites are cacheable, and how many of those apicache answers already."""

    cacheable: int
    cached: int


def open_groups(report: "ScanReport") -> list[DuplicateGroup]:
    """The duplicate groups with two or more call sites that apicache does not answer yet."""
    return open_groups_among(report.duplicate_groups, report.call_sites)


def open_groups_among(groups: Sequence[DuplicateGroup], sites: Sequence[CallSite]) -> list[DuplicateGroup]:
    """Those of `groups` of whose `sites` two or more are not answered by apicache yet."""
    uncached = Counter(site.group for site in sites if not site.cached)
    return [group for group in groups if uncached[group.id] > 1]


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A rule's result at a place; lines are 1-based, columns 0-based and in characters, the end is exclusive.

    `message` is one line without a full stop. `fix` says in one sentence what to do next. `fingerprint` is 16 hex
    digits over the rule, the call's text, its function's name and how many like it came before: it stays the same when
    lines move or the file is renamed. A baseline and SARIF's `partialFingerprints` hold it.
    """

    rule: str
    path: str
    line: int
    message: str
    severity: Severity = "warning"
    column: int = 0
    end_line: int = 0
    end_column: int = 0
    fix: str = ""
    fingerprint: str = ""
    new: bool = True
    """False for a finding whose fingerprint the baseline holds; scan leaves it True, who reads the baseline sets it."""


class SkippedFile(msgspec.Struct, frozen=True, kw_only=True):
    """A file that was not read, and why."""

    path: str
    reason: str


class ScanSummary(msgspec.Struct, frozen=True, kw_only=True):
    """The counts of a scan; `seconds` is wall time, `suppressed` are findings that a comment ignores."""

    files: int
    lines: int
    call_sites: int
    duplicate_groups: int
    seconds: float
    suppressed: int = 0


class ScanReport(msgspec.Struct, frozen=True, kw_only=True):
    """Everything one scan found; `schema` is the number of the documented JSON contract."""

    schema: int = 1
    call_sites: tuple[CallSite, ...]
    wrapper_calls: tuple[WrapperCall, ...]
    duplicate_groups: tuple[DuplicateGroup, ...]
    findings: tuple[Finding, ...]
    skipped_files: tuple[SkippedFile, ...]
    summary: ScanSummary
    near_duplicates: tuple[NearDuplicate, ...] = ()
    adoption: Adoption = Adoption(cacheable=0, cached=0)
