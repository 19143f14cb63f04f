"""Orders: calls that change something, and one that is read piece by piece. Neither may ever be cached."""

import httpx
import requests

from finwise.config import API_URL, MODEL


def place(order: dict) -> int:
    return requests.post(f"{API_URL}/v1/orders", json=order, timeout=10).status_code


def cancel(order_id: str) -> int:
    return requests.delete(f"{API_URL}/v1/orders/{order_id}", timeout=10).status_code


def typed_answer(prompt: str) -> int:
    body = {"model": MODEL, "stream": True, "messages": [{"role": "user", "content": prompt}]}
    with httpx.stream("POST", f"{API_URL}/v1/chat/completions", json=body) as response:
        return response.status_code
