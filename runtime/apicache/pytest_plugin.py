"""pytest plugin: under pytest the cache is off; a test asks for an isolated one.

    def test_answers_are_kept(apicache_cache):        # or: @pytest.mark.apicache
        ...
        apicache_cache.clock.advance(3600)

It is loaded into every test session of whoever has apicache installed, so it imports the runtime only for a test that
asks.
"""

from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from apicache.cache import UnifiedAPICache


def pytest_configure(config: pytest.Config) -> None:
    """Register the marker."""
    config.addinivalue_line(
        "markers",
        "apicache: the process-wide cache is on for this test: in memory, empty, on a clock that stands still.",
    )


@pytest.fixture
def apicache_cache() -> "Iterator[UnifiedAPICache]":
    """The process-wide cache: on, memory only, empty, on a ManualClock (`.clock`); afterwards as it was before."""
    from apicache.cache import UnifiedAPICache  # noqa: PLC0415 - only a test that asks pays for the runtime
    from apicache.clock import ManualClock  # noqa: PLC0415 - same

    with UnifiedAPICache().isolated(clock=ManualClock()) as cache:
        yield cache


@pytest.fixture(autouse=True)
def _apicache_marked(request: pytest.FixtureRequest) -> None:
    """What the marker asks for."""
    if request.node.get_closest_marker("apicache") is not None:
        request.getfixturevalue("apicache_cache")
