"""What a run's turns are to send: blocks, thinning, processes' shares."""

import pytest

from apicache_scenarios.format.model import Keys, Stage
from apicache_scenarios.load.parts import Parts, thinned_to
from apicache_scenarios.load.plan import ArmPlan, Leg, RunPlan, turns
from apicache_scenarios.load.workload import Share

CACHED = ArmPlan(name="cached", plan_arm="cached", uses_cache=True)
DIRECT = ArmPlan(name="direct", plan_arm="direct", uses_cache=False)
BOTH = ("cached", "direct")
OPEN = Stage(executor="constant-arrival-rate", rate=100.0, duration=10.0)
CLOSED = Stage(executor="constant-vus", vus=4, duration=10.0)


def plan(*legs, arms=(CACHED, DIRECT), seed=1, population=50):
    return RunPlan(seed=seed, keys=Keys(), population=population, arms=arms, legs=legs)


def parts_of(plan, share=Share()):  # noqa: B008 - a value
    parts = Parts(plan, (), share)
    return [(turn, parts.part(turn)) for turn in turns(plan)]


def keys_of(taken, arm):
    return [key for turn, part in taken if turn.arm == arm for key in part.keys]


def test_the_arms_take_turns():
    order = [turn.arm for turn in turns(plan(Leg(stage=OPEN, arms=BOTH, rounds=4)))]
    assert order == ["cached", "direct", "direct", "cached", "cached", "direct", "direct", "cached"]


def test_three_arms_run_forwards_and_backwards():
    order = [turn.arm for turn in turns(plan(Leg(stage=OPEN, arms=("a", "b", "c"), rounds=2)))]
    assert order == ["a", "b", "c", "c", "b", "a"]


def test_every_arm_asks_for_the_same_keys():
    taken = parts_of(plan(Leg(stage=CLOSED, requests=95, arms=BOTH)))
    assert keys_of(taken, "cached") == keys_of(taken, "direct")
    assert len(keys_of(taken, "cached")) == 95


def test_the_blocks_of_a_stage_are_its_arrivals_cut():
    taken = parts_of(plan(Leg(stage=OPEN, arms=BOTH, rounds=4)))
    cached = [part for turn, part in taken if turn.arm == "cached"]
    assert [len(part.due) for part in cached] == [250] * 4
    assert all(0 <= part.due[0] < 10_000_000 and part.due[-1] < 2.5e9 for part in cached)
    assert all(len(part.keys) == len(part.due) for part in cached)


def test_a_leg_that_replays_asks_for_the_first_keys_again():
    leg = Leg(stage=CLOSED, requests=30, arms=("cached",), rounds=3)
    again = Leg(stage=CLOSED, requests=30, arms=("cached",), rounds=2, replays=True)
    keys = keys_of(parts_of(plan(leg, again)), "cached")
    assert keys[:30] == keys[30:]


def test_a_leg_that_does_not_goes_on():
    leg = Leg(stage=CLOSED, requests=30, arms=("cached",), rounds=3)
    keys = keys_of(parts_of(plan(leg, leg)), "cached")
    assert keys[:30] != keys[30:]


@pytest.mark.parametrize("stage", [OPEN, CLOSED])
def test_max_calls_thins_an_arm_past_the_cache_evenly_over_all_blocks(stage):
    requests = None if stage is OPEN else 1000
    arms = (CACHED, ArmPlan(name="direct", plan_arm="direct", uses_cache=False, max_calls=100))
    given = plan(Leg(stage=stage, requests=requests, arms=BOTH), arms=arms)
    taken = parts_of(given)
    assert thinned_to(given, arms[1]) == 0.1
    assert [len(part.keys) for turn, part in taken if turn.arm == "direct"] == [10] * 10
    assert len(keys_of(taken, "cached")) == 1000


def test_max_calls_bounds_each_block_that_time_ends():
    arms = (CACHED, ArmPlan(name="direct", plan_arm="direct", uses_cache=False, max_calls=50))
    taken = parts_of(plan(Leg(stage=CLOSED, arms=("direct",), rounds=5), arms=arms))
    assert [len(list(part.keys)) for _, part in taken] == [10] * 5
    assert all(part.seconds == 2.0 for _, part in taken)


@pytest.mark.parametrize("stage", [OPEN, CLOSED])
def test_the_processes_parts_are_the_whole(stage):
    leg = Leg(stage=stage, requests=None if stage is OPEN else 1000, arms=BOTH)
    arms = (CACHED, ArmPlan(name="direct", plan_arm="direct", uses_cache=False, max_calls=101))
    whole = parts_of(plan(leg, arms=arms))
    shares = [parts_of(plan(leg, arms=arms), Share(process, 3)) for process in range(3)]
    for number, (_, part) in enumerate(whole):
        own = [share[number][1] for share in shares]
        pairs = [pair for each in own for pair in zip(each.due or each.keys, each.keys, strict=True)]
        assert sorted(pairs) == sorted(zip(part.due or part.keys, part.keys, strict=True))
