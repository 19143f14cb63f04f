"""The run without a scenario file, against a real upstream without latency."""

import socket
import subprocess
import sys
from contextlib import closing

import pytest

from apicache import InputError
from apicache_scenarios.load import result as results
from apicache_scenarios.load.default_run import run_default
from apicache_scenarios.load.settings import BenchSettings
from apicache_scenarios.upstream import running_upstream

SMALL = {"requests": 200, "concurrency": 8, "population": 40, "latency_ms": 0.0}


def run(on_progress=lambda snapshot: None, **settings):
    return run_default(BenchSettings(**SMALL | settings), on_progress)


@pytest.fixture(scope="module")
def seen():
    return []


@pytest.fixture(scope="module")
def result(seen):
    return run(seen.append)


@pytest.fixture
def refusing_url():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        host, port = server.getsockname()
    return f"http://{host}:{port}"


def test_both_arms_answer_every_request(result):
    assert {name: (arm.requests, arm.errors) for name, arm in result.arms.items()} == {
        "cached": (200, 0),
        "direct": (200, 0),
    }


def test_the_direct_arm_calls_the_upstream_every_time(result):
    direct = result.arms["direct"]
    assert (direct.hit_rate, direct.misses, direct.upstream_calls) == (0, 200, 200)
    assert direct.cache == {"at_start": "none"}


def test_the_cold_pass_starts_empty_and_calls_the_upstream_once_per_key(result):
    cached = result.arms["cached"]
    assert cached.cache["at_start"] == "empty"
    assert cached.upstream_calls == cached.misses == cached.cache["entries_stored"] <= 40
    assert cached.cache["disk_bytes"] > 0


def test_the_warm_pass_asks_for_the_same_and_finds_all_of_it(result):
    passes = result.arms["cached"].passes
    assert list(passes) == ["cold", "warm"]
    assert passes["cold"].requests == result.arms["cached"].requests == 200
    assert (passes["warm"].requests, passes["warm"].hit_rate, passes["warm"].upstream_calls) == (800, 1.0, 0)


def test_hits_misses_and_coalesced_requests_are_all_requests(result):
    # Who began while another's call was under way counts as coalesced, though that call may have stored its answer
    # before this request had looked on disk: to the cache it is a hit then.
    cached = result.arms["cached"]
    assert cached.hits + cached.misses + cached.coalesced == cached.requests
    assert cached.hit_rate == cached.hits / 200
    hits = sum(cached.cache["hits_by_tier"].values())
    assert cached.hits + cached.coalesced + 800 == hits + cached.cache["coalesced"]


def test_the_reduction_is_by_the_upstreams_own_count(result):
    assert result.calls_counted_by == "upstream"
    assert result.api_call_reduction == 1 - result.arms["cached"].upstream_calls / 200


def test_speed_ups_compare_the_medians(result):
    cached, direct = result.arms["cached"], result.arms["direct"]
    assert result.speedup_p50 == direct.p50_ms / cached.p50_ms
    assert result.speedup_hit_p50 == direct.p50_ms / cached.passes["warm"].hit_p50_ms


def test_throughput_is_answers_per_second_under_load(result):
    for arm in result.arms.values():
        assert arm.throughput_rps == pytest.approx(200 / arm.seconds)


def test_the_blocks_are_in_the_order_they_ran_and_add_up(result):
    cold = [block for block in result.blocks if block.pass_ == "cold"]
    assert [block.arm for block in cold[:4]] == ["cached", "direct", "direct", "cached"]
    assert [block.number for block in result.blocks] == sorted(block.number for block in result.blocks)
    assert [block.round for block in cold[::2]] == list(range(10))
    assert sum(block.planned for block in cold) == 400
    assert len({(block.round, block.arm) for block in result.blocks}) == len(result.blocks)


