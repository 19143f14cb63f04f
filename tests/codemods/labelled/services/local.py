"""One module: how a name comes to a client."""

import contextlib
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Annotated, Any, Callable, Optional

import httpx
import requests
from pydantic import BaseModel, Field, PrivateAttr

try:
    import httpx as maybe
except ImportError:
    maybe = None

requests.get("https://api.example.com/users")  # site: GET api.example.com/users
alias = requests
alias.get("https://api.example.com/a/alias")  # site: GET api.example.com/a/alias
a = b = requests.Session()
b.get("https://api.example.com/a/chained")  # site: GET api.example.com/a/chained
first, (second, _) = httpx.Client(), (httpx.Client(), None)
first.get("https://api.example.com/a/first")  # site: GET api.example.com/a/first
second.get("https://api.example.com/a/second")  # site: GET api.example.com/a/second
if (walrus := httpx.Client()) is not None:
    walrus.get("https://api.example.com/a/walrus")  # site: GET api.example.com/a/walrus
either = httpx.Client() if a else requests.Session()
either.get("https://api.example.com/a/either")  # site: GET api.example.com/a/either
maybe.get("https://api.example.com/a/maybe")  # site: GET api.example.com/a/maybe
httpx.Client().get("https://api.example.com/a/inline")  # site: GET api.example.com/a/inline
with httpx.Client() as managed, contextlib.closing(requests.Session()) as closed:
    managed.get("https://api.example.com/a/managed")  # site: GET api.example.com/a/managed
    closed.get("https://api.example.com/a/closed")  # site: GET api.example.com/a/closed


@dataclass
class Data:
    client: httpx.Client
    made: Any = field(default_factory=requests.Session)
    table: dict = field(default_factory=dict)

    def load(self):
        self.client.get("https://api.example.com/b/data")  # site: GET api.example.com/b/data
        self.made.get("https://api.example.com/b/made")  # site: GET api.example.com/b/made
        self.table.get("key")  # none


class Model(BaseModel):
    client: Optional[httpx.AsyncClient] = None
    lazy: Any = Field(default_factory=httpx.AsyncClient)
    _own: httpx.Client = PrivateAttr()
    name: str = ""

    async def load(self):
        await self.client.get("https://api.example.com/b/model")  # site: GET api.example.com/b/model
        await self.lazy.get("https://api.example.com/b/lazy")  # site: GET api.example.com/b/lazy
        self._own.get("https://api.example.com/b/private")  # site: GET api.example.com/b/private
        self.name.get("x")  # none


class Chain:
    def __init__(self, parent: "Data", factory: Callable[[], httpx.Client]):
        self.parent = parent
        self.factory = factory

    def load(self):
        self.parent.client.get("https://api.example.com/c/chain")  # site: GET api.example.com/c/chain
        self.factory().get("https://api.example.com/c/factory")  # site: GET api.example.com/c/factory
        self.parent.table.get("x")  # none

    @cached_property
    def session(self):
        return requests.Session()

    @property
    def headers(self):
        return {"a": "b"}

    def more(self):
        self.session.get("https://api.example.com/c/lazy")  # site: GET api.example.com/c/lazy
        self.headers.get("a")  # none


class Aliased:
    def __init__(self):
        self.session = requests.Session()
        self.fetch = self.session.get
        self.post = partial(self.session.post, "https://api.example.com/c/posted", timeout=3)
        self.lookup = {}.get

    def load(self):
        self.fetch("https://api.example.com/c/fetched")  # site: GET api.example.com/c/fetched
        self.post(json={"a": 1})  # site: POST api.example.com/c/posted
        self.lookup("x")  # none


class Late:
    def load(self):
        return self.http.get("https://api.example.com/c/late")  # site: GET api.example.com/c/late

    def open(self):
        with httpx.Client() as self.http:
            return self.load()  # none


def annotated(one: "httpx.Client", two: Annotated[httpx.Client, "x"], three: httpx.Client | None, four: dict, five):
    one.get("https://api.example.com/d/one")  # site: GET api.example.com/d/one
    two.get("https://api.example.com/d/two")  # site: GET api.example.com/d/two
    three.get("https://api.example.com/d/three")  # site: GET api.example.com/d/three
    four.get("https://api.example.com/d/four")  # none
    five.get("https://api.example.com/d/five")  # none


def unannotated(client):
    return client.get("https://api.example.com/d/unannotated")  # site: GET api.example.com/d/unannotated


def default(client=requests.Session()):
    return client.get("https://api.example.com/d/default")  # site: GET api.example.com/d/default


def callers():
    unannotated(httpx.Client())  # none
    default()  # none


def nested():
    client = httpx.Client()

    def inner():
        return client.get("https://api.example.com/d/closure")  # site: GET api.example.com/d/closure

    return [client.get(f"https://api.example.com/d/{n}") for n in range(3)], inner  # site: GET api.example.com/d/{}


def variable():
    get = requests.get
    get("https://api.example.com/e/variable")  # site: GET api.example.com/e/variable
    send = partial(requests.post, url="https://api.example.com/e/partial")
    send()  # site: POST api.example.com/e/partial
    partial(requests.get, "https://api.example.com/e/at-once")()  # site: GET api.example.com/e/at-once
    getattr(requests, "get")("https://api.example.com/e/getattr")  # site: GET api.example.com/e/getattr
    verbs = {"get": requests.get, "post": requests.post}
    verbs["post"]("https://api.example.com/e/table")  # site: POST api.example.com/e/table
    for call in (requests.get, requests.head):
        call("https://api.example.com/e/loop")  # site: GET api.example.com/e/loop


def dynamic(method, url):
    getattr(requests, method)("https://api.example.com/e/dynamic")  # site: {} api.example.com/e/dynamic
    session = requests.Session()
    session.request(method, "https://api.example.com/e/requested")  # site: {} api.example.com/e/requested
    session.request("PUT", "https://api.example.com/e/put")  # site: PUT api.example.com/e/put
    verb = getattr(session, method.lower())
    verb("https://api.example.com/e/verb")  # site: {} api.example.com/e/verb
    getattr(session, "headers")  # none
    getattr(session, method)  # none


def kept_in_collections(region):
    pool = {}
    pool[region] = httpx.Client()
    pool[region].get("https://api.example.com/f/pool")  # site: GET api.example.com/f/pool
    many = [httpx.Client() for _ in range(3)]
    many[0].get("https://api.example.com/f/many")  # site: GET api.example.com/f/many
    for each in many:
        each.get("https://api.example.com/f/each")  # site: GET api.example.com/f/each
    for name, client in pool.items():
        client.get("https://api.example.com/f/items")  # site: GET api.example.com/f/items
        name.get("https://api.example.com/f/name")  # none
    pool.get(region)  # none
    pool.get("main").get("https://api.example.com/f/got")  # site: GET api.example.com/f/got
    rows = [{"a": 1}]
    rows[0].get("a")  # none
    for row in rows:
        row.get("a")  # none


class Pool:
    def __init__(self, given: dict[str, httpx.AsyncClient]):
        self._clients = {}
        self._given = given

    async def of(self, name):
        if name not in self._clients:
            self._clients[name] = httpx.AsyncClient()
        return self._clients[name]

    async def load(self, name):
        await (await self.of(name)).get("https://api.example.com/f/own")  # site: GET api.example.com/f/own
        await self._given[name].get("https://api.example.com/f/given")  # site: GET api.example.com/f/given
        for client in self._given.values():
            await client.aclose()  # none
