"""M121: a read of what the project itself changes. A cached answer would show the state before the change."""

from collections.abc import Collection, Mapping
from itertools import product
from typing import Final

from apicache_codemods.model import CallSite
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Verdict

_READS: Final = frozenset({"GET", "HEAD"})
_REPLACES: Final = frozenset({"PUT", "PATCH", "DELETE"})
_CHANGES: Final = frozenset({"POST", *_REPLACES})
_UNREAD: Final = frozenset({"M101", "M113", "M122"})
"""Codes of calls that do not only read, or of which that was not asked."""


def with_written(verdicts: Mapping[Subject, Verdict | None]) -> dict[Subject, Verdict | None]:
    """The verdicts, with M121 for each read that none refused though a call of the same project writes its resource."""
    writes = [
        subject.site
        for subject, verdict in verdicts.items()
        if verdict is not None and verdict.code in _UNREAD and subject.site.method in _CHANGES
    ]
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
    return any(_is_of(write, written, wanted) for written, wanted in product(_resources(write), _resources(read)))


def _is_of(write: CallSite, written: list[str], wanted: list[str]) -> bool:
    if len(wanted) < 2 or len(written) < 2:  # noqa: PLR2004 - a host alone is no resource
        return False
    below = written[: len(wanted)] == wanted
    return below or (write.method in _REPLACES and wanted[: len(written)] == written)


def _resources(site: CallSite) -> list[list[str]]:
    """Host and path segments of the endpoints that a call may reach; empty when they are not known."""
    endpoints = (site.endpoint or "", *site.alternatives)
    return [[part for part in endpoint.partition(" ")[2].split("/") if part] for endpoint in endpoints]
