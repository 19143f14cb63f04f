"""Summaries of a customer's accounts."""

import httpx

from finwise.config import API_URL, MODEL

client = httpx.AsyncClient()


async def summarise(prompt: str) -> dict:
    response = await client.post(
        f"{API_URL}/v1/chat/completions",
        json={"model": MODEL, "messages": [{"role": "user", "content": prompt}]}
    )
    return response.json()
