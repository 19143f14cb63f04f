"""`apicache explain`: whether a call would be answered, and which parameter makes the difference."""

import json
import sys
import time

import msgspec
import pytest
from typer.testing import CliRunner

from apicache.entry import Entry
from apicache.markers import Marker
from apicache.settings import load
from apicache.tagged import canonical
from apicache.tier import TierPlace
from apicache.tiers.disk import build
from apicache.usage.usage import Event, digest_of_scope
from apicache_cli.app import app


def key(number):
    return number.to_bytes(32, "big")


def entry(**changes):
    now = time.time()
    plain = Entry("quote", "value", b"\x01", created=now - 60, fresh_until=now + 3600, expires=now + 7200)
    return msgspec.structs.replace(plain, **changes)


pytestmark = pytest.mark.usefixtures("project")


def stored(number, operation="quote", **changes):
    return Event(at=time.time(), kind="stored", operation=operation, key=key(number), ttl=3600.0, **changes)


APPLICATION = """
from apicache import UnifiedAPICache

print("a line that the application prints while it is imported")
api_cache = UnifiedAPICache.create()


@api_cache.operation("quote", ttl="1h", record=True)
def quote(symbol: str, days: float = 5.0, options: dict | None = None):
    raise AssertionError("explain makes no calls")


@api_cache.operation("other", version="2")
def other(symbol):
    raise AssertionError("explain makes no calls")


@api_cache.operation("swr", stale_while_revalidate=100, grace=1000)
@api_cache.operation("shadowed", mode="shadow")
@api_cache.operation("off", mode="off")
@api_cache.operation("written", invalidates=["quotes"])
@api_cache.operation("guarded", no_store=["private"])
@api_cache.operation("unsure", no_store=lambda parameters: parameters["unknown"])
@api_cache.operation("none", mode="0%")
@api_cache.operation("redis_only", tiers=["memory", "redis"])
@api_cache.operation("short", ttl=30)
@api_cache.operation("keyed", key=lambda symbol, private=False: symbol.lower())
def many(symbol, private=False):
    raise AssertionError("explain makes no calls")
"""


@pytest.fixture
def explain(project, monkeypatch):
    (project / "shop.py").write_text(APPLICATION)
    (project / "pyproject.toml").write_text('[tool.apicache]\napp = "shop:api_cache"\n')
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "shop", raising=False)

    def run(*arguments):
        done = CliRunner().invoke(app, ["explain", *arguments], catch_exceptions=False)
        sys.modules.pop("shop", None)
        return done

    return run


@pytest.fixture
def document(explain):
    def run(*arguments, code):
        done = explain(*arguments, "--format=json")
        assert done.exit_code == code, done.stderr
        return json.loads(done.stdout)

    return run


def full(**parameters):
    return {"days": 5.0, "options": None} | parameters


def key_of(document, *arguments):
    return bytes.fromhex(document(*arguments, code=1)["key"])


def test_a_call_that_was_never_stored(document, explain):
    found = document("quote", "symbol=AAPL", code=1)
    assert (found["schema"], found["state"], found["operation"]) == (1, "never stored", "quote")
    assert [tier["state"] for tier in found["tiers"]] == ["missing"]
    assert found["nearest"] == []
    assert "never stored, as far as the usage log knows" in explain("quote", "symbol=AAPL").stdout


def test_a_fresh_entry_is_found_under_the_calls_key(document, explain, disk):
    disk.set_many({key_of(document, "quote", "symbol=AAPL"): entry()}, time.time())
    found = document("quote", "symbol=AAPL", code=0)
    assert (found["state"], found["tiers"][0]["state"]) == ("fresh", "fresh")
    assert 0 < found["tiers"][0]["fresh_seconds"] <= 3600
    done = explain("quote", "symbol=AAPL")
    assert done.exit_code == 0
    assert "disk: fresh for " in done.stdout
    assert "prints while it is imported" not in done.stdout


def test_values_are_taken_as_the_operations_annotations_have_them(document):
    plain = document("quote", "symbol=5", "days=5", "options={}", code=1)["key"]
    assert document("quote", 'symbol="5"', "days=5.0", "options={}", code=1)["key"] == plain
    assert document("quote", "symbol=5", "days=6", "options={}", code=1)["key"] != plain
    assert document("other", "symbol=5", code=1)["key"] != document("other", 'symbol="5"', code=1)["key"]
    assert document("quote", "symbol=a=b", code=1)["key"] == document("quote", 'symbol="a=b"', code=1)["key"]


def test_a_stale_entry_is_told_as_such(document, explain, disk):
    found = key_of(document, "quote", "symbol=AAPL")
    disk.set_many({found: entry(fresh_until=time.time() - 30)}, time.time())
    told = document("quote", "symbol=AAPL", code=1)
    assert (told["state"], told["answered"]) == ("kept", False)
    assert (
        "only for when loading fails or to be revalidated, so the call misses" in explain("quote", "symbol=AAPL").stdout
    )


