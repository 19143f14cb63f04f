"""The budget: asked before each call that may cost something, and never overdrawn by calls that are under way."""

from collections.abc import Iterator
from contextlib import contextmanager

from apicache_scenarios.format.model import Budget


class BudgetExceededError(Exception):
    """The next call could cost more than is left; `told` says of what."""

    def __init__(self, told: str) -> None:
        super().__init__(told)
        self.told = told


class Reservation:
    """What one call may cost; `cost` is set to what it did cost, in US dollars."""

    def __init__(self, ceiling: float) -> None:
        self.cost = ceiling
        self.is_made = True
        """False for a call that was not made after all: it gives its place back."""


class Spending:
    """What a run has spent, and has reserved for calls that are under way."""

    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.usd = 0.0
        self.calls = 0
        self._reserved_usd = 0.0
        self._reserved_calls = 0

    @contextmanager
    def reserved(self, ceiling: float) -> Iterator[Reservation]:
        """Hold `ceiling` US dollars and one call; on leaving, what the call did cost is spent, the rest is given back.

        Raises BudgetExceededError when that is not left.
        """
        self._check(ceiling)
        self._reserved_usd += ceiling
        self._reserved_calls += 1
        reservation = Reservation(ceiling)
        try:
            yield reservation
        finally:
            self._reserved_usd -= ceiling
            self._reserved_calls -= 1
            if reservation.is_made:
                self.usd += reservation.cost
                self.calls += 1

    def _check(self, ceiling: float) -> None:
        budget = self._budget
        if budget.calls is not None and self.calls + self._reserved_calls + 1 > budget.calls:
            raise BudgetExceededError(f"the budget of {budget.calls:,} calls is used up")
        held = self.usd + self._reserved_usd
        if budget.usd is not None and held + ceiling > budget.usd:
            raise BudgetExceededError(
                f"the budget of ${budget.usd:,.4f} would not cover a further call of up to ${ceiling:,.4f}: "
                f"${self.usd:,.4f} are spent, ${self._reserved_usd:,.4f} held by calls under way"
            )