def test_the_trace_has_every_request_of_the_cached_arm(result):
    cold = [block for block in result.blocks if block.pass_ == "cold" and block.arm == "cached"]
    keys = [key for block in cold for key in results.unpacked(block.keys)]
    sent = [at for block in cold for at in results.unpacked(block.sent)]
    assert len(keys) == 200
    assert len(set(keys)) == result.arms["cached"].misses
    assert sent == sorted(sent)
    assert all(block.keys is None for block in result.blocks if block.arm == "direct")


def test_a_saved_result_is_read_back_whole(result):
    contents = results.save(result)
    assert results.load(contents) == result
    with pytest.raises(ValueError, match="schema 2 is not 1"):
        results.load(contents.replace(b'"schema": 1', b'"schema": 2'))


def test_the_environment_names_what_a_second_run_needs(result):
    environment = result.environment
    assert (environment["seed"], environment["latency_ms"], environment["population"]) == (42, 0, 40)
    assert (environment["executor"], environment["loop"]) == ("constant-vus", "closed")
    assert {"started_at", "python", "platform", "cpu_count", "cpu", "load_average", "versions"} <= environment.keys()
    assert environment["keys"] == "zipf 0.99"
    assert result.validity.valid


def test_progress_ends_at_the_planned_number_of_requests(seen, result):
    assert [snapshot.done for snapshot in seen] == sorted(snapshot.done for snapshot in seen)
    last = seen[-1]
    assert (last.unit, last.done, last.total, last.phase) == ("requests", 1200, 1200, "warm")
    assert last.arms["cached"].requests == 1000
    assert last.arms["cached"].p50_ms > 0


def test_concurrent_requests_of_one_key_share_a_call():
    cached = run(population=1, requests=20, concurrency=20, latency_ms=20.0).arms["cached"]
    # Ten blocks of two keys each: whichever comes first calls, the rest of its block waits, later blocks hit.
    assert cached.upstream_calls == cached.misses == 1
    assert cached.coalesced >= 1
    assert cached.hits == 20 - 1 - cached.coalesced > 0


def test_one_seed_asks_for_the_same_keys():
    first, second = (run(seed=7, requests=50) for _ in range(2))
    keys = [[block.keys for block in each.blocks if block.arm == "direct"] for each in (first, second)]
    assert keys[0] == keys[1]
    assert first.arms["cached"].upstream_calls == second.arms["cached"].upstream_calls


def test_the_direct_arms_calls_are_bounded_and_spread_over_all_blocks():
    seen = []
    result = run(seen.append, direct_calls=50)
    assert seen[-1].done == seen[-1].total == 200 + 50 + 800
    direct = result.arms["direct"]
    assert (direct.requests, direct.upstream_calls, direct.thinned_to) == (50, 50, 0.25)
    assert {block.planned for block in result.blocks if block.arm == "direct"} == {5}
    assert result.arms["cached"].requests == 200


def test_an_arrival_rate_tells_service_time_and_lag_apart():
    result = run(executor="constant-arrival-rate", rate=500.0, requests=100)
    cached = result.arms["cached"]
    assert cached.requests + cached.dropped == 100
    assert cached.service_p50_ms <= cached.p50_ms
    assert cached.lag_p99_ms >= 0
    assert result.environment["loop"] == "closed and open"


def test_a_run_whose_requests_are_late_is_invalid():
    result = run(executor="constant-arrival-rate", rate=500.0, requests=50, max_lag_p99_ms=0.0)
    assert not result.validity.valid
    assert result.validity.reasons[0].startswith("cached: requests were sent late, lag p99 ")


def test_tiers_are_compared_each_in_a_cache_of_its_own():
    result = run(tiers=(("memory",), ("disk",)), requests=60)
    assert list(result.arms) == ["cached-memory", "cached-disk", "direct"]
    memory, disk = result.arms["cached-memory"], result.arms["cached-disk"]
    assert (memory.plan_arm, memory.tiers, disk.tiers) == ("cached", ("memory",), ("disk",))
    assert memory.upstream_calls == disk.upstream_calls == memory.cache["entries_stored"]
    assert list(memory.cache["hits_by_tier"]) == ["memory"]
    assert list(disk.cache["hits_by_tier"]) == ["disk"]


