"""Clients that other modules use."""

from __future__ import annotations

import contextvars
import functools
import threading
from typing import TYPE_CHECKING

import httpx
import requests
from requests import get as fetch  # re-exported

from . import config

if TYPE_CHECKING:
    from httpx import AsyncClient

http = httpx.Client(base_url=config.BASE)
session = requests.Session()
clients = {"main": httpx.Client(base_url="https://main.example.com"), "cdn": httpx.Client(base_url="https://cdn.example.com")}
current: contextvars.ContextVar[httpx.AsyncClient] = contextvars.ContextVar("current")
_local = threading.local()
_client: httpx.AsyncClient | None = None
ping = functools.partial(requests.get, "https://status.example.com/ping")


def make_session() -> requests.Session:
    return requests.Session()


@functools.lru_cache(maxsize=1)
def cached_client():
    return httpx.Client(base_url=config.BASE)


def lazy_client() -> AsyncClient:
    global _client
    if _client is None:
        _client = httpx.AsyncClient()
    return _client


def thread_session():
    if not hasattr(_local, "session"):
        _local.session = requests.Session()
    _local.session.get("https://api.example.com/warm-up")  # site: GET api.example.com/warm-up
    return _local.session


class Gateway:
    """Holds a client, made late."""

    client_class = httpx.Client

    def __init__(self) -> None:
        self._http = None

    def connect(self) -> None:
        self._http = self.client_class(base_url=config.BASE)

    def users(self):
        return self._http.get("/users")  # site: GET api.example.com/users

    @property
    def http(self):
        if self._http is None:
            self.connect()
        return self._http

    def __getitem__(self, name):
        return self.settings.get(name)  # none


class Proxy:
    """Stands in front of a client."""

    def __init__(self, client: httpx.Client) -> None:
        self._wrapped = client

    def __getattr__(self, name):
        return getattr(self._wrapped, name)


class ApiSession(requests.Session):
    """A session of our own."""

    def whoami(self):
        return self.get("https://api.example.com/me")  # site: GET api.example.com/me

    def request(self, method, url, **kwargs):
        return super().request(method, url, **kwargs)  # site: ?
