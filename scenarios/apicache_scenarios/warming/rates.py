"""How fast a provider is asked: its declared rate, lowered where it says that this is too much.

Additive increase, multiplicative decrease (Chiu and Jain, "Analysis of the increase and decrease algorithms for
congestion avoidance in computer networks", 1989): each refusal halves the rate, each second without one gives a tenth
of the highest back.
"""

import asyncio
import math
from typing import Final

_DECREASE: Final = 0.5
_INCREASE: Final = 0.1
"""Of the highest rate, a second."""
_SLOWEST: Final = 1 / 60
"""Calls a second that are left at least."""
_MEASURED: Final = 5.0
"""Seconds over which the rate of a provider without a declared one is measured."""


class AdaptiveRate:
    """The turns of one provider's calls, on one event loop.

    `highest` is in calls a second; None for a provider that none is declared for: it is asked as fast as it answers,
    until it refuses the first time.
    """

    def __init__(self, highest: float | None) -> None:
        self._highest = highest
        self.rate = math.inf if highest is None else highest
        """Calls a second now."""
        self.refusals = 0
        self._next_turn = 0.0
        self._changed = 0.0
        self._sent: list[float] = []

    async def turn(self) -> None:
        """Wait until the next call may be made."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        self._recover(now)
        at = max(now, self._next_turn)
        if math.isfinite(self.rate):
            self._next_turn = at + 1 / self.rate
        else:
            self._note_sent(now)
        if at > now:
            await asyncio.sleep(at - now)

    def refused(self, retry_after: float | None) -> None:
        """The provider said that this was too much; `retry_after`, in seconds, is when it may be asked again."""
        now = asyncio.get_running_loop().time()
        self.refusals += 1
        if self._highest is None:
            self._highest = max(_SLOWEST, len(self._sent) / _MEASURED)
            self.rate = self._highest
        if now - self._changed >= 1 or self.refusals == 1:  # a burst of refusals answers one rate, not many
            self.rate = max(_SLOWEST, self.rate * _DECREASE)
            self._changed = now
        self._next_turn = max(self._next_turn, now + (retry_after or 1 / self.rate))

    def _recover(self, now: float) -> None:
        if self._highest is None or self.rate >= self._highest or now < self._next_turn:
            return
        gained = (now - self._changed) * _INCREASE * self._highest
        if now - self._changed >= 1:
            self.rate = min(self._highest, self.rate + gained)
            self._changed = now

    def _note_sent(self, now: float) -> None:
        self._sent.append(now)
        while self._sent[0] < now - _MEASURED:
            del self._sent[0]
