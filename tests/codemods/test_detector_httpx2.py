"""The httpx2 detector against httpx2 itself."""

import httpx2
import pytest

JOINED = [
    ("https://api.example.com", "/users"),
    ("https://api.example.com/v1/", "users"),
    ("https://api.example.com/v1", "/users"),
    ("https://api.example.com/v1", "https://other.example.com/x"),
]


@pytest.mark.parametrize(("base_url", "url"), JOINED)
def test_the_endpoint_is_that_of_the_request_httpx2_builds(project, base_url, url):
    request = httpx2.Client(base_url=base_url).build_request("GET", url)
    source = f"import httpx2\nclient = httpx2.Client(base_url={base_url!r})\nclient.get({url!r})\n"
    (site,) = project.scan(source).call_sites
    assert site.endpoint == f"GET {request.url.host}{request.url.path}"


def test_what_httpx2_has_beyond_httpx(check):
    check("""
        import httpx2

        async def load(client: httpx2.AsyncClient):
            await client.query("https://api.example.com/a", json={})  # -> QUERY api.example.com/a
            async with client.sse("https://api.example.com/b") as events:  # -> GET api.example.com/b
                async for event in events:
                    event.json()
            async with client.sse("https://api.example.com/b", method="POST"):  # -> POST api.example.com/b
                pass
            async with client.websocket("wss://api.example.com/c") as socket:
                await socket.send_text("hello")
            await client.send(client.build_request("PUT", "https://api.example.com/d"))  # -> PUT api.example.com/d

        httpx2.query("https://api.example.com/a")  # -> QUERY api.example.com/a
        httpx2.Headers({}).get("a")
        httpx2.URL("https://api.example.com").join("/a")
        httpx2.Response(200).json().get("a")
    """)