def test_processes_share_the_load_and_their_totals_are_the_sum():
    one, two = run(requests=100), run(requests=100, processes=2)
    for name in ("cached", "direct"):
        assert two.arms[name].requests == one.arms[name].requests == 100
        assert two.arms[name].errors == 0
    assert two.environment["processes"] == 2
    # Both processes share the disk tier, and each key is loaded once.
    assert two.arms["cached"].upstream_calls == one.arms["cached"].upstream_calls
    asked = [sorted(key for block in each.blocks if block.keys for key in results.unpacked(block.keys))
             for each in (one, two)]  # fmt: skip
    assert asked[0] == asked[1]


def test_an_upstream_that_refuses_connections_is_counted_by_class(refusing_url):
    result = run(url=refusing_url, requests=50)
    for arm in result.arms.values():
        assert arm.error_classes == {"ConnectionRefusedError": 50}
        assert (arm.requests, arm.errors, arm.hit_rate, arm.throughput_rps, arm.p50_ms) == (50, 50, 0, 0, None)
    assert (result.api_call_reduction, result.speedup_p50, result.speedup_hit_p50) == (None, None, None)


def test_error_answers_are_counted_by_status_and_not_cached():
    with running_upstream(latency_ms=0, fail_share=1, fail_status=503) as upstream:
        result = run(url=upstream.url, concurrency=1, requests=50)
        # Two of them opened the arms' connections.
        assert upstream.requests_served() == 50 + 5 * 50 + 2
    for arm in result.arms.values():
        assert arm.error_classes == {"HTTP 503": 50}


def test_a_share_of_failures_leaves_the_rest_of_the_figures():
    with running_upstream(latency_ms=0, fail_share=0.5) as upstream:
        result = run(url=f"{upstream.url}/")
    direct = result.arms["direct"]
    assert 0 < direct.errors < direct.requests
    assert direct.error_classes == {"HTTP 500": direct.errors}
    assert direct.throughput_rps == pytest.approx((200 - direct.errors) / direct.seconds)
    assert result.calls_counted_by == "client"
    assert direct.upstream_calls == 200


def test_what_is_no_openai_answer_is_an_error_too():
    with running_upstream(latency_ms=0) as upstream:
        result = run(url=f"{upstream.url}/elsewhere", requests=10)
    assert result.arms["direct"].error_classes == {"HTTP 404": 10}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"requests": 0}, "requests 0 is not usable; expected 1 or more"),
        ({"concurrency": -1}, "concurrency -1 is not usable; expected 1 or more"),
        ({"population": 0}, "population 0 is not usable; expected 1 or more"),
        ({"processes": 0}, "processes 0 is not usable; expected 1 or more"),
        ({"rate": 0.0}, "rate 0.0 is not usable; expected more than 0 requests a second"),
        ({"latency_ms": -1.0}, "latency -1.0 ms is not usable; expected 0 or more"),
        ({"latency_ms": float("nan")}, "latency nan ms is not usable; expected 0 or more"),
        ({"latency_ms": float("inf")}, "latency inf ms is not usable; expected 0 or more"),
        ({"url": "localhost:8000"}, "url 'localhost:8000' is not usable; expected http://HOST:PORT"),
        ({"url": "http://:80"}, "url 'http://:80' is not usable; expected http://HOST:PORT"),
        ({"url": "http://h:port"}, "url 'http://h:port' is not usable; expected http://HOST:PORT"),
        ({"url": "ftp://h"}, "url 'ftp://h' is not usable; expected http://HOST:PORT"),
        ({"executor": "rush"}, "unknown executor 'rush'; known: constant-arrival-rate, constant-vus, ramping-arrival-"),
        ({"executor": "constant-arrival-rate"}, "a constant-arrival-rate stage needs a rate, such as rate: 200/s"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError) as refused:
        run(**settings)
    assert str(refused.value).startswith(message)


def test_a_worker_ends_with_its_leaders_pipe():
    done = subprocess.run(
        [sys.executable, "-m", "apicache_scenarios.load.worker"], input=b"", capture_output=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")
