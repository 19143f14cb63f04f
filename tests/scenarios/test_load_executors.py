"""Load shapes, on a loop whose time passes when nothing is left to do."""

import asyncio
import itertools
import selectors
from pathlib import Path

import numpy as np
import pytest

from apicache import InputError
from apicache_scenarios.format.model import Keys, Stage
from apicache_scenarios.load import executors
from apicache_scenarios.load.arms import Arm
from apicache_scenarios.load.arrivals import rising
from apicache_scenarios.load.executors import (
    Part,
    Shape,
    constant_arrival_rate,
    constant_vus,
    executor,
    executor_names,
    ramping_arrival_rate,
)
from apicache_scenarios.load.plan import ArmPlan, Leg, RunPlan, turns
from apicache_scenarios.load.recorder import UNFINISHED, Recorder
from apicache_scenarios.load.session import GRACE_SECONDS, Session


class Skipping(selectors.DefaultSelector):
    """Does not wait: what would have been waited has passed."""

    passed = 0.0

    def select(self, timeout=None):
        self.passed += timeout or 0.0
        return super().select(0)


@pytest.fixture
def loop():
    selector = Skipping()
    loop = asyncio.SelectorEventLoop(selector)
    loop.time = lambda: selector.passed
    yield loop
    loop.close()


@pytest.fixture
def now(loop):
    return lambda: round(loop.time() * 1e9)


class Server(Arm):
    """Answers after a millisecond, but nothing while it is frozen."""

    uses_cache = False

    def __init__(self, now, service=0.001, frozen=(0.0, 0.0)):
        super().__init__("server", ["ask"] * 10)
        self._now, self._service, self._frozen = now, service, frozen
        self.in_flight = self.most = 0
        self.sent = []

    async def call(self, key):
        sent = self._now()
        self.sent.append((sent, key))
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        begin, end = self._frozen
        if begin <= sent / 1e9 < end:
            await asyncio.sleep(end - sent / 1e9)
        await asyncio.sleep(self._service)
        self.in_flight -= 1
        return sent, self._now(), "miss"


def stage(name, **settings):
    return Stage(executor=name, **{"duration": 1.0} | settings)


def run(loop, now, server, stage, part=None, **shape):
    """Run a stage whole; gives its recorder."""
    created = executor(Shape(stage=stage, **shape))
    due = created.arrivals()
    if part is None:
        part = Part(keys=[0] * len(due), due=due.tolist())
    recorder = Recorder(server, is_open=due is not None, now=now)
    loop.run_until_complete(created.run(part, recorder))
    return recorder


def latency(recorder):
    (series,) = recorder.series()
    from apicache_scenarios.load.recording import Histogram

    return Histogram.decoded(series.latency), Histogram.decoded(series.service_time or series.latency)


def test_the_executors_are_the_files_of_their_folder():
    files = [file.stem for file in Path(executors.__file__).parent.glob("*.py") if file.stem != "__init__"]
    assert executor_names() == sorted(name.replace("_", "-") for name in files)
    modules = (constant_arrival_rate, constant_vus, ramping_arrival_rate)
    assert sorted(files) == sorted(module.__name__.rpartition(".")[2] for module in modules)


def test_an_unknown_executor_is_refused_with_the_known_names():
    with pytest.raises(InputError, match=r"unknown executor 'constant-vu'; did you mean 'constant-vus'"):
        executor(Shape(stage=stage("constant-vu")))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (stage("constant-arrival-rate"), "needs a rate, such as rate: 200/s"),
        (stage("ramping-arrival-rate"), "needs a target, such as target: 200/s"),
    ],
)
def test_a_stage_that_lacks_what_its_executor_needs_is_refused(given, message):
    with pytest.raises(InputError, match=message):
        executor(Shape(stage=given))


def test_a_constant_rate_is_evenly_spaced():
    due = executor(Shape(stage=stage("constant-arrival-rate", rate=100.0, duration=30.0))).arrivals()
    assert len(due) == 3000
    assert due[0] == 0
    assert np.diff(due).tolist() == pytest.approx([10_000_000] * 2999, abs=1)


@pytest.mark.parametrize(("start", "end"), [(0.0, 200.0), (200.0, 0.0), (50.0, 150.0), (100.0, 100.000001)])
def test_a_ramps_arrivals_have_the_area_under_its_rate_before_them(start, end):
    seconds = 10.0
    due = rising(start, end, seconds) / 1e9
    assert len(due) == pytest.approx((start + end) / 2 * seconds, abs=1)
    area = start * due + (end - start) * due**2 / (2 * seconds)
    assert area.tolist() == pytest.approx(range(len(due)), abs=1e-4)
    assert all(np.diff(due) > 0)


def test_a_ramp_begins_where_the_stage_before_ended():
    shape = Shape(stage=stage("ramping-arrival-rate", target=100.0, duration=10.0), start_rate=100.0)
    assert executor(shape).arrivals().tolist() == rising(100.0, 100.0, 10.0).tolist()


def test_an_open_loop_sends_each_request_when_it_is_due(loop, now):
    server = Server(now, service=5.0)
    recorder = run(loop, now, server, stage("constant-arrival-rate", rate=10.0, duration=2.0))
    assert [sent for sent, _ in server.sent] == pytest.approx([number * 100_000_000 for number in range(20)], abs=10)
    assert server.most == 20
    assert (recorder.requests, recorder.dropped) == (20, 0)
    assert recorder.lag().summary().max_ms < 0.001


