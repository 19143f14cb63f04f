"""Original and migrated code run against a stub server: the same answers, exceptions and requests, and none on a hit.

Every script imports the code from the migrated folder in a process of its own, with the cache on.
"""

import json

import pytest

HTTPX = """
import httpx

client = httpx.{kind}Client(headers={{"X-Team": "a"}})


{d}def complete(prompt):
    response = {a}client.post("{url}/v1/chat/completions", json={{"prompt": prompt}})
    return response.json()


{d}def embed(text):
    response = {a}client.post("{url}/v1/embeddings", json={{"input": text}}, headers={{"Authorization": "Bearer k"}})
    response.raise_for_status()
    return [response.status_code, response.headers["x-answer"], response.json()["data"][0]["embedding"]]


{d}def read(n):
    response = {a}client.get("{url}/items", params={{"n": n}})
    response.raise_for_status()
    return [type(response).__name__, response.status_code, response.text, str(response.url), response.is_success]


{d}def opened(text):
    {d}with httpx.{kind}Client(timeout=5) as c:
        response = {a}c.post("{url}/v1/embeddings", json={{"model": "m", "input": text}})
        response.raise_for_status()
    return response.json()
"""

REQUESTS = """
import requests

session = requests.Session()


def complete(prompt):
    response = requests.post("{url}/v1/chat/completions", json={{"prompt": prompt}}, timeout=5)
    return response.json()


def embed(text):
    response = session.post("{url}/v1/embeddings", json={{"input": text}}, headers={{"Authorization": "Bearer k"}})
    response.raise_for_status()
    return [response.status_code, response.headers["x-answer"], response.json()["data"][0]["embedding"]]


def read(n):
    response = requests.get("{url}/items", params={{"n": n}}, headers={{"X-Team": "a"}})
    response.raise_for_status()
    return [type(response).__name__, response.status_code, response.text, response.url, response.ok, response.reason]


def opened(text):
    with requests.Session() as s:
        response = s.post("{url}/v1/embeddings", json={{"model": "m", "input": text}})
        response.raise_for_status()
    return response.json()
"""

OPENAI = """
from openai import {kind}OpenAI

client = {kind}OpenAI(base_url="{url}/v1", api_key="sk-one", max_retries=0)


{d}def complete(prompt):
    answer = {a}client.chat.completions.create(model="m", messages=[{{"role": "user", "content": prompt}}])
    return [type(answer).__name__, answer.choices[0].message.content]


{d}def embed(text):
    return ({a}client.embeddings.create(model="m", input=text, encoding_format="float")).data[0].embedding


{d}def read(n):
    with_options = {a}client.chat.completions.create(model=f"m-{{n}}", messages=[], temperature=0, seed=n)
    return with_options.model_dump()


{d}def opened(text):
    {d}with {kind}OpenAI(base_url="{url}/v1", api_key="sk-two", max_retries=0) as c:
        vector = {a}c.embeddings.create(model="other", input=text, encoding_format="float")
    return vector.data[0].embedding
"""

LIBRARIES = {
    "httpx": (HTTPX, False),
    "httpx async": (HTTPX, True),
    "requests": (REQUESTS, False),
    "openai": (OPENAI, False),
    "openai async": (OPENAI, True),
}

SCRIPT = """
import asyncio, inspect
import app

def outcome(call, argument):
    try:
        return call(argument)
    except Exception as error:
        response = getattr(error, "response", None)
        return [type(error).__name__, str(error), getattr(response, "status_code", None)]

async def outcome_async(call, argument):
    try:
        return await call(argument)
    except Exception as error:
        response = getattr(error, "response", None)
        return [type(error).__name__, str(error), getattr(response, "status_code", None)]

async def main():
    for name in {names}:
        call = getattr(app, name)
        for argument in {arguments}:
            if inspect.iscoroutinefunction(call):
                show(await outcome_async(call, argument))
            else:
                show(outcome(call, argument))

asyncio.run(main())
"""
NAMES = ["complete", "embed", "read", "opened"]


def put_code(project, library: str, url: str) -> None:
    template, is_async = LIBRARIES[library]
    words = {"kind": "Async", "d": "async ", "a": "await "} if is_async else {"kind": "", "d": "", "a": ""}
    (project.folder / "app.py").write_text(template.format(url=url, **words))


