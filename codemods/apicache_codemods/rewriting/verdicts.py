"""What can become of a call site, each with a stable code and a sentence."""

from typing import Final, Literal

import msgspec

Safety = Literal["safe", "unsafe", "never"]
"""safe: the rewritten code behaves as before. unsafe: it may not, and only its author can tell. never: it would not."""
Style = Literal["operation", "wrap", "decorate"]
Decision = Literal["rewritten", "skipped"]
Place = tuple[str, int, int]
"""Path, line and column (in characters) of a call site before anything was edited."""


class Verdict(msgspec.Struct, frozen=True):
    """A judgement on one site: `code` is stable, `reason` a sentence about this site."""

    code: str
    safety: Safety
    reason: str


class SiteDecision(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one call site; `path`, `line` and `endpoint` are those that scan reports."""

    path: str
    line: int
    column: int
    end_line: int
    function: str | None
    endpoint: str | None
    decision: Decision
    style: Style | None
    operation: str | None
    """The name of the operation that the call became one of."""
    safety: Safety
    code: str
    reason: str

    @property
    def place(self) -> Place:
        """What tells the site from all others."""
        return (self.path, self.line, self.column)


MEANINGS: Final = {
    "M001": "duplicate calls became one operation",
    "M002": "a call of an LLM endpoint became an operation",
    "M003": "a read-only call was wrapped",
    "M004": "an operation was not possible, so the call was wrapped",
    "M101": "the call is not known to only read",
    "M102": "the response is streamed",
    "M103": "the body can be read only once",
    "M104": "the call polls for a change",
    "M105": "the completion is sampled",
    "M106": "the file belongs to the tests",
    "M107": "what is read of the response belongs to the connection, not to the answer",
    "M108": "the response is used as a context manager",
    "M109": "method or URL is not known",
    "M110": "the call is already cached",
    "M111": "the call is made for its effect",
    "M112": "the call runs while the module is imported",
    "M113": "no adapter knows the call",
    "M114": "arguments are hidden in * or **",
    "M115": "hooks, transports or authentication objects act on every request",
    "M116": "every call sends something new",
    "M117": "the endpoint hands out credentials",
    "M118": "the file is generated",
    "M119": "the asked-for style is not possible",
    "M120": "the file could not be edited faithfully",
    "M121": "the project changes what the call reads",
    "M122": "the method is passed on, not called",
    "M201": "left out on request",
    "M202": "the tests fail with the rewritten call",
    "M203": "cache-sensitive: the tests fail with the call answered from the cache",
}
"""Every code and what it stands for."""
