"""apicache is taken out again: the reverted code does what the original did, and holds nothing of apicache."""

from pathlib import Path

import pytest

from apicache_codemods.migrate import plan, write
from apicache_codemods.reverting.plan import plan_revert

APP = """
import os

import httpx
import requests

# one pool for everybody
client = httpx.AsyncClient(timeout=30)


async def ask(prompt):
    response = await client.post("{url}/v1/chat/completions", json={{"prompt": prompt}})
    return response.json()


async def embed(text):
    async with httpx.AsyncClient(timeout=30, headers={{"x-team": os.getenv("TEAM", "a")}}) as c:
        response = await c.post("{url}/v1/embeddings", json={{"input": text}})
        response.raise_for_status()
    return response.json()["data"]


def user(uid):
    response = requests.get(f"{url}/users/{{uid}}", timeout=10)
    response.raise_for_status()
    return response.json()


def name(user_id):
    return requests.get("{url}/users/%s" % user_id, timeout=10).json()["path"]


def other(session: requests.Session, url):
    return session.get(url, params={{"a": 1}}).text
"""
MORE = """
from app.api_operations import api_cache as cache


def more(u):
    return cache.cached_api_call_sync(operation='get_users_by_id', url=u).status_code
"""
CALLS = """
import asyncio, requests
from app import chat
async def all():
    return [await chat.ask("hi"), await chat.ask("hi"), await chat.embed("x")]
show(asyncio.run(all()))
show([chat.user(3), chat.name("b"), chat.other(requests.Session(), "{url}/z")])
try:
    chat.user("missing")
except Exception as error:
    show([type(error).__name__, str(error)])
"""


def reverted(project, paths=("",)):
    """Take apicache out, and see that a second run finds nothing to do."""
    found = plan_revert([Path(path) for path in paths], project.folder)
    write(found)
    assert not plan_revert([Path(path) for path in paths], project.folder).changes
    return found


@pytest.mark.parametrize("style", ["auto", "wrap", "operation"])
def test_reverted_code_does_what_the_original_did(project, stub, style):
    project.put({"app/__init__.py": "", "app/chat.py": APP.format(url=stub.url)})

    def outcome():
        stub.fail({"/users/missing": [404]})
        shown = project.run(CALLS.format(url=stub.url))
        return shown, [each.essence() for each in stub.take()]

    before = outcome()
    project.migrate(style=style)
    found = reverted(project)
    assert found.left == ()
    assert outcome() == before
    files = {path: path.read_text() for path in project.folder.rglob("*.py") if ".apicache" not in path.parts}
    assert not [path for path, text in files.items() if "apicache" in text or "api_cache" in text]
    assert sorted(path.name for path in files) == ["__init__.py", "chat.py"]


def test_wrapped_calls_have_their_first_bytes_again(project):
    text = """
        import requests


        def get(session: requests.Session, url):
            answer = session.get(url, timeout=10)  # ten seconds
            return requests.get( url , params = {"a": 1} ).text, answer.text
        """
    project.put({"a.py": text})
    first = project.read("a.py")
    project.migrate(style="wrap")
    assert "cached_api_call_sync" in project.read("a.py")
    reverted(project)
    assert project.read("a.py") == first


def test_weeks_later_the_edited_code_is_reverted_as_it_is_now(project, stub):
    project.put({"app/__init__.py": "", "app/chat.py": APP.format(url=stub.url)})
    project.migrate()
    operations = project.read("app/api_operations.py")
    project.put({"app/api_operations.py": operations.replace("timeout=10", "timeout=11, headers={'x-team': 'new'}")})
    chat = project.read("app/chat.py")
    moved = chat.replace("response = api_cache", 'print("edited", flush=True)\n    response = api_cache').replace(
        "def user", "def person"
    )
    project.put(
        {
            "app/chat.py": moved,
            "app/more.py": MORE,
        }
    )
    assert reverted(project).left == ()
    shown = project.run(f"from app import chat, more\nshow([chat.person(3), more.more('{stub.url}/w')])")
    assert shown == [[{"path": "/users/3", "sent": None, "for": "//new/"}, 200]]
    assert "timeout=11" in project.read("app/more.py")
    assert not (project.folder / "app/api_operations.py").exists()


def test_a_client_that_several_modules_share_stays_one_client(project, stub):
    text = """
        from app.clients import client


        def {name}(q):
            return client.get("{url}/search", params={{"q": q}}).json()
        """
    project.put({"app/__init__.py": "", "app/clients.py": "import httpx\n\nclient = httpx.Client()\n"})
    project.put({f"app/{name}.py": text.format(name=name, url=stub.url) for name in ("one", "two")})
    project.migrate()
    assert "operation=" in project.read("app/one.py")
    assert reverted(project).left == ()
    shown = project.run("from app import one, two\nshow([one.one(1), two.two(2), one.client is two.client])")
    assert shown[0][2] is True
    assert len(stub.take()) == 2


