import datetime as dt
import hashlib
import math

import pytest

from apicache.errors import InputError, LoadTimeoutError
from apicache.modes import MODES, Switch
from apicache.policy import DEFAULT, OPTIONS, Policy, PolicyOptions, policy_for, seconds
from apicache.presets import PRESETS


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


def test_no_options_change_nothing() -> None:
    assert DEFAULT.merged({}) is DEFAULT


def test_every_field_is_an_option_that_is_checked() -> None:
    assert {*Policy.__struct_fields__, "preset"} == OPTIONS == PolicyOptions.__annotations__.keys()


def test_an_unknown_option_names_the_close_one() -> None:
    with pytest.raises(InputError, match=r"unknown policy option 'tll'; did you mean 'ttl'"):
        DEFAULT.merged({"tll": 5})


@pytest.mark.parametrize(("option", "value"), [("returns", "xml"), ("http", "ignore")])
def test_an_unknown_choice_names_the_known_ones(option: str, value: str) -> None:
    with pytest.raises(InputError, match="known: "):
        DEFAULT.merged({option: value})


@pytest.mark.parametrize(
    ("option", "given", "held"),
    [
        ("jitter", 1, 1.0),
        ("grace", "1h", 3600.0),
        ("stale_while_revalidate", dt.timedelta(minutes=1), 60.0),
        ("stale_if_error", None, None),
        ("stale_if_error", 0, 0.0),
        ("early_refresh", True, 1.0),
        ("early_refresh", False, 0.0),
        ("early_refresh", 2, 2.0),
        ("soft_timeout", "200ms", 0.2),
        ("hard_timeout", None, None),
        ("negative_ttl", "30s", 30.0),
        ("tags", ["a", "b"], ("a", "b")),
        ("tags", {"b", "a"}, ("a", "b")),
        ("invalidates", (), ()),
        ("scope", ["tenant", 5], ["tenant", 5]),
        ("key", "k", "k"),
        ("cost", 1, 1.0),
        ("returns", None, None),
        ("compression", False, False),
        ("tiers", ["memory"], ("memory",)),
        ("tiers", None, None),
        ("no_store", ["stream"], ("stream",)),
        ("record", True, True),
        ("mode", " Shadow ", "shadow"),
        ("mode", "25.0%", "25%"),
        ("mode", None, None),
    ],
)
def test_options_are_held_in_one_form(option: str, given: object, held: object) -> None:
    value = getattr(DEFAULT.merged({option: given}), option)
    assert value == held
    assert type(value) is type(held)


@pytest.mark.parametrize("option", ["ttl", "tags", "invalidates", "key", "no_store", "cost"])
def test_a_function_stays_a_function(option: str) -> None:
    def function(*_: object) -> str:
        return "1h"

    assert getattr(DEFAULT.merged({option: function}), option) is function


@pytest.mark.parametrize(
    ("option", "given"),
    [
        ("ttl", "soon"),
        ("ttl", None),
        ("jitter", 1.5),
        ("jitter", -0.1),
        ("jitter", True),
        ("jitter", math.nan),
        ("jitter", "10%"),
        ("grace", -1),
        ("grace", None),
        ("stale_if_error", "later"),
        ("early_refresh", -1),
        ("early_refresh", math.inf),
        ("soft_timeout", 0),
        ("hard_timeout", 0),
        ("tags", [1]),
        ("tags", 5),
        ("version", 3),
        ("namespace", None),
        ("key", 5),
        ("cost", -0.1),
        ("cost", True),
        ("compression", "no"),
        ("record", 1),
        ("tiers", [None]),
        ("mode", "onn"),
        ("mode", True),
    ],
)
def test_a_bad_value_is_refused_with_the_options_name(option: str, given: object) -> None:
    with pytest.raises(InputError, match=option):
        DEFAULT.merged({option: given})


@pytest.mark.parametrize("option", ["tags", "invalidates", "tiers", "no_store"])
def test_a_text_where_a_list_is_expected_is_not_taken_apart(option: str) -> None:
    with pytest.raises(InputError, match=rf"{option}='memory'; give a list such as \['memory'\]"):
        DEFAULT.merged({option: "memory"})


