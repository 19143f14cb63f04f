"""Whether a provider can be asked at all: what it needs, and what it cannot carry."""

import contextlib
import os
from collections.abc import Iterator
from typing import TypeGuard, cast

from apicache.chain.failures import NotAskedError
from apicache.chain.standings import Standing
from apicache.errors import InputError
from apicache.provider import LocalProvider, Provider


class UncarriedError(InputError):
    """A provider cannot carry the call: a parameter, or the operation at all. Nothing was sent."""


def needs(provider: Provider | LocalProvider) -> str | None:
    """What is to be set before a provider can be asked; None for nothing. Raises InputError for a flag that is none."""
    if is_local(provider):
        return None if provider.is_on() else f"it is switched off; set APICACHE_{provider.name.upper()}=1"
    variable = cast("Provider", provider).key_variable
    return f"it has no key; set {variable}" if variable and not os.environ.get(variable, "").strip() else None


def is_local(provider: Provider | LocalProvider) -> TypeGuard[LocalProvider]:
    """Whether a provider answers by itself."""
    return hasattr(provider, "answer")


@contextlib.contextmanager
def carrying(provider: Provider | LocalProvider, standing: Standing) -> Iterator[None]:
    """Around what makes a request of a call; raises UncarriedError where that refuses, NotAskedError without a key.

    It stands before the attempt: a caller's mistake touches no breaker.
    """
    try:
        yield
    except InputError as error:
        missing = needs(provider)
        if missing is None:
            raise UncarriedError(str(error)) from None
        standing.not_asked()
        raise NotAskedError(f"{provider.name} was not asked: {missing}", "auth") from None
