"""What the chain of providers raises."""

from collections.abc import Sequence

import msgspec

from apicache.provider import ErrorKind, ProviderError


class NotAskedError(ProviderError):
    """A provider was not asked at all: its key is not set, its breaker is open, or its rate limit is reached."""


class Failure(msgspec.Struct, frozen=True, kw_only=True):
    """Why a provider did not answer."""

    provider: str
    kind: ErrorKind
    status: int | None
    told: str
    """In words of ours, without secrets; names the variable that is to be set where one is missing."""


class AllProvidersFailedError(ProviderError):
    """None of a call's providers answered; `kind` is theirs where they agree, else `unavailable`."""

    def __init__(self, operation: str, failures: Sequence[Failure]) -> None:
        kinds = {failure.kind for failure in failures}
        told = "; ".join(f"{failure.told} ({_short(failure)})" for failure in failures)
        kind = kinds.pop() if len(kinds) == 1 else "unavailable"
        super().__init__(f"no provider answered {operation!r}: {told}", kind)
        self.failures = tuple(failures)


def _short(failure: Failure) -> str:
    return failure.kind if failure.status is None else f"{failure.kind}, status {failure.status}"
