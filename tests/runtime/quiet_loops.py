"""That asyncio has nothing to complain of."""

import gc
import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _asyncio_says_nothing(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """No `Task was destroyed but it is pending`, no `exception was never retrieved`."""
    caplog.set_level(logging.DEBUG - 1, logger="asyncio")
    yield
    gc.collect()
    assert [record.getMessage() for record in caplog.records if record.name == "asyncio" and record.levelno > 10] == []
