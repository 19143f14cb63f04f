"""Advice on a customer's question."""

import httpx

from finwise import config
from finwise.config import MODEL

http = httpx.AsyncClient()


async def advise(question: str) -> dict:
    answer = await http.post(f"{config.API_URL}/v1/chat/completions", json={"model": MODEL, "messages": [{"role": "user", "content": question}]})
    return answer.json()