def test_what_is_due_while_too_many_are_in_flight_is_dropped_and_counted(loop, now):
    server = Server(now, service=1.05)
    recorder = run(loop, now, server, stage("constant-arrival-rate", rate=10.0, duration=3.0, max_in_flight=5))
    assert server.most == 5
    # Five are sent, then none until the first is answered after 1.05 s, and so on.
    assert recorder.dropped == 15
    assert recorder.requests == 15


def test_latency_counts_from_when_a_request_was_due_and_service_time_from_its_send(loop, now):
    frozen = Server(now, frozen=(0.5, 1.0))
    latencies, services = latency(run(loop, now, frozen, stage("constant-arrival-rate", rate=10.0, duration=1.0)))
    assert latencies.summary().max_ms == pytest.approx(501, rel=0.01)
    assert services.summary().max_ms == pytest.approx(501, rel=0.01)


def test_a_late_send_counts_as_latency_and_as_lag(loop, now):
    recorder = Recorder(Server(now), is_open=True, now=now)

    async def late():
        await asyncio.sleep(0.25)
        await recorder.issue_due(0, 0)

    loop.run_until_complete(late())
    latencies, services = latency(recorder)
    assert latencies.summary().max_ms == pytest.approx(251, rel=0.01)
    assert services.summary().max_ms == pytest.approx(1, rel=0.01)
    assert recorder.lag().summary().max_ms == pytest.approx(250, rel=0.01)


def test_an_open_loop_sees_the_whole_of_a_stall(loop, now):
    """The coordinated-omission oracle: 100/s for 30 s, 1 ms service, the server frozen from 10 to 13 s."""
    server = Server(now, frozen=(10.0, 13.0))
    recorder = run(loop, now, server, stage("constant-arrival-rate", rate=100.0, duration=30.0))
    summary = latency(recorder)[0].summary()
    assert summary.count == 3000
    assert summary.p50_ms == pytest.approx(1, rel=0.01)
    assert summary.p95_ms == pytest.approx(1502, rel=0.01)
    assert summary.p99_ms == pytest.approx(2701, rel=0.01)


def test_a_closed_loop_sees_one_slow_request_of_the_same_stall(loop, now):
    server = Server(now, frozen=(10.0, 13.0))
    part = Part(keys=itertools.repeat(0), seconds=30.0)
    summary = latency(run(loop, now, server, stage("constant-vus", vus=1), part))[0].summary()
    assert summary.p99_ms == pytest.approx(1, rel=0.01)
    assert summary.max_ms == pytest.approx(3001, rel=0.01)


@pytest.mark.parametrize("vus", [1, 3, 4])
def test_constant_vus_keeps_exactly_so_many_in_flight_and_asks_in_the_keys_order(loop, now, vus):
    server = Server(now)
    run(loop, now, server, stage("constant-vus", vus=vus), Part(keys=[number % 10 for number in range(50)]))
    assert server.most == vus
    assert [key for _, key in server.sent] == [number % 10 for number in range(50)]


def test_constant_vus_end_with_their_time_and_wait_for_their_answers(loop, now):
    server = Server(now, service=0.3)
    recorder = run(loop, now, server, stage("constant-vus", vus=2), Part(keys=itertools.repeat(0), seconds=1.0))
    assert recorder.requests == 8
    assert now() == pytest.approx(1.2e9)


def test_constant_vus_take_turns_when_no_request_ever_waits():
    order = []

    class AtOnce:
        now = staticmethod(lambda: 0)

        async def issue(self, key):
            order.append(asyncio.current_task())

    asyncio.run(executor(Shape(stage=stage("constant-vus", vus=2))).run(Part(keys=range(6)), AtOnce()))
    first, second = order[:2]
    assert first is not second
    assert order == [first, second] * 3


@pytest.mark.parametrize("total", [7, 8, 9])
def test_processes_shares_add_up(total):
    shares = [Shape(stage=stage("constant-vus"), process=process, processes=3).share(total) for process in range(3)]
    assert sum(shares) == total
    assert max(shares) - min(shares) <= 1


def test_fewer_users_than_processes_are_refused():
    with pytest.raises(InputError, match="2 vus are fewer than 3 processes"):
        executor(Shape(stage=stage("constant-vus", vus=2), process=2, processes=3))


class Silent(Server):
    """Never answers."""

    async def call(self, key):
        await asyncio.get_running_loop().create_future()


class OneArm:
    groups = ()

    def __init__(self, arm):
        self.arms = {"server": arm}


@pytest.mark.parametrize("given", [stage("constant-arrival-rate", rate=10.0), stage("constant-vus", vus=10)])
def test_what_is_never_answered_is_given_up_and_counted(loop, now, given):
    arm = ArmPlan(name="server", plan_arm="server", uses_cache=False)
    leg = Leg(stage=given, arms=("server",), rounds=1)
    plan = RunPlan(seed=1, keys=Keys(), population=10, arms=(arm,), legs=(leg,))
    (turn,) = turns(plan)
    block = loop.run_until_complete(Session(plan, OneArm(Silent(now)), now=now).run(turn))
    assert block.errors == {"": {UNFINISHED: 10}}
    assert block.series == ()
    assert GRACE_SECONDS <= block.seconds < GRACE_SECONDS + 2
