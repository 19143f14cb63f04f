"""Seventeen shapes of one request and two decoys: what resolvers by name, by type and by pattern each miss some of."""

SEVENTEEN = {
    "clients.py": """
        import functools
        import httpx
        import requests
        shared = httpx.Client()
        class Api(requests.Session):
            pass
        def make():
            return httpx.Client()
        @functools.lru_cache
        def cached():
            return httpx.Client()
    """,
    "app.py": """
        import httpx
        import requests
        import requests as http
        from requests import get
        from requests import get as fetch
        from httpx import AsyncClient as Async
        from clients import Api, cached, make, shared
        URL = "https://api.example.com/users"
        requests.get(URL)  # -> GET api.example.com/users
        http.get(URL)  # -> GET api.example.com/users
        get(URL)  # -> GET api.example.com/users
        fetch(URL)  # -> GET api.example.com/users
        client = httpx.Client()
        def module_client():
            return client.get(URL)  # -> GET api.example.com/users
        class Service:
            def __init__(self, given: httpx.Client, base):
                self.client = httpx.Client()
                self.given = given
                self.options = base
            def own(self):
                return self.client.get(URL)  # -> GET api.example.com/users
            def injected(self):
                return self.given.get(URL)  # -> GET api.example.com/users
            def decoy(self):
                return self.options.get(URL)
        def annotated(c: httpx.Client):
            return c.get(URL)  # -> GET api.example.com/users
        async def entered():
            async with Async() as c:
                return await c.get(URL)  # -> GET api.example.com/users
        def imported():
            return shared.get(URL)  # -> GET api.example.com/users
        def factory():
            return make().get(URL)  # -> GET api.example.com/users
        def remembered():
            return cached().get(URL)  # -> GET api.example.com/users
        def derived():
            return Api().get(URL)  # -> GET api.example.com/users
        def verb():
            return requests.Session().request("GET", URL)  # -> GET api.example.com/users
        def named():
            return getattr(requests, "get")(URL)  # -> GET api.example.com/users
        def kept():
            call = client.get
            return call(URL)  # -> GET api.example.com/users
        def unannotated(c):
            return c.get(URL)  # -> GET api.example.com/users
        def decoy(cache: dict):
            return unannotated(client), cache.get(URL)
    """,
}


def test_seventeen_shapes_are_found_and_two_decoys_are_not(check):
    assert len(check(SEVENTEEN).call_sites) == 17
