# ruff: noqa: E501 - code that is migrated is as wide as it is
"""What a call reads besides its arguments: the environment, settings, tenants. All of it may change between calls.

Original and migrated code run the same script, which changes what they read between calls: every answer is the same,
and whatever is asked a second time is not asked upstream again.
"""

import pytest

SHAPES = {
    "a key from the environment in each call": (
        {
            "app.py": """
            import os
            import requests

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions",
                                     headers={{"Authorization": f"Bearer {{os.getenv('KEY')}}"}},
                                     json={{"prompt": prompt}}).json()
            """
        },
        "import os, app\nfor key in 'abab':\n    os.environ['KEY'] = key\n    show(app.ask('x'))",
        "operation",
        4,
        2,
    ),
    "os.environ and a model by default, async": (
        {
            "app.py": """
            from os import environ
            import httpx

            client = httpx.AsyncClient()

            async def ask(prompt):
                answer = await client.post(
                    "{url}/v1/chat/completions",
                    headers={{"Authorization": environ["KEY"]}},
                    json={{"model": environ.get("MODEL", "m"), "prompt": prompt}},
                )
                return answer.json()
            """
        },
        """
        import asyncio, os, app
        async def main():
            for key, model in ("a ", "b ", "bx", "b ", "ax"):
                os.environ["KEY"] = key
                os.environ.pop("MODEL", None)
                if model != " ":
                    os.environ["MODEL"] = model
                show(await app.ask("x"))
        asyncio.run(main())
        """,
        "operation",
        5,
        4,
    ),
    "a client opened for the call with a key of that moment": (
        {
            "app.py": """
            import os
            import httpx

            def ask(prompt):
                with httpx.Client(headers={{"Authorization": os.environ["KEY"]}}) as client:
                    answer = client.post("{url}/v1/chat/completions", json={{"prompt": prompt}})
                return answer.json()
            """
        },
        "import os, app\nfor key in 'abab':\n    os.environ['KEY'] = key\n    show(app.ask('x'))",
        "operation",
        4,
        2,
    ),
    "an SDK's client opened for the call": (
        {
            "app.py": """
            from openai import OpenAI

            def ask(prompt):
                with OpenAI(base_url="{url}/v1") as client:
                    answer = client.chat.completions.create(model="m", messages=[{{"role": "user", "content": prompt}}])
                return answer.model_dump()
            """
        },
        """
        import os, app
        for key, organisation in ("a1", "b1", "b2", "a1", "b2"):
            os.environ["OPENAI_API_KEY"], os.environ["OPENAI_ORG_ID"] = key, organisation
            show(app.ask("x"))
        """,
        "operation",
        5,
        3,
    ),
    "an SDK's client built once keeps the key it was built with": (
        {
            "app.py": """
            from openai import OpenAI

            client = OpenAI(base_url="{url}/v1")

            def ask(prompt):
                answer = client.chat.completions.create(model="m", messages=[{{"role": "user", "content": prompt}}])
                return answer.model_dump()
            """
        },
        """
        import os
        os.environ["OPENAI_API_KEY"] = "a"
        import app
        os.environ["OPENAI_API_KEY"] = "b"
        show(app.ask("x"))
        os.environ["OPENAI_API_KEY"] = "c"
        show(app.ask("x"))
        """,
        "operation",
        2,
        1,
    ),
    "settings of another module, read at each call": (
        {
            "app/__init__.py": "",
            "app/settings.py": "API = '{url}/a'\nTEAM = 'one'\n",
            "app/site.py": """
            import requests
            from app import settings

            def ask(prompt):
                return requests.post(f"{{settings.API}}/v1/chat/completions", headers={{"X-Team": settings.TEAM}},
                                     json={{"prompt": prompt}}).json()
            """,
        },
        """
        from app import settings, site
        for team in ("one", "two", "one"):
            settings.TEAM = team
            show(site.ask("x"))
        settings.API = settings.API.replace("/a", "/b")
        for _ in range(2):
            show(site.ask("x"))
        """,
        "operation",
        5,
        3,
    ),
    "a name imported from settings stays what it was": (
        {
            "app/__init__.py": "",
            "app/settings.py": "import os\n\nKEY = os.environ['KEY']\n",
            "app/site.py": """
            import requests
            from app.settings import KEY

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", headers={{"Authorization": KEY}},
                                     json={{"prompt": prompt}}).json()
            """,
        },
        """
        import os
        os.environ["KEY"] = "a"
        from app import site
        show(site.ask("x"))
        os.environ["KEY"] = "b"
        show(site.ask("x"))
        """,
        "operation",
        2,
        1,
    ),
    "a constant read from the environment once": (
        {
            "app.py": """
            import os
            import requests

            os.environ.setdefault("MODEL", "m")
            MODEL = os.environ["MODEL"]

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", json={{"model": MODEL, "prompt": prompt}}).json()
            """
        },
        """
        import os, app
        show(app.ask("x"))
        os.environ["MODEL"] = "n"
        show(app.ask("x"))
        app.MODEL = "n"
        show(app.ask("x"))
        """,
        "operation",
        3,
        2,
    ),
    "a key read from the environment once": (
        {
            "app.py": """
            import os
            import requests

            KEY = os.environ["KEY"]

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", headers={{"Authorization": KEY}},
                                     json={{"prompt": prompt}}).json()
            """
        },
        """
        import os
        os.environ["KEY"] = "a"
        import app
        del os.environ["KEY"]
        show(app.ask("x"))
        app.KEY = "b"
        show(app.ask("x"))
        """,
        "wrap",
        2,
        2,
    ),
    "a tenant in a context variable": (
        {
            "app.py": """
            import contextvars
            import requests

            tenant = contextvars.ContextVar("tenant")

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", json={{"tenant": tenant.get(), "prompt": prompt}}).json()

            def ask_by_header(prompt):
                return requests.post("{url}/v1/embeddings", headers={{"X-Team": tenant.get()}}, json={{"prompt": prompt}}).json()
            """
        },
        """
        import app
        for name in "abab":
            app.tenant.set(name)
            show(app.ask("x"))
            show(app.ask_by_header("x"))
        """,
        {"operation", "wrap"},
        8,
        4,
    ),
    "a tenant that a function rebinds": (
        {
            "app.py": """
            import requests

            TENANT = "nobody"

            def become(name):
                global TENANT
                TENANT = name

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", json={{"tenant": TENANT, "prompt": prompt}}).json()
            """
        },
        "import app\nfor name in 'abab':\n    app.become(name)\n    show(app.ask('x'))",
        "operation",
        4,
        2,
    ),
    "constants that change in place": (
        {
            "app.py": """
            import requests

            TEAMS = {{"X-Team": "one"}}
            MODEL = "m"
            MODEL += "-large"

            def register(teams):
                teams["X-Team"] = "two"

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", headers=TEAMS, json={{"m": MODEL, "p": prompt}}).json()

            def change():
                register(TEAMS)
            """
        },
        "import app\nshow(app.ask('x'))\napp.change()\nshow(app.ask('x'))",
        "wrap",
        2,
        2,
    ),
    "a library's own variable": (
        {
            "app.py": """
            import openai
            import requests

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", headers={{"Authorization": openai.api_key}},
                                     json={{"prompt": prompt}}).json()

            def model(prompt):
                return requests.post("{url}/v1/embeddings", json={{"m": openai.api_version, "p": prompt}}).json()
            """
        },
        """
        import app, openai
        for key in "abab":
            openai.api_key = openai.api_version = key
            show(app.ask("x"))
            show(app.model("x"))
        """,
        {"operation", "wrap"},
        8,
        4,
    ),
    "defaults, and what is evaluated once": (
        {
            "app.py": """
            import os
            import requests

            def ask(prompt, model=os.getenv("MODEL", "m"), made=lambda: os.getenv("MODEL", "m")):
                return requests.post("{url}/v1/chat/completions",
                                     json={{"model": model, "made": made(), "prompt": prompt}}).json()
            """
        },
        """
        import app, os
        show(app.ask("x"))
        os.environ["MODEL"] = "n"
        show(app.ask("x"))
        show(app.ask("x"))
        """,
        "operation",
        3,
        2,
    ),
    "an environment variable named by another one": (
        {
            "app.py": """
            import os
            import requests

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions",
                                     json={{"model": os.getenv(os.getenv("WHICH", "A")), "prompt": prompt}}).json()
            """
        },
        """
        import app, os
        for value in "xyx":
            os.environ["A"] = value
            show(app.ask("x"))
        """,
        "operation",
        3,
        2,
    ),
    "a session that signs in": (
        {
            "app.py": """
            import requests

            session = requests.Session()

            def sign_up(name):
                session.post(f"{url}/session/{{name}}")

            def mine(n):
                return session.get(f"{url}/items/{{n}}", timeout=5).json()

            def mine_too(n):
                return session.get(f"{url}/items/{{n}}", timeout=5).json()
            """
        },
        """
        import app
        for name in "ab":
            app.sign_up(name)
            show(app.mine(1))
            show(app.mine_too(1))
        """,
        {"wrap", None},
        6,
        4,
    ),
    "two clients that differ in what they send by default": (
        {
            "app.py": """
            import httpx

            one = httpx.Client(base_url="{url}/one", headers={{"X-Team": "one"}}, params={{"a": "1"}})
            two = httpx.Client(base_url="{url}/one", headers={{"X-Team": "two"}}, params={{"a": "1"}})
            other = httpx.Client(base_url="{url}/one", headers={{"X-Team": "one"}}, params={{"a": "2"}})

            def by_one(n):
                return one.get(f"/items/{{n}}").json()

            def by_two(n):
                return two.get(f"/items/{{n}}").json()

            def by_other(n):
                return other.get(f"/items/{{n}}").json()

            def by_one_again(m):
                return one.get(f"/items/{{m}}").json()
            """
        },
        """
        import app
        for call in (app.by_one, app.by_two, app.by_other, app.by_one_again) * 2:
            show(call(1))
        """,
        {"operation", "wrap"},
        8,
        3,
    ),
    "arguments with effects, in their order, only where they were evaluated": (
        {
            "app.py": """
            import requests

            log = []

            def note(x):
                log.append(x)
                return x

            def ask(prompt, wanted):
                return wanted and requests.post("{url}/v1/chat/completions",
                                                json={{"a": note("a"), "b": prompt if prompt else note("c"), "d": [note("d"), *log]}}).json()
            """
        },
        """
        import app
        for prompt, wanted in (("x", True), ("", True), ("x", False)):
            app.log.clear()
            show(app.ask(prompt, wanted))
            show(app.log)
        """,
        "operation",
        2,
        2,
    ),
    "a key that is not set": (
        {
            "app.py": """
            import os
            import requests

            def ask(prompt):
                return requests.post("{url}/v1/chat/completions", headers={{"Authorization": os.environ["NO_KEY"]}},
                                     json={{"prompt": prompt}}).json()
            """
        },
        """
        import app, os
        for key in (None, "a", None, "a"):
            os.environ.pop("NO_KEY", None)
            if key:
                os.environ["NO_KEY"] = key
            try:
                show(app.ask("x"))
            except KeyError as error:
                show([type(error).__name__, str(error)])
        """,
        "operation",
        2,
        1,
    ),
}


def put(project, files: dict[str, str], url: str) -> None:
    project.put({path: text.format(url=url) for path, text in files.items()})


@pytest.mark.parametrize("name", SHAPES)
def test_what_a_call_reads_may_change(project, stub, name):
    files, script, styles, sent, distinct = SHAPES[name]
    put(project, files, stub.url)
    before = project.run(script)
    sent_before = [repr(request.essence()) for request in stub.take()]
    assert len(sent_before) == sent
    plan = project.migrate()
    assert {site.style for site in plan.sites} == ({styles} if isinstance(styles, str) else styles)
    assert project.run(script) == before
    assert [repr(request.essence()) for request in stub.take()] == list(dict.fromkeys(sent_before))
    assert len(dict.fromkeys(sent_before)) == distinct
    assert project.run(script) == before, "in another process"
    assert [request for request in stub.take() if not request.path.startswith("/session/")] == []
