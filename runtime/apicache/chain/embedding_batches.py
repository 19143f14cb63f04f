"""Vectors of a batch of texts: each in its text's place, an error in the place of each that is missing."""

import base64
import binascii
import itertools
import math
import struct
from collections.abc import Sequence
from typing import Any

from apicache.answers import Embedding
from apicache.chain.errors import broken
from apicache.chain.parameters import EmbeddingInput
from apicache.provider import ProviderError, Reply, Tokens

Vector = tuple[float, ...]


def embedded(
    provider: str, model: str, given: EmbeddingInput, vectors: Sequence[Vector | None], tokens: Tokens
) -> Reply:
    """The reply for these vectors, None for each that is missing; raises ProviderError when all are."""
    if all(vector is None for vector in vectors):
        raise broken(provider, f"none of the {len(vectors)} vectors asked for")
    shares = _shares(tokens.input, given.texts)
    found: list[Embedding | ProviderError] = [
        broken(provider, f"no vector for item {place} of {len(vectors)}")
        if vector is None
        else Embedding(vector=vector, provider=provider, model=model, input_tokens=share)
        for place, (vector, share) in enumerate(zip(vectors, shares, strict=True))
    ]
    return Reply(value=found if given.is_batch else found[0], model=model, tokens=tokens)


def by_index(items: Sequence[Any], given: EmbeddingInput) -> list[Vector | None]:
    """The vectors of `{"index": ..., "embedding": ...}` items, in the order of the texts.

    An index that comes with two different vectors counts as missing: which of them is the text's cannot be told. Items
    without any index are taken in order, and only when there are as many as texts.
    """
    indexes = [item.get("index") if isinstance(item, dict) else None for item in items]
    if all(index is None for index in indexes):
        return in_order([item.get("embedding") if isinstance(item, dict) else None for item in items], given)
    found: dict[int, Vector | None] = {}
    for index, item in zip(indexes, items, strict=True):
        if isinstance(index, int) and not isinstance(index, bool):
            vector = vector_of(item.get("embedding"), given.dimensions)
            found[index] = vector if found.get(index, vector) == vector else None
    return [found.get(index) for index in range(len(given.texts))]


def in_order(vectors: Sequence[Any], given: EmbeddingInput) -> list[Vector | None]:
    """Vectors that come in the order of the texts; all are missing when their number is another."""
    if len(vectors) != len(given.texts):
        return [None] * len(given.texts)
    return [vector_of(vector, given.dimensions) for vector in vectors]


def vector_of(found: Any, dimensions: int | None) -> Vector | None:
    """A vector of finite numbers, given as a list or as base64 of little-endian floats; None for anything else."""
    if isinstance(found, str):
        try:
            packed = base64.b64decode(found, validate=True)
            found = list(struct.unpack(f"<{len(packed) // 4}f", packed))
        except (binascii.Error, struct.error, ValueError):
            return None
    if not isinstance(found, list) or not found or (dimensions is not None and len(found) != dimensions):
        return None
    if not all(type(number) in {int, float} and math.isfinite(number) for number in found):
        return None
    return tuple(map(float, found))


def _shares(total: int, texts: Sequence[str]) -> list[int]:
    """A batch's tokens by the length of its texts: the upstream counts the batch only. They add up to the total."""
    ends = list(itertools.accumulate(len(text) + 1 for text in texts))
    marks = [total * end // ends[-1] for end in ends]
    return [mark - before for before, mark in itertools.pairwise([0, *marks])]
