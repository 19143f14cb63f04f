import socket
from contextlib import closing

import pytest

from apicache import InputError
from apicache_scenarios.bench import BenchSettings, interleaved, run_benchmark
from apicache_scenarios.upstream import running_upstream

SMALL = {"requests": 200, "concurrency": 8, "population": 40, "latency_ms": 0}


def run(**settings):
    return run_benchmark(BenchSettings(**SMALL | settings), lambda done: None)


@pytest.fixture(scope="module")
def report():
    return run()


@pytest.fixture
def refusing_url():
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        host, port = server.getsockname()
    return f"http://{host}:{port}"


def test_both_arms_answer_every_request(report):
    assert {name: (arm.requests, arm.errors) for name, arm in report.arms.items()} == {
        "cached": (200, 0),
        "direct": (200, 0),
    }


def test_the_direct_arm_calls_the_upstream_every_time(report):
    direct = report.arms["direct"]
    assert (direct.hit_rate, direct.misses, direct.upstream_calls) == (0, 200, 200)
    assert direct.cache == {"at_start": "none"}


def test_the_cached_arm_starts_empty_and_calls_the_upstream_once_per_key(report):
    cached = report.arms["cached"]
    assert cached.cache["at_start"] == "empty"
    assert cached.upstream_calls == cached.misses == cached.cache["entries_stored"] <= 40
    assert cached.cache["disk_bytes"] > 0


def test_answers_without_a_call_are_what_the_cache_itself_counts(report):
    # Who began while another's call was under way counts as coalesced, though that call may have stored its answer
    # before this request had looked on disk: to the cache it is a hit then.
    cached = report.arms["cached"]
    hits = sum(cached.cache["hits_by_tier"].values())
    assert hits >= cached.hits > 0
    assert cached.hits + cached.coalesced == hits + cached.cache["coalesced"]
    assert cached.hits + cached.misses + cached.coalesced == cached.requests
    assert cached.hit_rate == cached.hits / 200


def test_the_reduction_is_by_the_upstreams_own_count(report):
    assert report.calls_counted_by == "upstream"
    assert report.api_call_reduction == 1 - report.arms["cached"].upstream_calls / 200


def test_speed_ups_compare_the_medians(report):
    cached, direct = report.arms["cached"], report.arms["direct"]
    assert report.speedup_p50 == direct.p50_ms / cached.p50_ms
    assert report.speedup_hit_p50 == direct.p50_ms / cached.hit_p50_ms
    assert cached.hit_p50_ms <= cached.p50_ms


def test_throughput_is_answers_per_second_under_load(report):
    for arm in report.arms.values():
        assert arm.throughput_rps == pytest.approx(200 / arm.seconds)


def test_concurrent_requests_of_one_key_share_a_call():
    report = run(population=1, requests=20, concurrency=20, latency_ms=20)
    cached = report.arms["cached"]
    # Two blocks of two keys each: whichever comes first calls, the rest of its block waits, later blocks hit.
    assert cached.upstream_calls == cached.misses == 1
    assert cached.coalesced >= 1
    assert cached.hits == 20 - 1 - cached.coalesced > 0


def test_the_environment_names_what_a_second_run_needs(report):
    environment = report.environment
    assert environment["seed"] == 42
    assert environment["latency_ms"] == 0
    assert (environment["executor"], environment["loop"]) == ("constant-vus", "closed")
    assert {"started_at", "python", "platform", "cpu_count", "versions", "keys", "population"} <= environment.keys()


def test_one_seed_asks_for_the_same_keys():
    first, second = run(seed=7), run(seed=7)
    assert first.arms["cached"].upstream_calls == second.arms["cached"].upstream_calls


def test_an_upstream_that_refuses_connections_is_counted_by_class(refusing_url):
    report = run(url=refusing_url)
    for arm in report.arms.values():
        assert arm.error_classes == {"ConnectionRefusedError": 200}
        assert (arm.requests, arm.errors, arm.hit_rate, arm.throughput_rps, arm.p50_ms) == (200, 200, 0, 0, None)
    assert report.errors == 400
    assert (report.api_call_reduction, report.speedup_p50, report.speedup_hit_p50) == (None, None, None)


def test_error_answers_are_counted_by_status_and_not_cached():
    with running_upstream(latency_ms=0, fail_share=1, fail_status=503) as upstream:
        report = run(url=upstream.url, concurrency=1)
        assert upstream.requests_served() == 400
    for arm in report.arms.values():
        assert arm.error_classes == {"HTTP 503": 200}


def test_a_share_of_failures_leaves_the_rest_of_the_figures():
    with running_upstream(latency_ms=0, fail_share=0.5) as upstream:
        report = run(url=f"{upstream.url}/")
    direct = report.arms["direct"]
    assert 0 < direct.errors < direct.requests
    assert direct.error_classes == {"HTTP 500": direct.errors}
    assert direct.throughput_rps == pytest.approx((200 - direct.errors) / direct.seconds)
    assert report.calls_counted_by == "client"
    assert direct.upstream_calls == 200


def test_what_is_no_openai_answer_is_an_error_too():
    with running_upstream(latency_ms=0) as upstream:
        report = run(url=f"{upstream.url}/elsewhere", requests=10)
    assert report.arms["direct"].error_classes == {"HTTP 404": 10}


def test_progress_ends_at_the_planned_number_of_requests():
    seen = []
    settings = BenchSettings(**SMALL)
    run_benchmark(settings, seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == settings.planned_requests == 400


def test_the_arms_take_turns_and_both_see_every_key_in_order():
    keys = list(range(95))
    blocks = list(interleaved(keys))
    order = [arm for arm, _ in blocks]
    assert order[:8] == ["cached", "direct", "direct", "cached", "cached", "direct", "direct", "cached"]
    for name in ("cached", "direct"):
        assert [key for arm, block in blocks if arm == name for key in block] == keys


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"requests": 0}, "requests 0 is not usable; expected 1 or more"),
        ({"concurrency": -1}, "concurrency -1 is not usable; expected 1 or more"),
        ({"population": 0}, "population 0 is not usable; expected 1 or more"),
        ({"latency_ms": -1.0}, "latency -1.0 ms is not usable; expected 0 or more"),
        ({"latency_ms": float("nan")}, "latency nan ms is not usable; expected 0 or more"),
        ({"latency_ms": float("inf")}, "latency inf ms is not usable; expected 0 or more"),
        ({"url": "localhost:8000"}, "url 'localhost:8000' is not usable; expected http://HOST:PORT"),
        ({"url": "http://:80"}, "url 'http://:80' is not usable; expected http://HOST:PORT"),
        ({"url": "http://h:port"}, "url 'http://h:port' is not usable; expected http://HOST:PORT"),
        ({"url": "ftp://h"}, "url 'ftp://h' is not usable; expected http://HOST:PORT"),
        ({"executor": "rush"}, "unknown executor 'rush'; known: constant-vus"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(InputError) as refused:
        run(**settings)
    assert str(refused.value) == message