@pytest.mark.parametrize("style", ["auto", "wrap"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_the_same_answers_and_requests_then_none(project, stub, library, style):
    put_code(project, library, stub.url)
    script = SCRIPT.format(names=NAMES, arguments=["one", "two"])
    before = project.run(script)
    sent_before = [request.essence() for request in stub.take()]
    plan = project.migrate(style=style)
    assert {site.decision for site in plan.sites} == {"rewritten"}
    assert project.run(script) == before
    assert [request.essence() for request in stub.take()] == sent_before
    assert project.run(script) == before, "a hit, in another process"
    assert stub.take() == []


@pytest.mark.parametrize("style", ["auto", "wrap"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_an_error_is_answered_as_before_and_not_stored(project, stub, library, style):
    put_code(project, library, stub.url)
    failures = {"/v1/chat/completions": [500, 429], "/v1/embeddings": [500, 429]}
    stub.fail(failures)
    before = project.run(SCRIPT.format(names=["complete", "embed"], arguments=["one"] * 2))
    stub.take()
    project.migrate(style=style)
    stub.fail(failures)
    after = project.run(SCRIPT.format(names=["complete", "embed"], arguments=["one"] * 4))
    assert [*after[:2], *after[4:6]] == before
    assert after[2] == after[3] != after[0]
    assert after[6] == after[7] != after[4]
    assert len(stub.take()) == 6, "of each: two errors, one answer, one hit"


def test_a_group_over_two_modules_runs_in_two_event_loops(project, stub):
    put_code(project, "httpx async", stub.url)
    (project.folder / "app.py").rename(project.folder / "first.py")
    put_code(project, "httpx async", stub.url)
    (project.folder / "app.py").rename(project.folder / "second.py")
    project.migrate()
    assert "per_event_loop(" in project.read("api_operations.py")
    shown = project.run(
        """
        import asyncio, first, second
        show(asyncio.run(first.complete("x")))
        show(asyncio.run(second.complete("y")))
        show(asyncio.run(second.complete("x")))
        """
    )
    assert shown[0] == shown[2]
    assert len(stub.take()) == 2


def test_what_comes_back_may_be_changed_by_the_caller(project, stub):
    put_code(project, "requests", stub.url)
    project.migrate()
    shown = project.run(
        """
        import app
        first = app.complete("x")
        first["choices"].clear()
        show(len(app.complete("x")["choices"]))
        """
    )
    assert shown == [1]


def test_payloads_that_cannot_be_sent_fail_as_before(project, stub):
    put_code(project, "requests", stub.url)
    script = """
    import app
    try:
        app.complete({1, 2})
    except Exception as error:
        show([type(error).__name__, str(error)])
    """
    before = project.run(script)
    project.migrate()
    assert project.run(script) == before
    assert stub.take() == []


def test_arguments_are_evaluated_once_and_in_their_order(project, stub):
    project.put(
        {
            "app.py": f"""
            import requests

            log = []

            def note(x):
                log.append(x)
                return x

            def one():
                return requests.post("{stub.url}/search", json={{"a": note(1), "b": note(2)}}, timeout=5).json()

            def two():
                return requests.post("{stub.url}/search", timeout=5, json={{"a": note(3), "b": note(2)}}).json()
            """
        }
    )
    script = "import app\nshow([app.one(), app.two(), app.one(), app.log])"
    (before,) = project.run(script)
    stub.take()
    assert {site.style for site in project.migrate().sites} == {"operation"}
    assert project.run(script) == [before]
    assert len(stub.take()) == 2


def test_an_answer_under_one_key_is_never_served_under_another(project, stub):
    project.put(
        {
            "app.py": f"""
            import os
            import requests

            def ask(prompt):
                headers = {{}}
                return requests.post("{stub.url}/v1/chat/completions", headers={{"Authorization": os.environ["KEY"]}},
                                     json={{"prompt": prompt}}).json()
            """
        }
    )
    assert [site.style for site in project.migrate().sites] == ["operation"]
    for key, expected in (("a", 1), ("b", 1), ("a", 0)):
        project.run(f"import os\nos.environ['KEY'] = {key!r}\nimport app\napp.ask('x')")
        assert len(stub.take()) == expected


def test_under_apicache_off_every_call_goes_through(project, stub):
    put_code(project, "httpx", stub.url)
    project.migrate()
    script = SCRIPT.format(names=NAMES, arguments=["one"])
    project.run(script, cache="off")
    project.run(script, cache="off")
    assert len(stub.take()) == 2 * len(NAMES)


def test_the_example_of_the_source_document_runs(project, stub):
    """The before and after forms of the source document, with the stub's address for the host."""
    project.put(
        {
            "chat.py": f"""
            import httpx

            client = httpx.AsyncClient()


            async def get_completion(prompt: str):
                response = await client.post(
                    "{stub.url}/v1/chat/completions",
                    json={{"prompt": prompt}}
                )
                return response.json()
            """
        }
    )
    script = "import asyncio, chat\nshow(asyncio.run(chat.get_completion('Analyze emergency fund')))"
    before = project.run(script)
    (sent_before,) = stub.take()
    assert json.loads(sent_before.body) == {"prompt": "Analyze emergency fund"}
    project.migrate()
    assert (
        '    return await api_cache.cached_api_call(\n        operation="completion",\n        prompt=prompt\n    )\n'
        in (project.read("chat.py"))
    )
    assert project.run(script) == before
    (sent,) = stub.take()
    assert sent.essence() == sent_before.essence()
    assert project.run(script) == before
    assert stub.take() == []
