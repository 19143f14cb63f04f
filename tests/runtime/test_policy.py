import datetime as dt

import pytest

from apicache.errors import InputError
from apicache.policy import DEFAULT, policy_for, seconds


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (30, 30.0),
        (0, 0.0),
        (0.5, 0.5),
        ("90s", 90.0),
        ("30m", 1800.0),
        ("30min", 1800.0),
        ("24h", 86400.0),
        ("7d", 604800.0),
        ("1h30m", 5400.0),
        (" 1h 30m ", 5400.0),
        ("250ms", 0.25),
        ("1.5h", 5400.0),
        (dt.timedelta(minutes=5), 300.0),
    ],
)
def test_durations_are_read_in_every_documented_form(given: object, expected: float) -> None:
    assert seconds(given) == expected


@pytest.mark.parametrize(
    "given", ["", "soon", "5", "5 parsecs", "-5s", "5s later", -1, float("inf"), float("nan"), None, True, [5]]
)
def test_what_is_not_a_duration_is_refused_with_an_example(given: object) -> None:
    with pytest.raises(InputError, match="duration"):
        seconds(given)


def test_the_source_documents_ttls_are_the_defaults() -> None:
    assert policy_for("embedding", {}).ttl == 24 * 3600
    assert policy_for("completion", {}).ttl == 3600
    assert policy_for("analysis", {}).ttl == 30 * 60
    assert policy_for("anything else", {}).ttl == DEFAULT.ttl == 300


def test_a_calls_option_wins_over_the_operations_and_that_over_the_default() -> None:
    operation = policy_for("completion", {"ttl": "2h", "version": "3"})
    call = operation.merged({"ttl": 5})
    assert (operation.ttl, call.ttl, call.version) == (7200.0, 5.0, "3")


def test_an_unknown_option_names_the_close_one() -> None:
    with pytest.raises(InputError, match=r"unknown policy option 'tll'; did you mean 'ttl'"):
        DEFAULT.merged({"tll": 5})


@pytest.mark.parametrize(("option", "value"), [("returns", "xml"), ("http", "ignore")])
def test_an_unknown_choice_names_the_known_ones(option: str, value: str) -> None:
    with pytest.raises(InputError, match="known: "):
        DEFAULT.merged({option: value})
