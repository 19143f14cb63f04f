"""What a cache consists of, built on its first use: tiers, write queue, leases, counters, threads."""

import concurrent.futures
import contextvars
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

import msgspec

from apicache import forks
from apicache.clock import Clock
from apicache.hooks import CacheEvent, Hooks
from apicache.leases import Leases
from apicache.modes import Switch
from apicache.stack import TierStack
from apicache.stats import Statistics
from apicache.tier import Tier

if TYPE_CHECKING:
    from apicache.chain.asking import Providers
    from apicache.chain.senders import Sender
    from apicache.chain.settings import ProviderSettings
    from apicache.usage.feed import UsageFeed
    from apicache.writer import Writer

_log = logging.getLogger("apicache")
_REPORTS_MAX: Final = 1000
_IO_THREADS: Final = 4
_REFRESH_THREADS: Final = 8
_T = TypeVar("_T")


class Setup(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache is built from; found on its first use."""

    build_tiers: Callable[[], Sequence[Tier]]
    switch: Switch = Switch("on")
    global_options: Mapping[str, Any] = {}
    """Policy options under the code's own."""
    operation_options: Callable[[str], Mapping[str, Any]] = lambda _name: {}
    """Policy options over the code's own."""
    allow_modules: tuple[str, ...] = ()
    timeout: float = 0.25
    """Seconds that a tier may take."""
    build_usage_log: Callable[[], Any] | None = None
    providers: "ProviderSettings | None" = None
    """What is set for providers; None: nothing."""
    sender: "Sender | None" = None
    """What requests of providers are sent by; None: HTTP."""


class Built(Generic[_T]):
    """An attribute that is built on its first use, by one thread, and is an ordinary one from then on.

    `functools.cached_property` has one lock for all instances; a property would cost a call with each use.
    """

    def __init__(self, build: Callable[[Any], _T]) -> None:
        self._build = build
        self._name = ""
        self.__doc__ = build.__doc__

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, resources: "Resources", owner: type) -> _T:
        with resources.building:
            built: dict[str, _T] = vars(resources)
            if self._name not in built:
                built[self._name] = self._build(resources)
            return built[self._name]


class Resources:
    """One cache's tiers, counters and threads."""

    def __init__(self, find_setup: Callable[[], Setup], clock: Clock) -> None:
        self.clock = clock
        self.statistics = Statistics()
        self.hooks = Hooks()
        self._find_setup = find_setup
        self.usage: UsageFeed | None = None
        self._reported: set[tuple[str, str]] = set()
        self.building = threading.RLock()
        """Held while something of it is built."""
        self._threads: concurrent.futures.ThreadPoolExecutor | None = None
        self._refreshers: concurrent.futures.ThreadPoolExecutor | None = None
        forks.on_fork(self._after_fork)

    def _after_fork(self) -> None:
        self.building = threading.RLock()
        self._threads = self._refreshers = None
        self.statistics.renew_lock()

    # What it consists of, built on first use.

    @Built
    def setup(self) -> Setup:
        """What it is built from."""
        return self._find_setup()

    @Built
    def switch(self) -> Switch:
        """Whether calls go through the cache, and for which share of the keys."""
        return self.setup.switch

    @Built
    def tiers(self) -> TierStack:
        """The tiers, and with them the usage log."""
        try:
            tiers = self.setup.build_tiers()
        except Exception as error:  # noqa: BLE001 - a folder that cannot be named must not make a call fail
            _log.warning("no tiers, nothing is cached: %s", error)
            tiers = ()
        stack = TierStack(tiers, self.clock, self._tier_failed)
        if self.setup.build_usage_log is not None:
            from apicache.usage.feed import UsageFeed  # noqa: PLC0415 - for caches that log

            self.usage = UsageFeed(self.setup.build_usage_log)
        return stack

    @Built
    def writer(self) -> "Writer":
        """The writes to the far tiers that wait."""
        from apicache.writer import Writer  # noqa: PLC0415 - 1 ms that loading apicache does not cost

        return Writer(self.tiers, self.clock, self.statistics.write_dropped)

    @Built
    def providers(self) -> "Providers":
        """What the built-in operations ask."""
        from apicache.chain.asking import Providers  # noqa: PLC0415 - for caches that call one of them
        from apicache.chain.senders import HTTPSender  # noqa: PLC0415 - as above
        from apicache.chain.settings import ProviderSettings  # noqa: PLC0415 - as above

        settings = self.setup.providers or ProviderSettings()
        return Providers(settings, self.setup.sender or HTTPSender(settings.proxy), self.clock, draw)

    def provider_counts(self) -> dict[str, Any]:
        """What each provider that was asked has done."""
        built: Providers | None = vars(self).get("providers")
        return {} if built is None else built.as_dict()

    def close_providers(self) -> None:
        """Close the connections to providers, if there are any; the next call opens others."""
        built: Providers | None = vars(self).get("providers")
        if built is not None:
            built.close()

    @Built
    def leases(self) -> Leases:
        """The leases of this process."""
        return Leases(self.tiers)

    def submit(self, work: Callable[..., Any], *args: Any) -> "concurrent.futures.Future[Any] | None":
        """Run a tier's I/O in a thread of our own: the loop's may all be taken by callers who wait for this call."""
        with self.building:
            if self._threads is None:
                self._threads = concurrent.futures.ThreadPoolExecutor(_IO_THREADS, thread_name_prefix="apicache")
        try:
            return self._threads.submit(work, *args)
        except RuntimeError:  # the interpreter is ending and takes no more work
            return None

    def submit_refresh(self, work: Callable[..., Any], *args: Any) -> None:
        """Run a sync load that nobody waits for, with the caller's context variables."""
        with self.building:
            if self._refreshers is None:
                self._refreshers = concurrent.futures.ThreadPoolExecutor(
                    _REFRESH_THREADS, thread_name_prefix="apicache-refresh"
                )
        try:
            self._refreshers.submit(contextvars.copy_context().run, work, *args)
        except RuntimeError:  # as above
            return

    def report_once(self, label: str, what: str) -> None:
        """Log something of an operation, the first time."""
        report = (label, what)
        if report not in self._reported and len(self._reported) < _REPORTS_MAX:
            self._reported.add(report)
            _log.warning("%s %s", label, what)

    def _tier_failed(self, tier: str) -> None:
        self.statistics.tier_error(tier)
        if self.hooks:
            self.hooks.emit(CacheEvent("tier_error", "", tier=tier))


def draw() -> float:
    """A random number from 0 to 1."""
    import random  # noqa: PLC0415 - 2 ms that a cache which draws nothing does not pay

    return random.random()  # noqa: S311 - spreads refreshes and probes, guards nothing
