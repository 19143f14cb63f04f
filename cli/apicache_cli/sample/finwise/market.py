"""Market data."""

import requests

from finwise.config import API_URL


class Market:
    """Quotes over one connection."""

    def __init__(self) -> None:
        self._session = requests.Session()
        self._session.headers["Accept"] = "application/json"

    def price(self, symbol: str) -> float:
        response = self._session.get(f"{API_URL}/v1/quotes/{symbol}", timeout=10)
        response.raise_for_status()
        return response.json()["price"]

    def close(self) -> None:
        self._session.close()


def headline(symbol: str) -> str:
    with requests.Session() as session:
        quote = session.get(f"{API_URL}/v1/quotes/{symbol}", timeout=10).json()
    return f"{quote['symbol']} stands at {quote['price']}"
