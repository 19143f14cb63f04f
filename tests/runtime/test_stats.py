"""The counters, their totals and their windows."""

import threading

import pytest

from apicache.stats import Statistics

PLAIN_NAMES = ["bypassed", "stored", "not_stored", "early_refreshes", "revalidated", "load_errors", "would_hit"]
NOTHING = {
    "cache_hits": 0,
    "cache_misses": 0,
    "coalesced": 0,
    "hit_rate": 0.0,
    "cost_saved": 0.0,
    "latency_saved_seconds": 0.0,
}


@pytest.fixture
def statistics():
    return Statistics()


def test_a_cache_that_did_nothing_reports_zeros(statistics):
    assert statistics.as_dict(0.0) == {
        **NOTHING,
        **dict.fromkeys([*PLAIN_NAMES, "differences", "stale", "refreshes", "errors", "writes_dropped"], 0),
        "cost_spent": 0.0,
        "tier_hits": {},
        "tier_errors": {},
        "windows": {"1m": NOTHING, "5m": NOTHING, "1h": NOTHING},
        "operations": {},
    }


def test_a_hit_saves_what_the_load_had_taken_and_cost(statistics):
    counts = statistics.of("completion")
    statistics.hit(counts, "memory", 0.5, 0.25, 0.0)
    statistics.hit(counts, "disk", 1.5, 0.25, 0.0)
    reported = statistics.as_dict(0.0)
    assert reported["cache_hits"] == 2
    assert reported["latency_saved_seconds"] == 2.0
    assert reported["cost_saved"] == 0.5
    assert reported["tier_hits"] == {"memory": 1, "disk": 1}


def test_no_hit_is_lost_however_many_there_are(statistics):
    counts = statistics.of("completion")
    for number in range(1000):
        statistics.hit(counts, "memory" if number % 4 else "disk", 1.0, 0.5, 0.0)
    reported = statistics.as_dict(0.0)
    assert reported["cache_hits"] == 1000
    assert reported["latency_saved_seconds"] == 1000.0
    assert reported["cost_saved"] == 500.0
    assert reported["tier_hits"] == {"memory": 750, "disk": 250}


def test_hits_wait_in_a_bounded_list(statistics):
    counts = statistics.of("completion")
    longest = 0
    for _ in range(1000):
        statistics.hit(counts, "memory", 1.0, 0.5, 0.0)
        longest = max(longest, len(counts.pending))
    assert longest < 3 * 128


def test_a_stale_answer_is_a_hit_too(statistics):
    counts = statistics.of("completion")
    statistics.stale(counts, "memory", 0.5, 0.25, 0.0)
    reported = statistics.as_dict(0.0)
    assert (reported["stale"], reported["cache_hits"], reported["cost_saved"]) == (1, 1, 0.25)


def test_misses_and_background_refreshes_spend(statistics):
    counts = statistics.of("completion")
    statistics.miss(counts, 0.0, 0.5)
    statistics.miss(counts, 0.0)
    statistics.refreshed(counts, 0.25)
    reported = statistics.as_dict(0.0)
    assert (reported["cache_misses"], reported["refreshes"], reported["cost_spent"]) == (2, 1, 0.75)


def test_a_coalesced_call_saves_the_cost_and_is_no_hit(statistics):
    statistics.coalesced(statistics.of("completion"), 0.5, 0.0)
    reported = statistics.as_dict(0.0)
    assert (reported["coalesced"], reported["cache_hits"], reported["cost_saved"]) == (1, 0, 0.5)


@pytest.mark.parametrize("name", [*PLAIN_NAMES, "differences"])
def test_what_only_counts_is_counted_under_its_own_name(statistics, name):
    statistics.count(statistics.of("completion"), name)
    reported = statistics.as_dict(0.0)
    others = {*PLAIN_NAMES, "differences"} - {name}
    assert reported[name] == reported["operations"]["completion"][name] == 1
    assert {reported[other] for other in others} == {0}


def test_a_name_that_is_no_counter_is_refused(statistics):
    with pytest.raises(AttributeError):
        statistics.count(statistics.of("completion"), "invented")


def test_the_hit_rate_is_hits_of_hits_and_misses(statistics):
    counts = statistics.of("completion")
    for _ in range(3):
        statistics.hit(counts, "memory", 0.0, 0.0, 0.0)
    statistics.miss(counts, 0.0)
    assert statistics.as_dict(0.0)["hit_rate"] == 0.75


def test_totals_are_the_sums_of_the_operations(statistics):
    statistics.hit(statistics.of("a"), "memory", 1.0, 2.0, 0.0)
    statistics.hit(statistics.of("b"), "memory", 3.0, 4.0, 0.0)
    statistics.miss(statistics.of("b"), 0.0)
    reported = statistics.as_dict(0.0)
    assert list(reported["operations"]) == ["a", "b"]
    for name in ("cache_hits", "cache_misses", "latency_saved_seconds", "cost_saved"):
        assert reported[name] == sum(operation[name] for operation in reported["operations"].values())


def test_an_operation_keeps_its_counts_object(statistics):
    assert statistics.of("a") is statistics.of("a")
    assert statistics.of("a") is not statistics.of("b")


