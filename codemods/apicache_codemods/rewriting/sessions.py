"""Clients that sign in: their cookies say whose answers they get, and are no part of an operation's key."""

from collections.abc import Mapping

from apicache_codemods.model import CallSite
from apicache_codemods.rewriting.clients import Clients, Home
from apicache_codemods.rewriting.generalise import MismatchError
from apicache_codemods.rewriting.subject import Subject
from apicache_codemods.rewriting.verdicts import Verdict

_READS = frozenset({"GET", "HEAD", "OPTIONS"})
_SIGNS_IN = "M117"
_DOMAIN_LABELS = 2


class Sessions:
    """The calls that may change the cookies of clients that the project's modules assign."""

    def __init__(self, verdicts: Mapping[Subject, Verdict | None], clients: Clients) -> None:
        self._changes: dict[Home, list[CallSite]] = {}
        for subject, verdict in verdicts.items():
            if verdict is None or (subject.site.method in _READS and verdict.code != _SIGNS_IN):
                continue
            home = _home(subject, clients)
            if home is not None:
                self._changes.setdefault(home, []).append(subject.site)

    def check(self, home: Home, site: CallSite) -> None:
        """Raises MismatchError where another call of the same client may sign it in at the site's host."""
        for change in self._changes.get(home, ()):
            if _domain(change) is None or _domain(site) in {None, _domain(change)}:
                raise MismatchError(
                    f"its client {home.name!r} may get cookies from {change.endpoint or change.call} in "
                    f"{change.path}:{change.line}, which are no part of an operation's key"
                )


def _home(subject: Subject, clients: Clients) -> Home | None:
    if subject.resolved.client.holder not in {"global", "imported"}:
        return None
    try:
        return clients.home(subject)
    except MismatchError:
        return None


def _domain(site: CallSite) -> tuple[str, ...] | None:
    """What cookies are shared below: `("example", "com")`; None when the host is not known."""
    host = (site.endpoint or "").partition(" ")[2].partition("/")[0].partition(":")[0]
    return None if not host or "{" in host else tuple(host.split(".")[-_DOMAIN_LABELS:])
