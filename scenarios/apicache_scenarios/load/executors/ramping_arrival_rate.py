"""ramping-arrival-rate: the rate rises or falls evenly to a target, from the rate at which the stage before ended.

An open loop; the first stage begins at its `rate`, or at 0.
https://grafana.com/docs/k6/latest/using-k6/scenarios/executors/ramping-arrival-rate/
"""

from apicache.errors import InputError
from apicache_scenarios.load.arrivals import OpenLoop, rising
from apicache_scenarios.load.executors import Shape


def create(shape: Shape) -> OpenLoop:
    """To `target` within `duration`; raises InputError without a target."""
    stage = shape.stage
    if stage.target is None:
        raise InputError("a ramping-arrival-rate stage needs a target, such as target: 200/s")
    return OpenLoop(rising(shape.start_rate if stage.rate is None else stage.rate, stage.target, stage.duration), shape)
