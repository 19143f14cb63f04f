"""What is asked for next: a first-order model over the trace, P(next call | call).

The trace does not tell callers apart. Where one caller's requests stand side by side the model learns what follows
what; where many are interleaved it learns nothing, and says so when it is tried on the end of the trace.
"""

from typing import Final

import msgspec
import numpy as np

from apicache_scenarios.prediction.history import Uses

SESSION_GAP: Final = 300.0
"""Seconds without any request that end a session: what comes after them follows nothing."""
_HELD_BACK: Final = 0.2


class NextCall(msgspec.Struct, frozen=True):
    """Transitions, sorted by the call that they leave, then by the one that they reach; and all calls' shares."""

    left: np.ndarray
    reached: np.ndarray
    times: np.ndarray
    shares: np.ndarray

    def after(self, call: int) -> np.ndarray:
        """P(next | call), of each call.

        Witten-Bell smoothing ("The zero-frequency problem", IEEE Transactions on Information Theory 37, 1991): what
        follows a call for the first time is as likely as new followers were so far, and distributed as all requests.
        """
        first, last = np.searchsorted(self.left, (call, call + 1))
        followers, times = self.reached[first:last], self.times[first:last]
        total, different = float(times.sum()), float(len(times))
        if not total:
            return self.shares
        probabilities = self.shares * (different / (total + different))
        probabilities[followers] += times / (total + different)
        return np.asarray(probabilities)


def learn(uses: Uses, gap: float = SESSION_GAP) -> NextCall:
    """The model of some requests, their sessions cut where nothing was asked for `gap` seconds."""
    follows = np.diff(uses.at) < gap
    pairs = uses.calls[:-1][follows] * uses.total + uses.calls[1:][follows]
    different, times = np.unique(pairs, return_counts=True)
    counts = uses.counts() + 1.0
    return NextCall(different // max(1, uses.total), different % max(1, uses.total), times, counts / counts.sum())


def tells_more(uses: Uses, gap: float = SESSION_GAP) -> bool:
    """Whether the model, learned from the first four fifths, foretells the rest better than the calls' shares alone.

    Compared is the mean logarithm of the probability of what came, at up to a thousand places.
    """
    cut = int(len(uses.at) * (1 - _HELD_BACK))
    past, rest = Uses(uses.at[:cut], uses.calls[:cut], uses.total), Uses(uses.at[cut:], uses.calls[cut:], uses.total)
    places = np.flatnonzero(np.diff(rest.at) < gap)[:1000]
    if not len(places) or not cut:
        return False
    model = learn(past, gap)
    gained = sum(
        float(np.log(model.after(int(rest.calls[place]))[rest.calls[place + 1]]))
        - float(np.log(model.shares[rest.calls[place + 1]]))
        for place in places
    )
    return gained > 0


def expected_next(uses: Uses, moment: float, gap: float = SESSION_GAP) -> np.ndarray | None:
    """P(next) of each call for the session that goes on at `moment`; None without one, or where nothing is learned."""
    if not len(uses.at) or moment - float(uses.at[-1]) >= gap or not tells_more(uses, gap):
        return None
    return learn(uses, gap).after(int(uses.calls[-1]))
