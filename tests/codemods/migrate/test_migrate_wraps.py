# ruff: noqa: E501 - a table reads best with one case a line
"""Sites that are wrapped: only the call changes, and its import finds the right place."""

import pytest

PAIRS = {
    "sync and async, nested, deferred, not awaited on the spot": (
        """
        import asyncio

        import httpx

        client = httpx.AsyncClient()


        async def many(urls):
            return await asyncio.gather(*(client.get(url) for url in urls))


        async def one(url):
            task = asyncio.create_task(client.get(url, headers={"a": "b"}))
            return (await task).text


        later = lambda url: httpx.get(url)


        def code_of(url):
            if (r := httpx.head(url)).is_success:
                return r.status_code
        """,
        """
        import asyncio

        import httpx
        from apicache import cached_api_call, cached_api_call_sync

        client = httpx.AsyncClient()


        async def many(urls):
            return await asyncio.gather(*(cached_api_call(client.get, url) for url in urls))


        async def one(url):
            task = asyncio.create_task(cached_api_call(client.get, url, headers={"a": "b"}))
            return (await task).text


        later = lambda url: cached_api_call_sync(httpx.get, url)


        def code_of(url):
            if (r := cached_api_call_sync(httpx.head, url)).is_success:
                return r.status_code
        """,
    ),
    "a call over several lines keeps its layout": (
        """
        import requests


        def hanging(url):
            return requests.get(
                url,  # where
                params={"a": 1}
            )


        def packed(url):
            return requests.get(
                url, params={"a": 1}, timeout=10
            )


        def packed_but_long(url):
            return requests.get(
                url, params={"a-rather-long-name": 1, "another-rather-long-name": 1}, timeout=10
            )


        def aligned(url):
            return requests.get(url,
                                params={"a": 1})


        def long(url):
            response = requests.get(url, params={"first": 1, "second": 2}, headers={"a": "b"}, timeout=10)
            return response
        """,
        """
        import requests
        from apicache import cached_api_call_sync


        def hanging(url):
            return cached_api_call_sync(
                requests.get,
                url,  # where
                params={"a": 1}
            )


        def packed(url):
            return cached_api_call_sync(
                requests.get, url, params={"a": 1}, timeout=10
            )


        def packed_but_long(url):
            return cached_api_call_sync(
                requests.get,
                url,
                params={"a-rather-long-name": 1, "another-rather-long-name": 1},
                timeout=10,
            )


        def aligned(url):
            return cached_api_call_sync(
                requests.get,
                url,
                params={"a": 1},
            )


        def long(url):
            response = cached_api_call_sync(
                requests.get,
                url,
                params={"first": 1, "second": 2},
                headers={"a": "b"},
                timeout=10,
            )
            return response
        """,
    ),
    "attributes, parameters and opened clients": (
        """
        import httpx
        import requests


        class Api:
            def __init__(self):
                self.session = requests.Session()

            def get(self, path):
                return self.session.get(f"https://api.example.com/{path}")


        def fetch(client: httpx.Client, path):
            return client.get(path)


        async def opened(url):
            async with httpx.AsyncClient() as c:
                return (await c.get(url)).json()
        """,
        """
        import httpx
        import requests
        from apicache import cached_api_call, cached_api_call_sync


        class Api:
            def __init__(self):
                self.session = requests.Session()

            def get(self, path):
                return cached_api_call_sync(self.session.get, f"https://api.example.com/{path}")


        def fetch(client: httpx.Client, path):
            return cached_api_call_sync(client.get, path)


        async def opened(url):
            async with httpx.AsyncClient() as c:
                return (await cached_api_call(c.get, url)).json()
        """,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_before_and_after(project, name, dedented):
    before, after = PAIRS[name]
    project.put({"site.py": before})
    plan = project.migrate(style="wrap")
    assert project.read("site.py") == dedented(after)
    assert {(site.decision, site.style, site.code) for site in plan.sites} == {("rewritten", "wrap", "M003")}
    assert [change.path for change in plan.changes] == ["site.py"]


IMPORTS = {
    "after docstring and __future__": (
        '"""Doc."""\nfrom __future__ import annotations\nimport requests as r\n',
        '"""Doc."""\nfrom __future__ import annotations\nimport requests as r\nfrom apicache import cached_api_call_sync\n',
    ),
    "never inside TYPE_CHECKING": (
        "import requests as r\nfrom typing import TYPE_CHECKING\n\nif TYPE_CHECKING:\n    from a import B\n",
        "import requests as r\nfrom typing import TYPE_CHECKING\nfrom apicache import cached_api_call_sync\n\nif TYPE_CHECKING:\n    from a import B\n",
    ),
    "joined with an import of the same module": (
        "import requests as r\nfrom apicache import cached\n",
        "import requests as r\nfrom apicache import cached, cached_api_call_sync\n",
    ),
    "joined in parentheses": (
        "import requests as r\nfrom apicache import (\n    cached,\n    using,\n)\n",
        "import requests as r\nfrom apicache import (\n    cached,\n    using,\n)\nfrom apicache import cached_api_call_sync\n",
    ),
    "used as it is already imported": (
        "import requests as r\nfrom apicache import cached_api_call_sync as call\n",
        "import requests as r\nfrom apicache import cached_api_call_sync as call\n",
    ),
    "below what the path is set for": (
        "import sys\nsys.path.insert(0, 'lib')\nimport requests as r\n",
        "import sys\nsys.path.insert(0, 'lib')\nimport requests as r\nfrom apicache import cached_api_call_sync\n",
    ),
    "after a licence": (
        "#!/usr/bin/env python\n# Licence.\n\nimport requests as r\n",
        "#!/usr/bin/env python\n# Licence.\n\nimport requests as r\nfrom apicache import cached_api_call_sync\n",
    ),
    "between libraries and the project's own": (
        "import requests as r\n\nfrom site_b import x\n",
        "import requests as r\nfrom apicache import cached_api_call_sync\n\nfrom site_b import x\n",
    ),
}


@pytest.mark.parametrize("name", IMPORTS)
def test_the_import_is_placed(project, name):
    before, after = IMPORTS[name]
    function = "\n\ndef f(url):\n    return {}(r.get, url)\n"
    (project.folder / "site_a.py").write_text(before + "\n\ndef f(url):\n    return r.get(url)\n")
    (project.folder / "site_b.py").write_text("x = 1\n")
    project.migrate()
    called = "call" if "as call" in before else "cached_api_call_sync"
    assert project.read("site_a.py") == after + function.format(called)


@pytest.mark.parametrize(
    "shadow",
    [
        "def cached_api_call_sync(x):\n    return x\n",
        "def g(cached_api_call_sync):\n    return cached_api_call_sync\n",
        "cached_api_call_sync = None\n",
        "from somewhere import cached_api_call_sync\n",
    ],
)
def test_a_name_that_means_something_else_is_left_alone(project, shadow):
    project.put({"a.py": f"import requests\n{shadow}\ndef f(url):\n    return requests.get(url)\n"})
    project.migrate()
    text = project.read("a.py")
    assert "from apicache import cached_api_call_sync as apicache_cached_api_call_sync" in text
    assert "return apicache_cached_api_call_sync(requests.get, url)" in text
    assert shadow in text


def test_an_inner_site_and_the_one_around_it_are_both_wrapped(project):
    project.put({"a.py": "import requests\n\ndef f(u):\n    return requests.get(requests.get(u).text)\n"})
    project.migrate()
    wrapped = "cached_api_call_sync(requests.get, cached_api_call_sync(requests.get, u).text)"
    assert f"return {wrapped}\n" in project.read("a.py")
