"""The httpx detector against httpx itself: how it joins URLs is how scan joins them."""

import httpx
import pytest

JOINED = [
    ("https://api.example.com", "/users"),
    ("https://api.example.com/", "/users"),
    ("https://api.example.com/v1", "/users"),
    ("https://api.example.com/v1/", "users"),
    ("https://api.example.com/v1", "users/"),
    ("https://api.example.com/v1", ""),
    ("https://api.example.com/v1/", "/"),
    ("https://api.example.com/v1", "https://other.example.com/x"),
    ("https://api.example.com:443/v1", "/users?page=1"),
]


@pytest.mark.parametrize(("base_url", "url"), JOINED)
def test_the_endpoint_is_that_of_the_request_httpx_builds(project, base_url, url):
    request = httpx.Client(base_url=base_url).build_request("GET", url)
    source = f"import httpx\nclient = httpx.Client(base_url={base_url!r})\nclient.get({url!r})\n"
    (site,) = project.scan(source).call_sites
    assert site.endpoint == f"GET {request.url.host}{request.url.path}"


def test_of_two_possible_clients_the_one_that_is_awaited_counts(project):
    source = """
        import httpx
        async def load(client: httpx.Client | httpx.AsyncClient):
            if fast:
                return client.get("https://api.example.com/a")
            async with client.stream("GET", "https://api.example.com/b"):
                return await client.get("https://api.example.com/c")
    """
    assert [site.is_async for site in project.scan(source).call_sites] == [False, True, True]


def test_an_asynchronous_client_is_told_from_a_synchronous_one(project):
    source = """
        import httpx
        async def load():
            async with httpx.AsyncClient() as a:
                await a.get("https://api.example.com/a")
        with httpx.Client() as b:
            b.get("https://api.example.com/b")
        httpx.get("https://api.example.com/c")
    """
    assert [site.is_async for site in project.scan(source).call_sites] == [True, False, False]
