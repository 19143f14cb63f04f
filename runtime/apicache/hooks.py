"""Event hooks: what the cache did, told to whoever asked."""

import inspect
import logging
import threading
from collections.abc import Callable, Iterable
from typing import Final, Literal, get_args

import msgspec

from apicache.errors import InputError, did_you_mean

EventKind = Literal[
    "hit",
    "miss",
    "stale",
    "stored",
    "not_stored",
    "coalesced",
    "bypassed",
    "early_refresh",
    "refreshed",
    "revalidated",
    "load_error",
    "tier_error",
    "invalidated",
    "difference",
    "would_hit",
]
EVENT_KINDS: Final[frozenset[str]] = frozenset(get_args(EventKind))

_logger = logging.getLogger("apicache")


class CacheEvent(msgspec.Struct, frozen=True, gc=False):
    """One thing that the cache did."""

    kind: EventKind
    operation: str
    key: str | None = None
    """The key's hexadecimal digits, where the event concerns one key."""
    tier: str | None = None
    seconds: float = 0.0
    """How long it took; for a hit, what the load had taken."""
    detail: str | None = None
    """Why, in words without values of the call."""


Hook = Callable[[CacheEvent], object]


class _Registration:
    """A hook, what it asked for, and whether its failure was logged."""

    __slots__ = ("complained", "hook", "kinds")

    def __init__(self, hook: Hook, kinds: frozenset[str]) -> None:
        self.hook = hook
        self.kinds = kinds
        self.complained = False


class Hooks:
    """The hooks of a cache; false while there are none, so that a hit need not build its event.

    Adding and removing are single dictionary operations: no lock that a fork could leave taken.
    """

    def __init__(self) -> None:
        self.registrations: dict[object, _Registration] = {}
        """Always the same object: as false as this one while there are none."""
        self._thread = threading.local()

    def __bool__(self) -> bool:
        return bool(self.registrations)

    def add(self, hook: Hook, kinds: Iterable[EventKind] | None = None) -> Callable[[], None]:
        """Call `hook(event)` for events of `kinds` (all, when None), in the caller's thread; returns what removes it.

        Raises InputError for a hook that is async or cannot be called, and for an unknown kind. A hook that raises is
        logged once; the call goes on. Events of calls that a hook makes itself are not told.
        """
        _check(hook)
        token = object()
        self.registrations[token] = _Registration(hook, EVENT_KINDS if kinds is None else _checked_kinds(kinds))

        def remove() -> None:
            self.registrations.pop(token, None)

        return remove

    def emit(self, event: CacheEvent) -> None:
        """Call every hook that asked for this kind, in the order in which they were added; never raises."""
        if getattr(self._thread, "inside", False):  # else a hook on "miss" that calls the cache would never end
            return
        self._thread.inside = True
        try:
            for registration in list(self.registrations.values()):
                if event.kind in registration.kinds:
                    _call(registration, event)
        finally:
            self._thread.inside = False


def _call(registration: _Registration, event: CacheEvent) -> None:
    try:
        registration.hook(event)
    except Exception as error:  # noqa: BLE001 - a hook is a bystander: whatever it raises, the call goes on
        if not registration.complained:
            registration.complained = True
            _logger.warning(
                "hook %s raised %s on %r; it is still called, further failures of it are not logged",
                _name(registration.hook),
                type(error).__qualname__,
                event.kind,
            )


def _check(hook: Hook) -> None:
    if not callable(hook):
        raise InputError(
            f"a hook is called with each event; {type(hook).__qualname__} cannot be called; give a function"
        )
    for function in (hook, getattr(hook, "__call__", None)):  # noqa: B004 - an instance may have an async __call__
        if inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function):
            raise InputError(
                f"hook {_name(hook)} is async, and hooks are called inside sync calls too; "
                "give a plain function that hands the event on, for instance to a queue"
            )


def _checked_kinds(kinds: Iterable[str]) -> frozenset[str]:
    if isinstance(kinds, str):
        raise InputError(f"kinds is a collection, not the text {kinds!r}; type kinds=({kinds!r},)")
    chosen = frozenset(kinds)
    for unknown in sorted(chosen - EVENT_KINDS):
        raise InputError(f"unknown event kind {unknown!r}; {did_you_mean(unknown, EVENT_KINDS)}")
    return chosen


def _name(hook: object) -> str:
    return getattr(hook, "__qualname__", None) or type(hook).__qualname__
