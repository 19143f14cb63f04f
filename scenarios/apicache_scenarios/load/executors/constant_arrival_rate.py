"""constant-arrival-rate: requests are sent at a fixed rate, whether or not earlier ones were answered.

An open loop: what independent callers would meet.
https://grafana.com/docs/k6/latest/using-k6/scenarios/executors/constant-arrival-rate/
"""

from apicache.errors import InputError
from apicache_scenarios.load.arrivals import OpenLoop, rising
from apicache_scenarios.load.executors import Shape


def create(shape: Shape) -> OpenLoop:
    """`rate` for `duration`, evenly spaced; raises InputError without a rate."""
    rate = shape.stage.rate
    if rate is None:
        raise InputError("a constant-arrival-rate stage needs a rate, such as rate: 200/s")
    return OpenLoop(rising(rate, rate, shape.stage.duration), shape)
