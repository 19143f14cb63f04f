"""The table of markers."""

import threading

import pytest

from apicache.markers import Marker, MarkerTable

# The table of markers.


@pytest.mark.parametrize("soft", [True, False])
def test_past_ten_thousand_markers_more_is_invalidated_and_never_less(soft: bool) -> None:
    table = MarkerTable()
    kinds = ("tag", "key", "operation", "prefix")
    digits = [f"{n:064x}" for n in range(10_002)]
    for n in range(10_002):
        at = {"stale_at": float(n)} if soft else {"gone_at": float(n), "stale_at": float(n)}
        table.add([Marker(kinds[n % 4], digits[n], **at)])  # type: ignore[arg-type] # one of the scopes
    assert len(table) <= 10_000
    for n in (*range(0, 10_002, 97), 10_000, 10_001):
        concerned = {
            "tag": ("op", [digits[n]], b"other"),
            "key": ("op", [], bytes.fromhex(digits[n])),
            "operation": (digits[n], [], b"other"),
            "prefix": (f"{digits[n]}.x", [], b"other"),
        }[kinds[n % 4]]
        gone_at, stale_at = table.concerning(*concerned)
        assert stale_at >= n
        assert soft or gone_at >= n
        assert not soft or gone_at < 0


def test_markers_joined_by_many_threads_are_all_known() -> None:
    table = MarkerTable()
    barrier = threading.Barrier(4)

    def add(first: int) -> None:
        barrier.wait()
        for n in range(first, 4000, 4):
            table.add([Marker("tag", "a", float(n), float(n)), Marker("operation", "o", float(n))])
            table.of_operation("o")

    threads = [threading.Thread(target=add, args=(first,)) for first in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert table.concerning("o", ["a"], b"") == (3999.0, 3999.0)
    assert table.of_operation("o")[0] == 3999.0