@pytest.mark.parametrize("case", [(30, False, "stale"), (130, False, "kept"), (30, True, "kept")])
def test_a_stale_entry_is_an_answer_while_its_policy_refreshes_it(document, explain, disk, case):
    since, must_revalidate, state = case
    found = key_of(document, "swr", "symbol=AAPL")
    stale = entry(operation="swr", fresh_until=time.time() - since, must_revalidate=must_revalidate)
    disk.set_many({found: stale}, time.time())
    told = document("swr", "symbol=AAPL", code=int(state != "stale"))
    assert (told["state"], told["answered"]) == (state, state == "stale")
    assert ("served while it is refreshed" in explain("swr", "symbol=AAPL").stdout) == (state == "stale")


def test_of_a_key_alone_nobody_knows_whether_its_stale_entry_is_served(document, explain, disk):
    disk.set_many({key(1): entry(fresh_until=time.time() - 30)}, time.time())
    told = document(f"--key={key(1).hex()}", code=1)
    assert (told["state"], told["answered"]) == ("stale", False)
    assert "to know, name the operation and its parameters" in explain(f"--key={key(1).hex()}").stdout


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (["shadowed", "symbol=A"], "mode shadow serves nothing from the cache"),
        (["off", "symbol=A"], "the cache is off"),
        (["written", "symbol=A"], "the operation is a write"),
        (["guarded", "symbol=A", "private=true"], "its no_store parameters say so"),
        (["none", "symbol=A"], "the cache is on for 0% of the keys, and not for this one"),
    ],
)
def test_a_call_that_goes_past_the_cache_misses_whatever_is_stored(document, explain, disk, call, reason):
    disk.set_many({key_of(document, *call): entry(operation=call[0])}, time.time())
    told = document(*call, code=1)
    assert (told["state"], told["answered"], told["passed_by"]) == ("fresh", False, reason)
    assert f"goes past the cache: {reason}" in explain(*call).stdout


def test_a_no_store_parameter_that_is_not_given_changes_nothing(document, disk):
    disk.set_many({key_of(document, "guarded", "symbol=A"): entry(operation="guarded")}, time.time())
    assert document("guarded", "symbol=A", code=0)["passed_by"] is None


def test_a_tier_that_the_policy_leaves_out_answers_nothing(document, explain, disk):
    disk.set_many({key_of(document, "redis_only", "symbol=A"): entry(operation="redis_only")}, time.time())
    told = document("redis_only", "symbol=A", code=1)
    assert [tier["state"] for tier in told["tiers"]] == ["unused"]
    assert "disk: not used, by the operation's policy" in explain("redis_only", "symbol=A").stdout


def test_the_operations_own_ttl_may_be_shorter_than_the_entrys(document, disk):
    disk.set_many({key_of(document, "short", "symbol=A"): entry(operation="short")}, time.time())
    told = document("short", "symbol=A", code=1)
    assert told["state"] == "kept"
    assert told["tiers"][0]["fresh_seconds"] == pytest.approx(-30, abs=10)


def test_an_operations_own_key_identifies_the_call(document):
    assert key_of(document, "keyed", "symbol=AAPL") == key_of(document, "keyed", "symbol=aapl", "private=true")


def test_an_invalidation_that_one_tier_knows_concerns_the_others(document, disk, project, monkeypatch):
    found = key_of(document, "quote", "symbol=AAPL")
    disk.set_many({found: entry()}, time.time())
    second = build(TierPlace(directory=project / "second", timeout=2.0))
    second.publish([Marker("operation", "quote", gone_at=time.time())])
    monkeypatch.setattr("apicache_cli.opening.tiers_from", lambda _settings: [disk, second])
    told = document("quote", "symbol=AAPL", code=1)
    assert (told["state"], [tier["state"] for tier in told["tiers"]]) == ("invalidated", ["invalidated", "missing"])


@pytest.mark.parametrize("marker", [Marker("tag", "user:1", gone_at=1.0), Marker("operation", "quote", stale_at=1.0)])
def test_an_invalidation_is_named(document, explain, disk, marker):
    found = key_of(document, "quote", "symbol=AAPL")
    disk.set_many({found: entry(tags=("user:1",))}, time.time())
    at = {name: time.time() - 10 for name in ("gone_at", "stale_at") if getattr(marker, name) > 0}
    disk.publish([msgspec.structs.replace(marker, **at), Marker("tag", "unconcerned", gone_at=time.time())])
    told = document("quote", "symbol=AAPL", code=1)
    assert told["state"] == "invalidated"
    (by,) = told["tiers"][0]["invalidated_by"]
    assert by.startswith(f"{marker.scope} {marker.value!r}, {'invalidated' if marker.gone_at > 0 else 'expired'} at ")
    assert f"disk: invalidated: {by}" in explain("quote", "symbol=AAPL").stdout


def test_the_usage_log_knows_what_has_expired_and_what_is_gone_early(document, explain, log):
    found = key_of(document, "quote", "symbol=AAPL")
    log.write([Event(at=time.time() - 500, kind="stored", operation="quote", key=found, ttl=100.0)])
    told = document("quote", "symbol=AAPL", code=1)
    assert (told["state"], told["ttl"], told["loads"]) == ("expired", 100.0, 1)
    log.write([Event(at=time.time(), kind="stored", operation="quote", key=found, ttl=1000.0)])
    assert document("quote", "symbol=AAPL", code=1)["state"] == "gone"
    assert "evicted, purged, or deleted" in explain("quote", "symbol=AAPL").stdout


