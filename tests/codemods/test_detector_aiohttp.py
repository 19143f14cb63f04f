"""The aiohttp detector: how it joins URLs is how aiohttp joins them; what a session is not."""

import asyncio

import aiohttp
import pytest

JOINED = [
    ("https://api.example.com", "/users"),
    ("https://api.example.com/v1/", "users"),
    ("https://api.example.com/v1/", "/users"),
    ("https://api.example.com/v1/", "users/7/"),
    ("https://api.example.com/v1/", "https://other.example.com/x"),
    ("https://api.example.com:443/v1/", "/users?page=1"),
]


def built(base_url, url):
    """The URL that a session builds."""

    async def build():
        async with aiohttp.ClientSession(base_url) as session:
            return session._build_url(url)

    return asyncio.run(build())


@pytest.mark.parametrize(("base_url", "url"), JOINED)
def test_the_endpoint_is_that_of_the_url_aiohttp_builds(project, base_url, url):
    expected = built(base_url, url)
    source = f"import aiohttp\nsession = aiohttp.ClientSession({base_url!r})\nsession.get({url!r})\n"
    (site,) = project.scan(source).call_sites
    assert site.endpoint == f"GET {expected.host}{expected.path}"


def test_sessions_are_found_in_every_shape(check):
    report = check("""
        import aiohttp
        from aiohttp import ClientSession as Session, ClientTimeout

        async def entered(session: aiohttp.ClientSession, method):
            async with session.get("https://api.example.com/a") as response:  # -> GET api.example.com/a
                return await response.json()
            async with session.request(method, "https://api.example.com/a"):  # -> {} api.example.com/a
                pass
            async with aiohttp.request("HEAD", "https://api.example.com/a"):  # -> HEAD api.example.com/a
                pass

        async def together():
            async with Session() as s, s.post("https://api.example.com/b", json={}) as r:  # -> POST api.example.com/b
                await r.read()
            response = await s.put("https://api.example.com/b")  # -> PUT api.example.com/b
            async with Session(base_url="https://api.example.com/v2/") as based:
                await based.delete("c")  # -> DELETE api.example.com/v2/c

        class Api:
            def __init__(self, session=None):
                self._session = session or aiohttp.ClientSession(timeout=ClientTimeout(1))

            async def load(self, key):
                async with self._session.get(f"https://api.example.com/d/{key}") as r:  # -> GET api.example.com/d/{}
                    return await r.text()

        def shared(app, url="https://api.example.com"):
            return aiohttp.ClientSession(app.base)

        async def made(app):
            await shared(app).options("/e")  # -> OPTIONS {}/e
    """)
    assert all(site.is_async for site in report.call_sites)
    assert {site.library for site in report.call_sites} == {"aiohttp"}


def test_what_looks_like_a_session_is_none(check):
    check("""
        import aiohttp
        from aiohttp import web
        routes = web.RouteTableDef()
        app = web.Application()

        @routes.get("/users")
        async def users(request: web.Request):
            request.app.get("key")
            request.headers.get("X")
            return web.json_response(await request.post())

        app.router.add_get("/users", users)

        async def frames(session: aiohttp.ClientSession):
            async with session.ws_connect("wss://api.example.com/ws") as socket:
                await socket.send_json({})
                await socket.receive_json()
                async for message in socket:
                    message.json()

        async def response(session: aiohttp.ClientSession):
            await session.close()
            session.headers.get("X")
            session.cookie_jar.update_cookies({})
            jar = aiohttp.CookieJar()
            jar.get("x")
            aiohttp.ClientTimeout(total=1)
            aiohttp.TCPConnector().request("GET", "x")
    """)
