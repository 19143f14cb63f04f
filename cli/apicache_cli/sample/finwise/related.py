"""Questions that others asked."""

import httpx

from finwise.config import API_URL, EMBEDDING_MODEL


def vector(question: str) -> list[float]:
    result = httpx.post(
        f"{API_URL}/v1/embeddings",
        json={"model": EMBEDDING_MODEL, "input": question},
        timeout=30,
    )
    return result.raise_for_status().json()["data"][0]["embedding"]
