"""Sites that become operations, before and after, with the operation that they became."""

import pytest

PAIRS = {
    "only the call is replaced where the response is used otherwise": (
        """
        import requests


        def user(uid):
            response = requests.get(f"https://api.example.com/users/{uid}", timeout=10)
            response.raise_for_status()
            return response.json()


        def name(user_id):
            return requests.get("https://api.example.com/users/%s" % user_id, timeout=10).json()["name"]
        """,
        """
        from api_operations import api_cache


        def user(uid):
            response = api_cache.cached_api_call_sync(
                operation="get_users_by_id",
                url=f"https://api.example.com/users/{uid}",
            )
            response.raise_for_status()
            return response.json()


        def name(user_id):
            return api_cache.cached_api_call_sync(
                operation="get_users_by_id",
                url="https://api.example.com/users/%s" % user_id,
            ).json()["name"]
        """,
        """
        @api_cache.operation("get_users_by_id")
        def get_users_by_id(url):
            \"\"\"GET api.example.com/users/{}, for site.user and site.name.\"\"\"
            return requests.get(url, timeout=10)
        """,
    ),
    "an SDK's response object stays what the site works with": (
        """
        from openai import OpenAI

        client = OpenAI()


        def reply(message):
            completion = client.chat.completions.create(model="m", messages=[{"role": "user", "content": message}])
            return completion.choices[0].message.content
        """,
        """
        from api_operations import api_cache


        def reply(message):
            completion = api_cache.cached_api_call_sync(operation="completion", message=message)
            return completion.choices[0].message.content
        """,
        """
        @api_cache.operation(
            "completion",
            ttl="1h",
            scope=[
                os.getenv("OPENAI_API_KEY"),
                os.getenv("OPENAI_BASE_URL"),
                os.getenv("OPENAI_ORG_ID"),
                os.getenv("OPENAI_PROJECT_ID"),
                os.getenv("OPENAI_CUSTOM_HEADERS"),
            ],
        )
        def completion(message):
            \"\"\"POST api.openai.com/v1/chat/completions, for site.reply.\"\"\"
            return client.chat.completions.create(
                model="m",
                messages=[{"role": "user", "content": message}],
            )
        """,
    ),
    "a client that is opened for the call alone is opened by the operation": (
        """
        import httpx


        async def embed(text):
            async with httpx.AsyncClient(timeout=30) as client:
                response = await client.post("https://api.openai.com/v1/embeddings", json={"input": text})
                response.raise_for_status()
            return response.json()["data"]
        """,
        """
        from api_operations import api_cache


        async def embed(text):
            response = await api_cache.cached_api_call(operation="embedding", text=text)
            response.raise_for_status()
            return response.json()["data"]
        """,
        """
        @api_cache.operation("embedding", ttl="24h")
        async def embedding(text):
            \"\"\"POST api.openai.com/v1/embeddings, for site.embed.\"\"\"
            async with httpx.AsyncClient(timeout=30) as client:
                return await client.post("https://api.openai.com/v1/embeddings", json={"input": text})
        """,
    ),
    "a returned decoded body in one expression collapses, inside try too": (
        """
        import httpx

        # one pool for everybody
        client = httpx.AsyncClient(timeout=30)


        async def ask(prompt):
            try:
                return (await client.post("https://api.openai.com/v1/chat/completions", json={"p": prompt})).json()
            except httpx.HTTPError:
                return None
        """,
        """
        import httpx

        from api_operations import api_cache


        async def ask(prompt):
            try:
                return await api_cache.cached_api_call(operation="completion", prompt=prompt)
            except httpx.HTTPError:
                return None
        """,
        """
        api_cache = UnifiedAPICache()
        # one pool for everybody
        client = httpx.AsyncClient(timeout=30)


        @api_cache.operation("completion", ttl="1h", returns="json")
        async def completion(prompt):
        """,
    ),
    "comments stay above the call that lost their lines": (
        """
        import requests


        def complete(prompt):
            # before
            response = requests.post(  # noqa: S113
                "https://api.openai.com/v1/chat/completions",  # the old endpoint
                json={"prompt": prompt},
            )  # after
            # then
            return response.json()
        """,
        """
        from api_operations import api_cache


        def complete(prompt):
            # before
            # the old endpoint
            # then
            return api_cache.cached_api_call_sync(
                operation="completion",
                prompt=prompt,
            )  # after
        """,
        "def completion(prompt):",
    ),
    "a client that others still use is imported back": (
        """
        import httpx

        client = httpx.AsyncClient()


        async def ask(prompt):
            answer = await client.post("https://api.openai.com/v1/chat/completions", json={"prompt": prompt})
            return answer.json()


        async def upload(data):
            return await client.put("https://api.example.com/x", json=data)


        async def stop():
            await client.aclose()
        """,
        """
        from api_operations import api_cache, client


        async def ask(prompt):
            return await api_cache.cached_api_call(operation="completion", prompt=prompt)


        async def upload(data):
            return await client.put("https://api.example.com/x", json=data)


        async def stop():
            await client.aclose()
        """,
        "client = httpx.AsyncClient()",
    ),
    "what a call reads from the environment is read by the operation, and asked for at each call": (
        """
        import os

        import requests

        URL = "https://api.openai.com/v1"


        def ask(prompt):
            headers = {"X": "1"}
            return requests.post(
                f"{URL}/chat/completions",
                headers={"Authorization": f"Bearer {os.environ['LLM_KEY']}"},
                json={"model": os.getenv("MODEL", "m"), "prompt": prompt, "headers": headers},
            ).json()
        """,
        """
        from api_operations import api_cache

        URL = "https://api.openai.com/v1"


        def ask(prompt):
            headers = {"X": "1"}
            return api_cache.cached_api_call_sync(
                operation="completion",
                prompt=prompt,
                headers=headers,
            )
        """,
        """
        @api_cache.operation(
            "completion",
            ttl="1h",
            returns="json",
            scope=lambda: [os.getenv("LLM_KEY"), os.getenv("MODEL")],
        )
        def completion(prompt, headers):
            \"\"\"POST api.openai.com/v1/chat/completions, for site.ask.\"\"\"
            return requests.post(
                "https://api.openai.com/v1/chat/completions",
                headers={"Authorization": f"Bearer {os.environ['LLM_KEY']}"},
                json={"model": os.getenv("MODEL", "m"), "prompt": prompt, "headers": headers},
            )
        """,
    ),
    "the same differing pair is one parameter, and arguments keep their order of evaluation": (
        """
        import requests


        def first(a, b):
            return requests.post("https://api.example.com/search", json={"q": a, "again": a, "n": f(b)}, timeout=5)


        def second(x, y):
            return requests.post("https://api.example.com/search", timeout=5, json={"q": x, "again": x, "n": g(y)})
        """,
        """
        from api_operations import api_cache


        def first(a, b):
            return api_cache.cached_api_call_sync(operation="post_search", q=a, n=f(b))


        def second(x, y):
            return api_cache.cached_api_call_sync(operation="post_search", q=x, n=g(y))
        """,
        """
        def post_search(q, n):
            \"\"\"POST api.example.com/search, for site.first and site.second.\"\"\"
            return requests.post(
                "https://api.example.com/search",
                json={"q": q, "again": q, "n": n},
                timeout=5,
            )
        """,
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_before_and_after(project, name, dedented):
    before, after, operation = PAIRS[name]
    project.put({"site.py": before})
    plan = project.migrate()
    assert project.read("site.py") == dedented(after)
    assert dedented(operation) in project.read("api_operations.py")
    assert {site.style for site in plan.sites if site.decision == "rewritten"} == {"operation"}
