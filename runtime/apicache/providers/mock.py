"""Answers without a network, by a digest of the parameters: for demonstrations, tests, and the end of a chain.

Only where it was switched on: `APICACHE_MOCK=1`, or `enabled = true` in `[tool.apicache.providers.mock]`.
"""

import hashlib
import math
import os
import re
import struct
from collections.abc import Sequence
from typing import Any, Final

import msgspec

from apicache.answers import Completion, Embedding
from apicache.chain.parameters import chat_of, check_operation, embedding_of
from apicache.errors import InputError, UnencodableError
from apicache.provider import ProviderCall, Reply
from apicache.setting_values import flag
from apicache.tagged import canonical

NAME: Final = "mock"
"""What every answer is marked with, whatever name a chain gives the provider."""
_VARIABLE: Final = "APICACHE_MOCK"
_DIMENSIONS: Final = 256
_COST: Final = 0.0
"""Nothing was paid, and nothing is saved by not asking again."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's settings."""

    enabled: bool = False


class Mock:
    """The provider. It makes no HTTP exchange, so it is no `Provider` but a `LocalProvider`."""

    name = NAME
    operations = frozenset({"completion", "analysis", "embedding"})
    batch_size = 100

    def __init__(self, options: Options) -> None:
        self._options = options

    def is_on(self) -> bool:
        """Whether it was switched on; raises InputError for a value of the variable that is no flag."""
        given = os.environ.get(_VARIABLE, "")
        try:
            return flag(given) if given else self._options.enabled
        except InputError as error:
            raise InputError(f"{_VARIABLE}: {error}") from None

    def model_for(self, operation: str) -> str:
        """Always `mock`; raises InputError for an operation it has not."""
        check_operation(self.name, operation, self.operations)
        return NAME

    def answer(self, call: ProviderCall) -> Reply:
        """The same answer for the same parameters; raises InputError when it is off, or a parameter does not fit."""
        if not self.is_on():
            raise InputError(
                f"provider 'mock' is switched off; set {_VARIABLE}=1, "
                "or enabled = true in [tool.apicache.providers.mock]"
            )
        check_operation(self.name, call.operation, self.operations)
        return Reply(value=_embedding(call) if call.operation == "embedding" else _completion(call), model=NAME)

    def texts(self, reply: Reply) -> Sequence[str]:
        """The words of an answer, each with the space after it; raises InputError for one that is no text."""
        if not isinstance(reply.value, Completion):
            raise InputError("provider 'mock' streams texts alone; ask for it whole")
        return re.findall(r"\S+\s*", reply.value.text)


def _completion(call: ProviderCall) -> Completion:
    chat_of(NAME, call)
    digest = _digest([call.operation, dict(call.parameters)])
    text = f"Mock {call.operation} {digest.hex()[:16]}: no provider was asked."
    return Completion(text=text, provider=NAME, model=NAME, finish_reason="stop", cost=_COST)


def _embedding(call: ProviderCall) -> Embedding | list[Embedding]:
    given = embedding_of(NAME, call)
    size = given.dimensions or _DIMENSIONS
    found = [Embedding(vector=_vector(text, size), provider=NAME, model=NAME, cost=_COST) for text in given.texts]
    return found if given.is_batch else found[0]


def _vector(text: str, dimensions: int) -> tuple[float, ...]:
    """A vector of length 1."""
    drawn = hashlib.shake_256(_digest(text)).digest(4 * dimensions)
    numbers = [(number + 0.5) / 2**31 - 1 for number in struct.unpack(f"<{dimensions}I", drawn)]
    length = math.sqrt(math.fsum(number * number for number in numbers))
    return tuple(number / length for number in numbers)


def _digest(value: Any) -> bytes:
    try:
        return hashlib.sha256(canonical(value)).digest()
    except UnencodableError as error:
        raise InputError(f"the parameters hold {error}, which provider 'mock' cannot tell apart") from None


def build(name: str, options: Options) -> Mock:  # noqa: ARG001 - its answers are marked with its own name
    """The provider with its settings."""
    return Mock(options)