def test_operations_past_the_thousandth_share_one_line(statistics):
    for number in range(1200):
        statistics.miss(statistics.of(f"host-{number:04}"), 0.0)
    reported = statistics.as_dict(0.0)
    assert len(reported["operations"]) == 1001
    assert reported["operations"]["(others)"]["cache_misses"] == 200
    assert reported["cache_misses"] == 1200


def test_what_concerns_no_operation_is_counted_globally(statistics):
    statistics.tier_error("disk")
    statistics.tier_error("disk")
    statistics.tier_error("redis")
    statistics.write_dropped(2)
    statistics.write_dropped()
    reported = statistics.as_dict(0.0)
    assert reported["tier_errors"] == {"disk": 2, "redis": 1}
    assert (reported["errors"], reported["writes_dropped"]) == (3, 3)


def test_windows_forget_what_is_older_than_they_are(statistics):
    counts = statistics.of("completion")
    for minute in range(120):
        statistics.hit(counts, "memory", 0.5, 0.25, 60.0 * minute + 30.0)
    reported = statistics.as_dict(60.0 * 119 + 45.0)
    assert reported["cache_hits"] == 120
    assert {name: window["cache_hits"] for name, window in reported["windows"].items()} == {"1m": 2, "5m": 6, "1h": 61}
    assert reported["windows"]["5m"]["latency_saved_seconds"] == 3.0
    assert reported["windows"]["5m"]["cost_saved"] == 1.5
    assert reported["operations"]["completion"]["windows"] == reported["windows"]


@pytest.mark.parametrize(
    ("waited", "expected"),
    [
        (0.0, {"1m": 1, "5m": 1, "1h": 1}),
        (60.0, {"1m": 1, "5m": 1, "1h": 1}),
        (120.0, {"1m": 0, "5m": 1, "1h": 1}),
        (300.0, {"1m": 0, "5m": 1, "1h": 1}),
        (360.0, {"1m": 0, "5m": 0, "1h": 1}),
        (3600.0, {"1m": 0, "5m": 0, "1h": 1}),
        (3660.0, {"1m": 0, "5m": 0, "1h": 0}),
    ],
)
def test_a_window_covers_its_length_and_at_most_one_minute_more(statistics, waited, expected):
    statistics.hit(statistics.of("completion"), "memory", 0.5, 0.25, 1_000_020.0)
    windows = statistics.as_dict(1_000_020.0 + waited)["windows"]
    assert {name: window["cache_hits"] for name, window in windows.items()} == expected


def test_windows_after_an_idle_time_count_only_what_came_since(statistics):
    counts = statistics.of("completion")
    for _ in range(10):
        statistics.miss(counts, 0.0)
    statistics.hit(counts, "memory", 0.5, 0.25, 600.0)
    windows = statistics.as_dict(600.0)["windows"]
    assert (windows["5m"]["cache_hits"], windows["5m"]["cache_misses"]) == (1, 0)
    assert windows["5m"]["hit_rate"] == 1.0
    assert (windows["1h"]["cache_hits"], windows["1h"]["cache_misses"]) == (1, 10)


def test_windows_of_all_are_the_sums_over_the_operations(statistics):
    statistics.hit(statistics.of("old"), "memory", 1.0, 1.0, 0.0)
    statistics.hit(statistics.of("new"), "memory", 1.0, 1.0, 600.0)
    statistics.coalesced(statistics.of("new"), 0.5, 600.0)
    reported = statistics.as_dict(600.0)
    assert reported["windows"]["1m"] == reported["operations"]["new"]["windows"]["1m"]
    assert reported["operations"]["old"]["windows"]["1m"] == NOTHING
    assert reported["windows"]["1h"]["cache_hits"] == 2
    assert reported["windows"]["1m"]["coalesced"] == 1


def test_snapshots_are_bounded(statistics):
    counts = statistics.of("completion")
    for minute in range(500):
        statistics.miss(counts, 60.0 * minute)
    assert len(counts._snapshots) == 61


def test_threads_lose_no_count(statistics):
    counts = statistics.of("completion")

    def work():
        for number in range(2000):
            statistics.hit(counts, "memory", 1.0, 0.5, number / 10)
            statistics.miss(counts, number / 10)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    reports = [statistics.as_dict(200.0) for _ in range(50)]
    for thread in threads:
        thread.join()
    reported = statistics.as_dict(200.0)
    assert (reported["cache_hits"], reported["cache_misses"]) == (8000, 8000)
    assert reported["latency_saved_seconds"] == 8000.0
    assert reported["tier_hits"] == {"memory": 8000}
    hits = [report["cache_hits"] for report in reports]
    assert hits == sorted(hits)


def test_a_report_is_a_copy(statistics):
    statistics.hit(statistics.of("completion"), "memory", 0.5, 0.25, 0.0)
    first = statistics.as_dict(0.0)
    first["tier_hits"]["memory"] = 99
    first["operations"].clear()
    second = statistics.as_dict(0.0)
    assert second["tier_hits"] == {"memory": 1}
    assert list(second["operations"]) == ["completion"]


def test_a_lock_that_a_fork_left_taken_is_renewed(statistics):
    holder = threading.Thread(target=statistics._lock.acquire)
    holder.start()
    holder.join()
    statistics.renew_lock()
    statistics.miss(statistics.of("completion"), 0.0)
    assert statistics.as_dict(0.0)["cache_misses"] == 1
