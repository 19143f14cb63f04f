"""What a usage log is read as, which calls are expected next, and the file that suggests them."""

import math
from pathlib import Path

import numpy as np
import pytest

from apicache import UnifiedAPICache
from apicache.clock import ManualClock
from apicache.errors import InputError
from apicache.usage.log import UsageLog
from apicache.usage.usage import Event
from apicache_scenarios.format.entries import UsageSource
from apicache_scenarios.format.loading import load_scenarios
from apicache_scenarios.prediction.history import Call, History, Uses, read_history, refuse_empty
from apicache_scenarios.prediction.markov import expected_next, learn, tells_more
from apicache_scenarios.prediction.popularity import Constant, Decayed, Ending, choose
from apicache_scenarios.prediction.ranking import predict, rank
from apicache_scenarios.prediction.recorded import frecency, recorded_calls
from apicache_scenarios.prediction.suggestion import suggestion

NOW = 1_700_000_000.0
HOUR = 3600.0
DAY = 86_400.0


def loaded(name: str, at: float, *, seconds=1.0, cost=0.01, ttl=7 * DAY, **parameters) -> list[Event]:
    key = name.encode().ljust(32)
    recorded = {"prompt": name, **parameters}
    return [
        Event(at=at, kind="miss", operation="completion", key=key, seconds=seconds, cost=cost),
        Event(
            at=at,
            kind="stored",
            operation="completion",
            key=key,
            ttl=ttl,
            seconds=seconds,
            cost=cost,
            recorded=recorded,
        ),
    ]


