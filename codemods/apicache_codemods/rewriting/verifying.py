"""Proving a migration by the user's own tests: before it, after it without the cache, after it with an empty one.

Sites with which the tests fail are found by halving, and left as they were. What is written in the end is exactly what
the tests passed with.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from apicache.errors import InputError
from apicache_codemods.rewriting.suite import Phase, Suite, SuiteRun
from apicache_codemods.rewriting.transaction import Transaction
from apicache_codemods.rewriting.verdicts import Place, SiteDecision, Verdict
from apicache_codemods.rewriting.writing import FileChange

OnRun = Callable[[SuiteRun], None]
_BROKEN: Mapping[Phase, tuple[str, str]] = {
    "bypassed": ("M202", "the tests fail with this call rewritten, the cache being off"),
    "cold cache": ("M203", "cache-sensitive: the tests pass with the cache off and fail with it on"),
}


class Planned(Protocol):
    """A plan."""

    @property
    def changes(self) -> tuple[FileChange, ...]:
        """The files that change."""

    @property
    def rewritten(self) -> tuple[SiteDecision, ...]:
        """The sites that are rewritten."""


class Verification(msgspec.Struct, frozen=True):
    """Every run of the tests, and the sites that were left as they were, with the reasons."""

    runs: tuple[SuiteRun, ...]
    reverted: Mapping[Place, Verdict]


class Verifier:
    """Verifies plans: `planned` gives the plan without some sites, `run` writes it, `suite` runs the tests."""

    def __init__(
        self,
        planned: Callable[[Mapping[Place, Verdict]], Planned],
        run: Transaction,
        suite: Suite,
        on_run: OnRun | None = None,
    ) -> None:
        self._planned = planned
        self._run = run
        self._suite = suite
        self._on_run = on_run
        self._runs: list[SuiteRun] = []
        self._known: dict[tuple[Phase, frozenset[Place]], bool] = {}
        """Whether the tests passed, by what was left out."""

    def before(self) -> None:
        """Run the tests on the code as it is. Raises InputError when they fail."""
        found = self._test("before", 0)
        if not found.passed:
            said = "\n".join(found.tail)
            raise InputError(
                f"the tests fail before anything is changed ({found.ending}); nothing was written\n{said}".rstrip()
            )

    def verify(self, left_out: Mapping[Place, Verdict]) -> Verification:
        """Write the plan without `left_out` and without the sites that break the tests.

        Raises InputError when the tests fail although no site is rewritten any more: they change from run to run.
        """
        reverted = dict(left_out)
        sites = self._sites(reverted)
        while sites:
            broken = len(reverted)
            for phase in ("bypassed", "cold cache"):
                sites = self._kept(sites, phase, reverted)
            if len(reverted) == broken:
                break
            sites = self._sites(reverted)
        else:
            self._run.put(())
        return Verification(tuple(self._runs), {place: why for place, why in reverted.items() if place not in left_out})

    def _sites(self, left_out: Mapping[Place, Verdict]) -> list[Place]:
        return [site.place for site in self._planned(left_out).rewritten]

    def _kept(self, sites: Sequence[Place], phase: Phase, reverted: dict[Place, Verdict]) -> list[Place]:
        """The sites with which, all together, the tests pass; the others go to `reverted`."""
        good: list[Place] = []

        def grow(candidates: Sequence[Place], *, failed: bool) -> None:
            if not candidates:
                return
            if not failed and self._passes([*good, *candidates], sites, phase, reverted):
                good.extend(candidates)
            elif len(candidates) == 1:
                reverted[candidates[0]] = Verdict(_BROKEN[phase][0], "never", _BROKEN[phase][1])
            else:
                middle = len(candidates) // 2
                grow(candidates[:middle], failed=False)
                grow(candidates[middle:], failed=False)

        if self._passes(sites, sites, phase, reverted):
            return list(sites)
        grow(sites, failed=True)
        if not good and not self._passes((), sites, phase, reverted):
            raise InputError(
                f"the tests passed before and now fail with no call rewritten ({self._runs[-1].ending}): they change "
                "from run to run; nothing was written"
            )
        return good

    def _passes(
        self, kept: Sequence[Place], sites: Sequence[Place], phase: Phase, reverted: Mapping[Place, Verdict]
    ) -> bool:
        aside = Verdict("M202", "never", "set aside while the tests run")
        left_out = {**{place: aside for place in sites if place not in kept}, **reverted}
        planned = self._planned(left_out)
        self._run.put(planned.changes)
        known = (phase, frozenset(left_out))
        if known not in self._known:
            self._known[known] = self._test(phase, len(planned.rewritten)).passed
        return self._known[known]

    def _test(self, phase: Phase, sites: int) -> SuiteRun:
        found = self._suite.run(phase, sites)
        self._runs.append(found)
        if self._on_run is not None:
            self._on_run(found)
        return found
