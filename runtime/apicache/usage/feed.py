"""What happened to calls, on its way to the usage log: noted at once, written by a thread."""

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final, Protocol

from apicache import forks
from apicache.entry import Entry

if TYPE_CHECKING:
    from apicache.planning import Plan

_WAITING_MAX: Final = 100_000
_WRITE_SECONDS: Final = 1.0
_SCOPE: Final = 10
"""Place of the scope in a note."""


class Log(Protocol):
    """Where events end up."""

    def write(self, events: Sequence[Any], /) -> bool:
        """Write a batch; False when it was lost. Raises nothing."""


class UsageFeed:
    """A bounded queue of notes and the thread that writes them; the thread ends when there is nothing to write."""

    def __init__(self, build_log: Callable[[], Log]) -> None:
        self._build_log = build_log
        self._log: Log | None = None
        self._notes: deque[tuple[Any, ...]] = deque(maxlen=_WAITING_MAX)
        self.after_fork()
        forks.on_fork(self.after_fork)
        forks.on_exit(self.flush)

    def after_fork(self) -> None:
        """A child begins with nothing noted: what its parent noted, its parent writes."""
        self._lock = threading.Lock()
        self._writing = threading.Lock()
        self._thread: threading.Thread | None = None
        self._notes.clear()
        self._log = None

    def served(self, kind: str, operation: str, key: bytes, entry: Entry, now: float) -> None:
        """A call was answered by an entry."""
        self.note(
            (now, kind, operation, key, now - entry.created, entry.fresh_until - entry.created, entry.compute_seconds,
             entry.cost, None, None, None, len(entry.payload))
        )  # fmt: skip

    def loaded(self, plan: "Plan", entry: Entry | None, seconds: float, now: float, cost: float | None = None) -> None:
        """A call was loaded, for its caller or in the background, for `cost`; with `entry`, and stored."""
        key, policy = plan.key or b"", plan.policy
        kind, is_asked = "refreshed" if plan.is_refresh else "miss", not plan.is_warming
        self.note((now, kind, plan.label, key, 0.0, 0.0, seconds, _cost(plan, cost), None, None, None, None, is_asked))
        if entry is not None:
            recorded = dict(plan.parameters) if policy.record else None
            self.note(
                (now, "stored", plan.label, key, 0.0, entry.fresh_until - entry.created, seconds, entry.cost,
                 plan.material, recorded, plan.scope, len(entry.payload))
            )  # fmt: skip

    def other(self, kind: str, plan: "Plan", now: float, cost: float | None = None) -> None:
        """Anything else that a call came to: `coalesced`, `error`, `revalidated`."""
        is_asked = not plan.is_warming
        self.note(
            (now, kind, plan.label, plan.key or b"", 0.0, 0.0, 0.0, _cost(plan, cost), None, None, None, None, is_asked)
        )

    def note(self, note: tuple[Any, ...]) -> None:
        """The fields of a `usage.Event`, with the scope itself in its digest's place; the last ones may be left out."""
        self._notes.append(note)
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    self._thread = threading.Thread(
                        target=_write_now_and_then, args=(weakref.ref(self),), name="apicache-usage", daemon=True
                    )
                    try:
                        self._thread.start()
                    except RuntimeError:  # the interpreter is ending
                        self._thread = None

    def flush(self) -> None:
        """Write what has been noted."""
        from apicache.usage import usage  # noqa: PLC0415 - for caches that log

        with self._writing:
            notes = [self._notes.popleft() for _ in range(len(self._notes))]
            if not notes:
                return
            if self._log is None:
                self._log = self._build_log()
            self._log.write([usage.Event(*note) if note[_SCOPE] is None else _scoped(usage, note) for note in notes])

    def is_idle(self) -> bool:
        """End the thread when nothing is noted; whether it is to end."""
        with self._lock:
            if self._notes:
                return False
            self._thread = None
            return True


def _scoped(usage: Any, note: tuple[Any, ...]) -> Any:
    return usage.Event(*note[:_SCOPE], _digest_of_scope(usage, note[_SCOPE]), *note[_SCOPE + 1 :])


def _digest_of_scope(usage: Any, scope: object) -> bytes | None:
    try:
        found: bytes | None = usage.digest_of_scope(scope)
    except Exception:  # noqa: BLE001 - a scope that changed meanwhile: the row belongs to nobody
        return None
    return found


def _write_now_and_then(feed: "weakref.ref[UsageFeed]") -> None:
    while True:
        time.sleep(_WRITE_SECONDS)
        alive = feed()
        if alive is None:
            return
        alive.flush()
        if alive.is_idle():
            return
        del alive


def _cost(plan: "Plan", known: float | None) -> float:
    """US dollars: what is known, else what the policy says of every call."""
    cost = plan.policy.cost
    return known if known is not None else 0.0 if callable(cost) else cost
