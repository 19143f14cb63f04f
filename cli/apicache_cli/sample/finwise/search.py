"""Search over the help pages."""

import httpx

from finwise.config import API_URL, EMBEDDING_MODEL


def embed(text: str) -> list[float]:
    response = httpx.post(f"{API_URL}/v1/embeddings", json={"model": EMBEDDING_MODEL, "input": text}, timeout=30)
    response.raise_for_status()
    return response.json()["data"][0]["embedding"]
