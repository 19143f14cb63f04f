"""Every shape in which a client is reached. Each source names its call sites in comments; nothing else may be found."""

import pytest

SHAPES = {
    "a function of the module": """
        import requests
        requests.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a module under another name": """
        import httpx as h
        h.post("https://api.example.com/users")  # -> POST api.example.com/users
    """,
    "a function imported under another name": """
        from requests import get as fetch
        def load():
            return fetch("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a client at module level, used in a function": """
        import httpx
        client = httpx.Client()
        def load():
            return client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a class imported under another name": """
        from httpx import AsyncClient as C
        client = C()
        async def load():
            return await client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a class aliased by assignment": """
        import httpx
        Http = httpx.Client
        def load():
            http = Http()
            return http.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an attribute set in __init__": """
        import httpx
        class Service:
            def __init__(self):
                self.client = httpx.Client()
            def load(self):
                return self.client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an attribute set in another method, after a None": """
        import requests
        class Service:
            def __init__(self):
                self._session = None
            def connect(self):
                self._session = requests.Session()
            def load(self):
                return self._session.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an attribute of the class": """
        import requests
        class Service:
            session = requests.Session()
            def load(self):
                return self.session.get("https://api.example.com/users")  # -> GET api.example.com/users
            @classmethod
            def all(cls):
                return cls.session.get("https://api.example.com/all")  # -> GET api.example.com/all
    """,
    "an annotated field of a dataclass": """
        from dataclasses import dataclass
        import httpx
        @dataclass
        class Service:
            client: httpx.AsyncClient
            async def load(self):
                return await self.client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an annotated parameter": """
        import httpx
        async def load(client: httpx.AsyncClient):
            return await client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an annotation written as a string": """
        from __future__ import annotations
        from typing import TYPE_CHECKING
        if TYPE_CHECKING:
            import httpx
        def load(client: "httpx.Client"):
            return client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an optional parameter, both spellings": """
        from typing import Annotated, Optional
        import httpx
        def load(a: Optional[httpx.Client], b: httpx.Client | None, c: Annotated[httpx.Client, "x"]):
            a.get("https://api.example.com/a")  # -> GET api.example.com/a
            b.get("https://api.example.com/b")  # -> GET api.example.com/b
            c.get("https://api.example.com/c")  # -> GET api.example.com/c
    """,
    "a constructor that is handed a client": """
        import httpx
        class Service:
            def __init__(self, client: httpx.Client | None = None):
                self._client = client or httpx.Client()
            def load(self):
                return self._client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a constructor that is handed a client, nothing annotated": """
        import httpx
        class Service:
            def __init__(self, name, client=None):
                self._client = client
            def load(self):
                return self._client.get("https://api.example.com/users")  # -> GET api.example.com/users
        Service("a", client=httpx.Client()).load()
    """,
    "a function that is handed a client, nothing annotated": """
        import httpx
        def load(client, page):
            page.get("https://api.example.com/a")
            return client.get("https://api.example.com/b")  # -> GET api.example.com/b
        class Service:
            def load(self, client):
                return client.get("https://api.example.com/c")  # -> GET api.example.com/c
            def all(self, http: httpx.Client):
                return load(http, {}), self.load(http)
    """,
    "a context manager": """
        import httpx
        def load():
            with httpx.Client() as client:
                return client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an asynchronous context manager": """
        import httpx
        async def load():
            async with httpx.AsyncClient() as c:
                return await c.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a factory": """
        import requests
        def make():
            session = requests.Session()
            session.headers["a"] = "b"
            return session
        def load():
            return make().get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a factory that awaits": """
        import httpx
        async def make():
            return httpx.AsyncClient()
        async def load():
            client = await make()
            return await client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a lazy property": """
        from functools import cached_property
        import requests
        class Service:
            @cached_property
            def session(self):
                return requests.Session()
            def load(self):
                return self.session.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a property with a setter": """
        import httpx
        class Service:
            @property
            def client(self):
                return self._client
            @client.setter
            def client(self, client: httpx.Client):
                self._client = client
            def load(self):
                return self.client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a function annotated to return a client": """
        from collections.abc import Iterator
        from contextlib import contextmanager
        import httpx
        def make() -> httpx.Client:
            return registry["http"]
        @contextmanager
        def lend() -> Iterator[httpx.Client]:
            yield registry["http"]
        make().get("https://api.example.com/a")  # -> GET api.example.com/a
        with lend() as client:
            client.get("https://api.example.com/b")  # -> GET api.example.com/b
    """,
    "a lazy global": """
        import httpx
        _client = None
        def client():
            global _client
            if _client is None:
                _client = httpx.Client()
            return _client
        def load():
            return client().get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a subclass of a session": """
        import requests
        class Api(requests.Session):
            def load(self):
                return self.get("https://api.example.com/users")  # -> GET api.example.com/users
            def head(self, url):
                return super().head("https://api.example.com/health")  # -> HEAD api.example.com/health
        Api().post("https://api.example.com/users")  # -> POST api.example.com/users
    """,
    "chained assignment, tuples and a walrus": """
        import httpx
        a = b = httpx.Client()
        c, d = httpx.Client(), {}
        if (e := httpx.Client()):
            a.get("https://api.example.com/a")  # -> GET api.example.com/a
            b.get("https://api.example.com/b")  # -> GET api.example.com/b
            c.get("https://api.example.com/c")  # -> GET api.example.com/c
            d.get("https://api.example.com/d")
            e.get("https://api.example.com/e")  # -> GET api.example.com/e
    """,
    "an annotated assignment": """
        import httpx
        client: httpx.Client = make()
        client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a conditional import": """
        try:
            import httpx
        except ImportError:
            httpx = None
        def load():
            return httpx.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a client made in the same expression": """
        import httpx, requests
        httpx.Client().get("https://api.example.com/a")  # -> GET api.example.com/a
        requests.session().get("https://api.example.com/b")  # -> GET api.example.com/b
    """,
    "a closure": """
        import httpx
        def outer():
            client = httpx.Client()
            def inner():
                return client.get("https://api.example.com/users")  # -> GET api.example.com/users
            return inner
    """,
    "a lambda and comprehensions": """
        import httpx
        client = httpx.Client()
        later = lambda: client.get("https://api.example.com/a")  # -> GET api.example.com/a
        every = [client.get("https://api.example.com/b") for _ in range(3)]  # -> GET api.example.com/b
        pairs = {n: client.get("https://api.example.com/c") for n in range(3)}  # -> GET api.example.com/c
    """,
    "a nonlocal client": """
        import httpx
        def outer():
            client = None
            def connect():
                nonlocal client
                client = httpx.Client()
            def load():
                return client.get("https://api.example.com/users")  # -> GET api.example.com/users
            return connect, load
    """,
    "a context manager of the project": """
        import contextlib
        import httpx
        @contextlib.contextmanager
        def session():
            client = httpx.Client()
            yield client
        def load():
            with session() as client:
                client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a class that enters as its client": """
        import httpx
        class Session:
            def __init__(self):
                self.client = httpx.AsyncClient()
            async def __aenter__(self):
                return self.client
        async def load():
            async with Session() as client:
                await client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an exit stack": """
        import contextlib, httpx
        async def load():
            async with contextlib.AsyncExitStack() as stack:
                client = await stack.enter_async_context(httpx.AsyncClient())
                await client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "attributes through other types": """
        import requests
        class Transport:
            def __init__(self):
                self.http = requests.Session()
        class Service:
            def __init__(self, transport: Transport):
                self.transport = transport
            def load(self):
                return self.transport.http.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an attribute of a base class": """
        import requests
        class Base:
            def __init__(self):
                self.http = requests.Session()
        class Service(Base):
            def load(self):
                return self.http.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "an instance held by another object": """
        import httpx
        class Clients:
            api = httpx.Client()
        clients = Clients()
        def load():
            return clients.api.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a method kept in a name": """
        import httpx
        client = httpx.Client()
        fetch = client.get
        fetch("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "a rebound name": """
        import httpx
        def load(client):
            client.get("https://api.example.com/a")
            client = httpx.Client()
            client.get("https://api.example.com/b")  # -> GET api.example.com/b
            client = {}
            client.get("https://api.example.com/c")
    """,
    "a name bound later in a loop": """
        import httpx
        def load():
            client = None
            while True:
                if client is not None:
                    client.get("https://api.example.com/a")  # -> GET api.example.com/a
                client = httpx.Client()
    """,
    "a default client": """
        import requests
        def load(session=requests.Session()):
            return session.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "typing.cast": """
        from typing import cast
        import httpx
        client = cast(httpx.Client, registry["http"])
        client.get("https://api.example.com/users")  # -> GET api.example.com/users
    """,
    "streams": """
        import httpx
        async def load(client: httpx.AsyncClient):
            async with client.stream("GET", "https://api.example.com/a") as response:  # -> GET api.example.com/a
                response.get("x")
    """,
    "prepared requests": """
        import httpx, requests
        client, session = httpx.Client(base_url="https://api.example.com"), requests.Session()
        request = client.build_request("POST", "/users")
        client.send(request)  # -> POST api.example.com/users
        raw = requests.Request("PUT", "https://api.example.com/users")
        session.send(raw.prepare())  # -> PUT api.example.com/users
        session.send(session.prepare_request(raw))  # -> PUT api.example.com/users
        client.send(somewhere())  # -> ?
    """,
    "the openai module itself": """
        import openai
        openai.chat.completions.create(model="m")  # -> POST api.openai.com/v1/chat/completions
    """,
    "an SDK client with options and raw responses": """
        from openai import AsyncOpenAI
        client = AsyncOpenAI()
        async def ask():
            await client.with_options(timeout=3).chat.completions.create()  # -> POST api.openai.com/v1/chat/completions
            await client.embeddings.with_raw_response.create()  # -> POST api.openai.com/v1/embeddings
    """,
    "an SDK client's own verbs": """
        from openai import OpenAI
        client = OpenAI()
        client.post("/chat/completions", body={}, cast_to=object)  # -> POST api.openai.com/v1/chat/completions
    """,
    "a part of an SDK client in a name": """
        from openai import OpenAI
        completions = OpenAI().chat.completions
        completions.create(model="m")  # -> POST api.openai.com/v1/chat/completions
    """,
}


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
def test_a_call_is_found_when_its_client_is(check, shape):
    check(shape)
