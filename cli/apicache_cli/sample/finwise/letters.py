"""Letters to customers."""

import requests

from finwise.config import API_URL, MODEL


def write_letter(occasion):
    r = requests.post(API_URL + "/v1/chat/completions", json={"model": MODEL, "messages": [{"role": "user", "content": occasion}]}, timeout=30)
    r.raise_for_status()
    return r.json()["choices"][0]["message"]["content"]
