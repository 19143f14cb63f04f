"""The weekly newsletter."""

import requests

from finwise.config import API_URL, MODEL


class NewsletterError(Exception):
    """The newsletter could not be written."""


def write_section(topic: str) -> str:
    response = requests.post(
        API_URL + "/v1/chat/completions",
        json={"model": MODEL, "messages": [{"role": "user", "content": topic}]},
        timeout=30,
    )
    if response.status_code != 200:
        raise NewsletterError(f"the API answered {response.status_code}")
    return response.json()["choices"][0]["message"]["content"]
