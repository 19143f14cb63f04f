"""How long the embedded upstream takes to answer.

The source document states one figure about its upstream, a mean of 101.79 ms, and no shape. Times of remote calls are
positive and skewed to the right, so the shape is log-normal with that mean. Its sigma of 0.25 puts the median at
98.7 ms, p95 at 149 ms and p99 at 176 ms.
"""

import math
import random

DEFAULT_MEAN_MS = 101.79
DEFAULT_SIGMA = 0.25


class LatencySource:
    """Seeded draws from a log-normal distribution; one draw per request, in order of arrival."""

    def __init__(self, mean_ms: float, *, sigma: float = DEFAULT_SIGMA, seed: int = 0) -> None:
        self.mean_ms = mean_ms
        self._sigma = sigma
        self._random = random.Random(seed)  # noqa: S311 - a repeatable sequence is the purpose, nothing is secret

    def draw(self) -> float:
        """The next latency in seconds; a mean of 0 ms always gives 0."""
        if self.mean_ms <= 0:
            return 0.0
        # The mean of a log-normal is exp(mu + sigma^2 / 2), hence the mu that gives the wanted mean.
        mu = math.log(self.mean_ms / 1000) - self._sigma**2 / 2
        return self._random.lognormvariate(mu, self._sigma)