def test_only_the_given_path_is_reverted(project, stub):
    text = APP.format(url=stub.url)
    project.put({"app/__init__.py": "", "app/chat.py": text, "app/also.py": text.replace("one pool", "another pool")})
    project.migrate()
    operations = project.read("app/api_operations.py")
    reverted(project, ["app/also.py"])
    assert "cached_api_call" not in project.read("app/also.py")
    assert "cached_api_call" in project.read("app/chat.py")
    assert project.read("app/api_operations.py") == operations
    also, chat = project.run("from app import also, chat\nshow(also.user(1))\nshow(chat.user(1))")
    assert also == chat


def test_an_operation_that_does_more_becomes_a_plain_function(project, stub):
    project.put(
        {
            "ops.py": f"""
                import requests
                from apicache import UnifiedAPICache, cached

                api_cache = UnifiedAPICache()


                @api_cache.operation("page", ttl="1h", returns="json")
                def page(number, size=10):
                    if number < 0:
                        number = 0
                    return requests.get("{stub.url}/page", params={{"n": number, "s": size}})


                @cached("slow", ttl="1h")
                def slow(x):
                    return x + 1
                """,
            "use.py": """
                from ops import api_cache, slow


                def first(n):
                    return api_cache.cached_api_call_sync(operation="page", number=n), slow(1)
                """,
        }
    )
    before = project.run("import use\nshow(use.first(-4))")
    assert reverted(project).left == ()
    assert "apicache" not in project.read("ops.py")
    assert "return page(number=n).json(), slow(1)" in project.read("use.py")
    assert project.run("import use\nshow(use.first(-4))") == before


def test_an_argument_with_an_effect_is_evaluated_once_and_in_its_turn(project):
    project.put(
        {
            "ops.py": """
                import math

                from apicache import UnifiedAPICache

                api_cache = UnifiedAPICache()


                @api_cache.operation("power")
                def power(base, exponent):
                    return math.pow(exponent, base)


                @api_cache.operation("twice")
                def twice(x):
                    return math.hypot(x, x)
                """,
            "use.py": """
                from ops import api_cache

                log = []

                def tell(x):
                    log.append(x)
                    return x


                def run():
                    a = api_cache.cached_api_call_sync(operation="power", base=tell(3), exponent=tell(2))
                    b = api_cache.cached_api_call_sync(operation="power", exponent=tell(2), base=tell(3))
                    c = api_cache.cached_api_call_sync(operation="twice", x=tell(5))
                    d = api_cache.cached_api_call_sync(operation="twice", x=-1 if a else 2)
                    return [a, b, c, d, log]
                """,
        }
    )
    before = project.run("import use\nshow(use.run())", cache="off")
    assert reverted(project).left == ()
    assert project.run("import use\nshow(use.run())") == before
    assert "math.pow(tell(2), tell(3))" in project.read("use.py")
    assert "power(base=tell(3), exponent=tell(2))" in project.read("use.py")


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("api_cache.cached_api_call_sync(operation='completion', prompt='x')", "is apicache's own, or registered"),
        ("api_cache.cached_api_call_sync(operation=name, prompt='x')", "its operation is not a text"),
        ("api_cache.cached_api_call_sync(**name)", "hidden in"),
        ("api_cache.get_stats()", "get_stats of apicache is used here"),
        ("f'{api_cache.cached_api_call_sync(len, name)!r:>{api_cache}}'", "apicache"),
    ],
)
def test_what_cannot_be_taken_out_is_left_and_named(project, line, reason):
    text = (
        f"from apicache import UnifiedAPICache\n\napi_cache = UnifiedAPICache()\n\n\ndef f(name):\n    return {line}\n"
    )
    project.put({"a.py": text})
    found = plan_revert([project.folder], project.folder)
    assert [left for left in found.left if reason in left.reason and left.line == 7], found.left


def test_a_name_that_a_function_binds_again_is_left(project):
    project.put({"a.py": "from apicache import cached_api_call_sync as c\n\ndef f(c):\n    return c(len, 'x')\n"})
    found = plan_revert([project.folder], project.folder)
    assert not found.changes
    assert "is bound again in a function" in found.left[0].reason


def test_code_without_apicache_is_not_touched(project):
    project.put(
        {"a.py": "import requests\n\ndef cached_api_call(f):\n    return requests.get(f)\n\nx = cached_api_call('u')\n"}
    )
    found = plan_revert([project.folder], project.folder)
    assert (found.changes, found.left, found.calls) == ((), (), 0)


def test_undo_takes_a_revert_back_too(project, stub):
    from apicache_codemods.migrate import journal_at
    from apicache_codemods.rewriting.transaction import undo

    project.put({"app/__init__.py": "", "app/chat.py": APP.format(url=stub.url)})
    first = project.read("app/chat.py")
    write(plan([project.folder], project.folder))
    migrated = project.read("app/chat.py"), project.read("app/api_operations.py")
    reverted(project)
    undo(journal_at(project.folder))
    assert (project.read("app/chat.py"), project.read("app/api_operations.py")) == migrated
    undo(journal_at(project.folder))
    assert project.read("app/chat.py") == first
