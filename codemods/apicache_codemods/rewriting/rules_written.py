"""M121: a read of what the project itself changes. A cached answer would show the state before the change."""

from collections.abc import Collection, Mapping
from typing import Final

from apicache_codemods.model import CallSite
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Verdict

_READS: Final = frozenset({"GET", "HEAD"})
_REPLACES: Final = frozenset({"PUT", "PATCH", "DELETE"})
_WRITE: Final = "M101"


def with_written(verdicts: Mapping[Subject, Verdict | None]) -> dict[Subject, Verdict | None]:
    """The verdicts, with M121 for each read that none refused though a call of the same project writes its resource."""
    writes = [subject.site for subject, verdict in verdicts.items() if verdict is not None and verdict.code == _WRITE]
    return {
        subject: verdict or _stale_after(subject.site, writes) if subject.site.method in _READS else verdict
        for subject, verdict in verdicts.items()
    }


def _stale_after(read: CallSite, writes: Collection[CallSite]) -> Verdict | None:
    for write in writes:
        if _changes(write, read):
            return Verdict("M121", "unsafe", f"{write.endpoint} in {write.path}:{write.line} changes what it reads")
    return None


def _changes(write: CallSite, read: CallSite) -> bool:
    """Whether the write is of the read's resource or below it, or replaces one above it."""
    written, wanted = _resource(write), _resource(read)
    if len(wanted) < 2 or len(written) < 2:  # noqa: PLR2004 - a host alone is no resource
        return False
    below = written[: len(wanted)] == wanted
    return below or (write.method in _REPLACES and wanted[: len(written)] == written)


def _resource(site: CallSite) -> list[str]:
    """Host and path segments of an endpoint; empty when it is not known."""
    return [part for part in (site.endpoint or "").partition(" ")[2].split("/") if part]