def hit(name: str, at: float, ttl: float = 7 * DAY) -> Event:
    return Event(
        at=at, kind="hit", operation="completion", key=name.encode().ljust(32), ttl=ttl, seconds=1.0, cost=0.01
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "usage.db"


@pytest.fixture
def write(path):
    def write(*events):
        flat = [event for each in events for event in (each if isinstance(each, list) else [each])]
        log = UsageLog(path, clock=ManualClock(NOW))
        assert log.write(sorted(flat, key=lambda event: event.at))
        log.close()

    return write


def prompts(path, **options):
    return [params["prompt"] for _, params in recorded_calls(UsageSource(usage=path, **options), NOW)]


def history(*asked, now=NOW, **facts) -> History:
    """Of (name, seconds before now) pairs; `facts` are those of every call."""
    names = sorted({name for name, _ in asked})
    ordered = sorted(asked, key=lambda each: -each[1])
    at = np.array([now - ago for _, ago in ordered])
    calls = np.array([names.index(name) for name, _ in ordered])
    made = {"ttl": 7 * DAY, "seconds": 1.0, "cost": 0.01, "loaded_at": 0.0, **facts}
    known = tuple(
        Call(
            operation="completion",
            parameters={"prompt": name},
            uses=sum(each == name for each, _ in asked),
            used_at=now - min(ago for each, ago in asked if each == name),
            **made,
        )
        for name in names
    )
    return History(known, Uses(at, calls, len(names)), 0)


def test_calls_come_by_count_by_frecency_and_by_prediction(path, write):
    write(
        loaded("old", NOW - 10 * DAY),
        [hit("old", NOW - 9 * DAY + number) for number in range(9)],
        loaded("new", NOW - 2 * HOUR),
        [hit("new", NOW - HOUR + number) for number in range(4)],
        loaded("once", NOW - DAY),
    )
    assert prompts(path, by="count") == ["old", "new", "once"]
    assert prompts(path, by="frecency") == ["new", "once", "old"]
    assert prompts(path, by="predicted")[0] == "new"
    assert prompts(path, by="count", top=1) == ["old"]
    assert prompts(path, by="count", since=2 * DAY) == ["new", "once"]
    assert prompts(path, by="count", min_hits=2) == ["old", "new"]


def test_frecency_goes_by_the_times_of_all_uses_not_of_the_last_alone(path, write):
    write(
        loaded("revived", NOW - 20 * DAY),
        [hit("revived", NOW - 20 * DAY + number) for number in range(1, 9)],
        hit("revived", NOW - HOUR),
        loaded("steady", NOW - 3 * HOUR),
        [hit("steady", NOW - 2 * HOUR + number) for number in range(3)],
    )
    assert prompts(path, by="count") == ["revived", "steady"]
    assert prompts(path, by="frecency") == ["steady", "revived"]


def test_uses_that_the_trace_no_longer_has_are_dated_with_its_begin():
    known = history(("a", 2 * DAY), ("b", 0))
    more = History((known.calls[0], Call(**{**struct(known.calls[1]), "uses": 5})), known.uses, 0)
    assert frecency(more, NOW).tolist() == pytest.approx([0.25, 1 + 4 * 0.25])


def struct(call):
    return {name: getattr(call, name) for name in call.__struct_fields__}


def test_calls_with_a_redacted_parameter_or_none_recorded_are_never_suggested(path, write):
    write(
        loaded("whole", NOW - 1),
        loaded("secret", NOW - 1, api_key="sk-planted-0123456789"),
        Event(at=NOW, kind="stored", operation="completion", key=b"k" * 32, ttl=1.0),
    )
    log = UsageLog(path)
    found = read_history(log)
    log.close()
    assert ([call.parameters for call in found.calls], found.incomplete) == ([{"prompt": "whole"}], 2)
    assert len(found.uses.at) == 1


def test_a_log_without_parameters_says_what_to_add(path, write):
    write(Event(at=NOW, kind="stored", operation="completion", key=b"k" * 32, ttl=1.0))
    log = UsageLog(path)
    with pytest.raises(InputError, match="add record=True to the operations"):
        refuse_empty(read_history(log), "usage.db")
    log.close()
    with pytest.raises(InputError, match="holds no calls of that time"):
        refuse_empty(History((), Uses(np.array([]), np.array([], dtype=int), 0), 0), "usage.db")


def test_what_a_call_takes_is_what_was_known_then():
    calls = history(("a", 2 * DAY), ("b", DAY), ("c", 1)).calls
    told = [
        Call(**{**struct(call), "cost": cost, "loaded_at": NOW - ago})
        for call, cost, ago in zip(calls, (0.5, 0.25, 9.0), (2 * DAY, DAY, 1), strict=True)
    ]
    known = History(tuple(told), history(("a", 2 * DAY), ("b", DAY), ("c", 1)).uses, 0)
    assert known.facts_at(NOW).cost.tolist() == [0.5, 0.25, 9.0]
    assert known.facts_at(NOW - 2).cost.tolist() == [0.5, 0.25, 0.375]
    assert known.facts_at(NOW - 1.5 * DAY).cost.tolist() == [0.5, 0.5, 0.5]
    assert known.facts_at(0.0).cost.tolist() == [0.0, 0.0, 0.0]
    assert known.facts_at(0.0).ttl.tolist() == [math.inf] * 3


def test_models_give_requests_a_second():
    steady = history(*[("a", number * HOUR) for number in range(1, 101)], *[("b", 100 * HOUR)]).uses
    for model in (Constant(), Decayed(10 * HOUR), Ending(0.1 / DAY, HOUR)):
        assert model.rates(steady, NOW)[0] == pytest.approx(1 / HOUR, rel=0.12)
        assert 0 <= model.rates(steady, NOW)[1] < 0.2 / HOUR
        assert str(model)


def test_a_call_that_is_missed_for_longer_than_it_ever_was_has_ended():
    uses = history(
        *[("gone", DAY + number * HOUR) for number in range(48)], *[("rare", DAY * number) for number in range(1, 4)]
    ).uses
    gone, rare = Ending(0.1 / DAY, HOUR).rates(uses, NOW)
    assert gone * DAY < 0.01
    assert rare * DAY == pytest.approx(1, rel=0.6)


def test_the_model_is_chosen_on_the_days_before_and_never_looks_further():
    chance = np.random.default_rng(1)
    at = np.sort(chance.random(20_000)) * 6 * DAY
    fleeting = Uses(at, (at // DAY * 20 + chance.integers(0, 20, len(at))).astype(int), 200)
    lasting = Uses(at, chance.integers(0, 200, len(at)) ** 2 // 200, 200)
    assert choose(lasting, 5 * DAY, DAY, 20) == choose(lasting.between(0, 5 * DAY), 5 * DAY, DAY, 20)
    assert choose(fleeting, 5.5 * DAY, DAY, 20) != Constant()
    assert choose(lasting.between(0, DAY / 2), DAY / 2, DAY, 20) == Decayed(DAY)  # nothing to try it on
    assert choose(Uses(at[:0], fleeting.calls[:0], 200), 0.0, DAY, 20) == Decayed(DAY)


def test_what_follows_a_call_is_learned_within_sessions():
    chain = [(name, 10_000 - place * 10) for place, name in enumerate("abcabcabcabc")]
    uses = history(*chain, ("d", 5_000), ("d", 10)).uses
    model = learn(uses, gap=300)
    after_a, after_d = model.after(0), model.after(3)
    assert after_a[1] > 0.7
    assert after_a.sum() == pytest.approx(1)
    assert after_d.tolist() == model.shares.tolist()  # a new session followed, if anything
    assert (after_a > 0).all()


def test_the_next_call_of_a_running_session_gains_and_an_ended_one_tells_nothing():
    chain = history(*[(name, 1 + 10 * place) for place, name in enumerate("cba" * 30 + "c")]).uses
    following = expected_next(chain, NOW)
    assert following is not None
    assert int(np.argmax(following)) == 0
    assert expected_next(chain, NOW + HOUR) is None
    assert expected_next(Uses(chain.at[:0], chain.calls[:0], 3), NOW) is None


def test_where_requests_follow_no_order_the_model_of_the_next_is_not_used():
    chance = np.random.default_rng(4)
    at = np.arange(3_000, dtype=float)
    assert not tells_more(Uses(at, chance.integers(0, 300, 3_000), 300))
    assert tells_more(Uses(at, np.arange(3_000) % 300, 300))


def test_dear_and_slow_calls_rank_before_equally_likely_ones_by_saving_over_price():
    asked = [(name, ago * HOUR) for name in "abc" for ago in range(1, 30)]
    cheap, dear, free = history(*asked).calls
    calls = (
        Call(**{**struct(cheap), "cost": 0.001, "seconds": 1.0}),
        Call(**{**struct(dear), "cost": 0.1, "seconds": 1.0}),
        Call(**{**struct(free), "cost": 0.001, "seconds": 20.0}),
    )
    ranked = rank(History(calls, history(*asked).uses, 0), NOW, usd_per_second=0.001).calls
    assert [each.call.parameters["prompt"] for each in ranked] == ["c", "a", "b"]
    assert ranked[0].saving_usd == pytest.approx(0.021, rel=0.01)
    assert ranked[0].price_usd == 0.001
    by_cost = rank(History(calls, history(*asked).uses, 0), NOW, usd_per_second=0).calls
    assert by_cost[0].call.parameters["prompt"] == "b"


def test_an_entry_that_ends_soon_is_less_likely_to_be_hit():
    asked = [("a", ago * HOUR) for ago in range(1, 30)]
    long, short = (predict(history(*asked, ttl=ttl), NOW) for ttl in (DAY, HOUR / 10))
    assert long.probability[0] > 0.99
    assert short.probability[0] == pytest.approx(0.1, rel=0.3)


def test_without_costs_and_times_calls_rank_by_probability():
    asked = [("a", 2 * HOUR), *[("b", ago * HOUR) for ago in range(1, 30)]]
    ranked = rank(history(*asked, cost=0.0, seconds=0.0), NOW).calls
    assert [each.call.parameters["prompt"] for each in ranked] == ["b", "a"]


def suggested(tmp_path, ranking):
    file = tmp_path / "suggested.yaml"
    made = suggestion(ranking, now=NOW, horizon=DAY, source="usage.db")
    file.write_text(made.text, encoding="utf-8")
    cache = UnifiedAPICache.create()

    @cache.operation("completion")
    def completion(prompt: str, options: dict | None = None) -> str:
        return prompt

    return made, load_scenarios([file], cache.operations)


TEXTS = [
    "plain",
    "two\nlines, a 'quote', a \"double\", #no comment: {x}",
    "\u00e9\U0001f600\u2028\u0085\x7f\x00\ufeff",
    "yes",
    "1e5",
    "",
    "- a\n- b\t",
]


def test_a_suggested_file_loads_back_as_the_calls_that_it_was_made_of(tmp_path):
    asked = [(text, HOUR) for text in TEXTS]
    made, cases = suggested(tmp_path, rank(history(*asked), NOW))
    assert {case.params["prompt"] for case in cases} == set(TEXTS)
    assert (made.written, made.left_out) == (len(TEXTS), 0)
    assert "1 use, the last 2023-11-14 21:13 UTC" in made.text
    assert "expected to save $0.0" in made.text


def test_what_would_be_read_as_something_else_is_left_out(tmp_path):
    known = history(("${{ env.HOME }}", HOUR), ("fine", HOUR))
    made, cases = suggested(tmp_path, rank(known, NOW))
    assert [case.params["prompt"] for case in cases] == ["fine"]
    assert (made.written, made.left_out) == (1, 1)
    assert "env.HOME" not in made.text


@pytest.mark.parametrize("value", [1, 1.5, 1e22, -1e-7, True, None, [1, {"a": []}], {"b": {"c": None}}])
def test_values_keep_their_types(tmp_path, value):
    first = history(("x", HOUR)).calls[0]
    call = Call(**{**struct(first), "parameters": {"prompt": "x", "options": {"value": value}}})
    made, cases = suggested(tmp_path, rank(History((call,), history(("x", HOUR)).uses, 0), NOW))
    assert made.written + made.left_out == 1
    if made.written:
        assert repr(cases[0].params["options"]) == repr({"value": value})


def test_predicted_is_a_ranking_of_scenario_files(tmp_path, path, write):
    write(loaded("a", NOW - HOUR), loaded("b", NOW - 2 * HOUR))
    file = tmp_path / "scenarios.yaml"
    file.write_text(f"- from: {{usage: {path}, by: predicted, horizon: 12h, usd_per_second: 0.01, top: 5}}\n")
    cache = UnifiedAPICache.create()
    cache.operation("completion")(lambda prompt: prompt)
    assert {case.params["prompt"] for case in load_scenarios([file], cache.operations)} == {"a", "b"}
