"""Requests made otherwise than by calling a client's method: by partials, by name, by handing the method on."""

from pathlib import Path

import pytest

from apicache_codemods.analysis import analyse

SHAPES = {
    "a partial": (
        "partial",
        """
        from functools import partial
        import requests
        p = partial(requests.get, "https://api.example.com/a", timeout=3)
        def load():
            return p()  # -> GET api.example.com/a
        """,
    ),
    "a partial of a partial, the URL given last": (
        "partial",
        """
        from functools import partial
        import requests
        verb = partial(partial(requests.request, "PUT"), timeout=3)
        verb("https://api.example.com/a")  # -> PUT api.example.com/a
        """,
    ),
    "a partial kept on an object": (
        "partial",
        """
        import functools, httpx
        class Service:
            def __init__(self, client: httpx.AsyncClient):
                self._post = functools.partial(client.post, "https://api.example.com/a")
            async def load(self):
                return await self._post(json={})  # -> POST api.example.com/a
        """,
    ),
    "a name looked up": (
        "getattr",
        """
        import requests
        getattr(requests.Session(), "delete")("https://api.example.com/a")  # -> DELETE api.example.com/a
        """,
    ),
    "a name that is not known": (
        "getattr",
        """
        import requests
        def send(method):
            return getattr(requests, method.lower())("https://api.example.com/a")  # -> {} api.example.com/a
        """,
    ),
    "a method handed to a retrying function of the project": (
        "handed",
        """
        from openai import OpenAI
        client = OpenAI()
        def retry(call, times, **kwargs):
            def attempt():
                return call(**kwargs)
            return attempt()
        retry(client.chat.completions.create, 3, model="m")  # -> POST api.openai.com/v1/chat/completions
        """,
    ),
    "threads and executors": (
        "handed",
        """
        import asyncio, requests
        async def load(loop, pool):
            await asyncio.to_thread(requests.get, "https://api.example.com/a")  # -> GET api.example.com/a
            await loop.run_in_executor(None, requests.get, "https://api.example.com/b")  # -> GET api.example.com/b
            pool.submit(requests.post, "https://api.example.com/c", json={})  # -> POST api.example.com/c
        """,
    ),
    "a partial handed on": (
        "handed",
        """
        import asyncio
        from functools import partial
        import requests
        async def load():
            send = partial(requests.get, "https://api.example.com/a")
            await asyncio.to_thread(send)  # -> GET api.example.com/a
            await asyncio.to_thread(partial(requests.get, "https://api.example.com/b"))  # -> GET api.example.com/b
        """,
    ),
    "map, and a method kept in a name": (
        "handed",
        """
        import httpx
        fetch = httpx.Client(base_url="https://api.example.com").get
        answers = list(map(fetch, ["/a"]))  # -> GET api.example.com/a
        """,
    ),
    "a thread": (
        "handed",
        """
        import requests, threading
        threading.Thread(target=requests.get, args=("https://api.example.com/a",))  # -> GET api.example.com/a
        """,
    ),
}


@pytest.mark.parametrize(("form", "source"), SHAPES.values(), ids=SHAPES.keys())
def test_the_call_that_makes_the_request_is_the_site(check, project, form, source):
    check(source)
    found = analyse([Path(project.root)], project.root).sites
    assert {resolved.form for resolved in found} == {form}


REFUSED = {
    "a partial that is not called": """
        import functools, requests
        functools.partial(requests.get, "https://api.example.com")
    """,
    "a function that only stores what it is passed": """
        import requests
        class Registry:
            def __init__(self, call):
                self.call = call
        Registry(requests.get)
    """,
    "a decorator of the project: the call of what it gives is not followed": """
        import requests
        def logged(call):
            def inner(*args):
                return call(*args)
            return inner
        logged(requests.get)
    """,
    "inspection": """
        import inspect, requests
        inspect.signature(requests.get)
        print(requests.get, callable(requests.get))
    """,
    "mocks": """
        from unittest import mock
        import requests
        mock.Mock(spec=requests.get)
        mock.patch.object(requests, "get", requests.post)
    """,
    "getattr of what is no verb": """
        import requests
        getattr(requests, "codes")("x")
        getattr(requests.Session(), "close")()
    """,
}


@pytest.mark.parametrize("source", REFUSED.values(), ids=REFUSED.keys())
def test_a_method_that_need_not_be_called_is_no_site(check, source):
    check(source)
