"""The embedded upstream: a real HTTP server on loopback, in a process of its own, that answers as the real APIs do.

`with running_upstream() as upstream:` starts it; `python -m apicache_scenarios.upstream --help` runs it by hand.
"""

from apicache_scenarios.upstream.latency import DEFAULT_MEAN_MS, DEFAULT_SIGMA
from apicache_scenarios.upstream.process import Served, Upstream, UpstreamError, running_upstream

__all__ = ["DEFAULT_MEAN_MS", "DEFAULT_SIGMA", "Served", "Upstream", "UpstreamError", "running_upstream"]