def test_the_parameter_that_differs_from_the_nearest_stored_key_is_named(document, explain, log):
    near, far = full(symbol="AAPL", days=6.0), full(symbol="IBM", days=7.0)
    log.write(
        [
            stored(1, material=canonical(near), recorded=near),
            stored(2, material=canonical(far)),
            stored(3, "other", material=canonical({"symbol": "AAPL"})),
        ]
    )
    found = document("quote", "symbol=AAPL", code=1)["nearest"]
    assert [(other["key"], other["differing"]) for other in found] == [
        (key(1).hex(), ["days"]),
        (key(2).hex(), ["days", "symbol"]),
    ]
    text = explain("quote", "symbol=AAPL").stdout
    assert f"{key(1).hex()}: differs in days (there: 6.0)" in text
    assert f"{key(2).hex()}: differs in days, symbol\n" in text


def test_equal_parameters_under_another_key_are_another_version_or_scope(explain, document, log):
    same = canonical({"symbol": "AAPL"})
    log.write([stored(1, "other", material=same), stored(2, "other", material=same, scope=digest_of_scope("ann"))])
    told = {each["key"]: each for each in document("other", "symbol=AAPL", code=1)["nearest"]}
    assert [told[key(number).hex()]["differing"] for number in (1, 2)] == [[], []]
    assert told[key(1).hex()]["otherwise"] == ["version", "namespace", "credentials", "http policy"]
    assert told[key(2).hex()]["otherwise"] == ["scope"]
    assert told[key(2).hex()]["scope"] == digest_of_scope("ann").hex()
    text = explain("other", "symbol=AAPL").stdout
    assert f"{key(1).hex()}: the same parameters; its version, namespace, credentials or http policy differs" in text
    assert f"{key(2).hex()}: the same parameters; its scope differs" in text


def test_of_two_keys_alone_the_scopes_are_compared_too(document, log):
    same = canonical({"symbol": "AAPL"})
    log.write([stored(1, material=same, scope=digest_of_scope("ann"))])
    log.write([stored(number, material=same, scope=digest_of_scope("bob")) for number in (2, 3)])
    told = {each["key"]: each["otherwise"] for each in document(f"--key={key(2).hex()}", code=1)["nearest"]}
    assert told[key(1).hex()] == ["scope"]
    assert told[key(3).hex()] != ["scope"]


def test_a_parameter_that_differs_leaves_nothing_else_to_name(document, log):
    log.write([stored(1, "other", material=canonical({"symbol": "IBM"}), scope=digest_of_scope("ann"))])
    (near,) = document("other", "symbol=AAPL", code=1)["nearest"]
    assert (near["differing"], near["otherwise"]) == (["symbol"], [])


def test_a_no_store_function_that_fails_is_named_as_the_reason(document):
    assert document("unsure", "symbol=A", code=1)["passed_by"] == "its no_store raised KeyError"


def test_a_key_is_explained_without_an_application(explain, document, disk, log, project):
    (project / "shop.py").unlink()
    disk.set_many({key(1): entry()}, time.time())
    found = document(f"--key={key(1).hex()}", code=0)
    assert (found["state"], found["operation"]) == ("fresh", "quote")
    calls = [full(symbol="AAPL"), full(symbol="IBM")]
    log.write([stored(2, material=canonical(calls[0])), stored(3, material=canonical(calls[1]))])
    found = document(f"--key={key(2).hex()}", code=1)
    assert (found["state"], found["nearest"][0]["differing"]) == ("gone", ["symbol"])


def test_a_secret_given_on_the_command_line_is_not_repeated(explain, log):
    for arguments in (
        ["quote", "symbol=planted-secret"],
        ["quote", "planted-secret"],
        ["quote", "symbl=planted-secret"],
    ):
        done = explain(*arguments)
        assert "planted-secret" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "give an operation and its parameters"),
        (["quote", f"--key={'0' * 64}"], "not both"),
        (["--key=12"], "the key '12' is not understood"),
        (["qoute", "symbol=AAPL"], "unknown operation 'qoute'; did you mean 'quote'"),
        (["quote"], "missing a required argument: 'symbol'"),
        (["quote", "symbol=AAPL", "day=5"], "it takes days, options, symbol"),
        (["quote", "AAPL"], "parameter 1 is not written as name=value"),
        (["quote", "symbol=AAPL", "symbol=IBM"], "parameter 'symbol' is given twice"),
        (["quote", "symbol=AAPL", "--app=nowhere:cache"], "no module 'nowhere'"),
    ],
)
def test_bad_input_exits_2(explain, arguments, message):
    done = explain(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_tier_that_fails_is_told(document, log):
    folder = load().directory / "entries"
    folder.mkdir(parents=True)
    (folder / "cache.db").write_bytes(b"this is no database" * 100)
    found = document("quote", "symbol=AAPL", code=1)
    assert found["tiers"][0]["state"] == "failed"