def test_stale_if_error_is_the_grace_unless_it_is_given() -> None:
    assert DEFAULT.merged({"grace": 60}).stale_if_error_seconds == 60
    assert DEFAULT.merged({"grace": 60, "stale_if_error": 0}).stale_if_error_seconds == 0


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ({}, 0),
        ({"grace": 60}, 60),
        ({"grace": 60, "stale_while_revalidate": "2m"}, 120),
        ({"grace": 60, "stale_if_error": "1h"}, 3600),
        ({"grace": 60, "stale_if_error": 0}, 60),
    ],
)
def test_an_entry_is_kept_as_long_as_anything_may_serve_it(options: PolicyOptions, kept: float) -> None:
    assert DEFAULT.merged(options).retention == kept


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_is_fresh_for_the_shortest_life_and_never_served_past_the_longest(name: str) -> None:
    policy = DEFAULT.merged({"preset": name})
    shortest, longest = PRESETS[name]
    assert policy.ttl == shortest
    assert policy.retention > 0
    assert policy.ttl + policy.retention <= longest


def test_the_presets_are_the_source_documents() -> None:
    minute, hour = 60, 3600
    expected = {
        "static": (24 * hour, math.inf),
        "user": (5 * minute, 60 * minute),
        "real-time": (30, 5 * minute),
        "financial": (30 * minute, 60 * minute),
    }
    assert expected == PRESETS


def test_a_ttl_beside_a_preset_moves_within_its_range() -> None:
    policy = DEFAULT.merged({"preset": "user", "ttl": "50m"})
    assert (policy.ttl, policy.grace) == (3000.0, 600.0)
    assert DEFAULT.merged({"preset": "real_time", "grace": 0}).grace == 0


def test_a_ttl_function_beside_a_preset_keeps_its_grace() -> None:
    policy = DEFAULT.merged({"preset": "user", "ttl": lambda _: 60})
    assert callable(policy.ttl)
    assert policy.grace == 55 * 60


@pytest.mark.parametrize(("preset", "ttl"), [("real-time", "1h"), ("user", 60), ("static", "1h")])
def test_a_ttl_outside_of_the_presets_range_is_refused(preset: str, ttl: object) -> None:
    with pytest.raises(InputError, match="give a ttl in that range, or leave the preset out"):
        DEFAULT.merged({"preset": preset, "ttl": ttl})


@pytest.mark.parametrize("given", ["finance", 5, None, ["x"]])
def test_an_unknown_preset_names_the_known_ones(given: object) -> None:
    with pytest.raises(InputError, match="financial"):
        DEFAULT.merged({"preset": given})


@pytest.mark.parametrize("text", [*MODES, "25%", "0.5%"])
def test_a_switch_reads_what_it_writes(text: str) -> None:
    assert str(Switch.parse(text)) == text
    assert str(Switch.parse(f" {text.upper()} ")) == text


def test_a_percentage_is_on_for_that_share_of_the_keys() -> None:
    assert Switch.parse("25%") == Switch("on", 0.25)
    assert str(Switch.parse("100%")) == "on"
    keys = [hashlib.sha256(str(number).encode()).digest() for number in range(4000)]
    within = {key for key in keys if Switch.parse("25%").applies_to(key)}
    assert len(within) == pytest.approx(1000, rel=0.1)
    assert within < {key for key in keys if Switch.parse("50%").applies_to(key)}, "a greater share only adds keys"
    assert all(Switch("on").applies_to(key) for key in keys)
    assert not any(Switch.parse("0%").applies_to(key) for key in keys)


@pytest.mark.parametrize("text", ["", "onn", "101%", "-5%", "0.25", "%", "nan%", "on 25%"])
def test_a_mode_that_is_not_known_is_refused_with_those_that_are(text: str) -> None:
    with pytest.raises(InputError, match="known: off, observe, shadow, on, a percentage"):
        Switch.parse(text)


def test_a_load_that_took_too_long_is_a_timeout() -> None:
    assert issubclass(LoadTimeoutError, TimeoutError)
