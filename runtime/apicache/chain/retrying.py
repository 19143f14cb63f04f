"""Retries of a provider's call, by the library `stamina`: exponential backoff with jitter."""

import logging
from collections.abc import Callable
from typing import Any, Final

import stamina

_WAIT_INITIAL: Final = 0.25
_WAIT_MAX: Final = 8.0
_WAIT_JITTER: Final = 0.5
"""Seconds: the first wait is 0.25 to 0.75, each further one longer."""
_NAME: Final = "apicache"
"""What stamina's own instruments, Prometheus among them, call these retries."""


def _is_anothers(record: logging.LogRecord) -> bool:
    """Whether a record of stamina's is of the application's own retries: ours are told with what they are about."""
    return vars(record).get("stamina.callable") != _NAME


logging.getLogger("stamina").addFilter(_is_anothers)


def attempts(retries: int, backoff: Callable[[Exception], bool | float]) -> Any:
    """The first attempt and so many more, for `for` and `async for`.

    `backoff` tells of an error whether it is worth another attempt, or in how many seconds.
    """
    given = stamina.retry_context(
        on=backoff,
        attempts=retries + 1,
        timeout=None,
        wait_initial=_WAIT_INITIAL,
        wait_max=_WAIT_MAX,
        wait_jitter=_WAIT_JITTER,
    )
    return given.with_name(_NAME, (), {})
