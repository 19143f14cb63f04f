"""What the built-in operations answer, whichever provider answered."""

import msgspec


class Completion(msgspec.Struct, frozen=True, kw_only=True):
    """A text that a model wrote; `str()` of it is the text."""

    text: str
    provider: str
    model: str
    finish_reason: str | None = None
    """`stop`, `length`, `tool`, `filter`; None when the upstream does not say."""
    input_tokens: int = 0
    output_tokens: int = 0
    cost: float | None = None
    """US dollars by the price table; None for a model that it does not know."""

    def __str__(self) -> str:
        return self.text


class Embedding(msgspec.Struct, frozen=True, kw_only=True):
    """A text's vector."""

    vector: tuple[float, ...]
    provider: str
    model: str
    input_tokens: int = 0
    cost: float | None = None
