# ruff: noqa: E501 - a table reads best with one case a line
"""Sites that are left alone: as many as those that are not, each with its code."""

import pytest

from apicache_codemods.rewriting.verdicts import MEANINGS

HEAD = """
import asyncio, functools, random, time, uuid
import httpx
import requests
from openai import AsyncOpenAI, AzureOpenAI, OpenAI

session = requests.Session()
client = httpx.Client()
signed = httpx.Client(auth=Signer())
hooked = httpx.Client(event_hooks={"response": [log]})
mocked = httpx.Client(transport=httpx.MockTransport(handler))
retrying = httpx.Client(transport=httpx.HTTPTransport(retries=3))
aclient = httpx.AsyncClient()
ai = OpenAI()
azure = AzureOpenAI()
URL = "https://api.example.com/things"
CHAT = "https://api.openai.com/v1/chat/completions"

"""

NEVER = {
    "M101": [
        "def f(x): return client.put(URL, json=x)",
        "def f(x): return client.patch(URL, json=x)",
        "def f(x): return client.delete(URL)",
        "def f(x): return client.post(URL, json=x)",
        "async def f(x): return await aclient.post(URL, json=x)",
        "def f(x): return requests.request('POST', URL, json=x)",
        "def f(x): return requests.post(x)",
        "def f(x): return client.post('https://api.example.com/graphql', json={'query': 'mutation { a }'})",
        "def f(x): return client.post('https://api.example.com/graphql', json={'query': x})",
        "def f(x): return client.post('https://api.example.com/graphql', json=x)",
        "def f(x): return client.post('https://api.example.com/messages', json=x)",
        "def f(x): return ai.responses.create(model='m', input=x, store=True)",
        "def f(x): return ai.responses.create(model='m', input=x, background=True)",
        "def f(x): return ai.responses.create(model='m', input=x, previous_response_id=x)",
    ],
    "M102": [
        "def f(x): return requests.get(URL, stream=True)",
        "def f(x): return requests.get(URL, stream=x)",
        "def f(x):\n    with client.stream('GET', URL) as r:\n        return r.read()",
        "def f(x):\n    r = requests.get(URL)\n    return list(r.iter_lines())",
        "def f(x): return client.post(CHAT, json={'prompt': x, 'stream': True})",
        "def f(x):\n    payload = {'prompt': x}\n    payload['stream'] = True\n    return client.post(CHAT, json=payload)",
        "def f(x): return ai.chat.completions.create(model='m', messages=x, stream=True)",
    ],
    "M103": [
        "def f(x): return client.post('https://api.example.com/search', files={'f': x})",
        "def f(x): return client.post('https://api.example.com/search', content=(y for y in x))",
        "def f(x): return requests.post('https://api.example.com/search', data=open(x))",
        "def f(x):\n    with open(x) as g:\n        return client.post('https://api.example.com/search', content=g)",
    ],
    "M110": [
        "@functools.lru_cache\ndef f(x): return requests.get(URL).json()",
        "@functools.cache\ndef f(x): return requests.get(URL).json()",
        "@cached(prefix='x')\ndef f(x): return requests.get(URL).json()",
        "def f(x): return cached_api_call_sync(lambda: requests.get(URL))",
    ],
    "M113": [
        "import sqlite3\ndef f(x): return sqlite3.connect(x).execute('SELECT 1').fetchall()",
        "import instructor\nwrapped = instructor.from_openai(OpenAI())\ndef f(x): return wrapped.chat.completions.create(model='m', messages=x)",
        "def f(x): return azure.chat.completions.create(model='m', messages=x)",
        "def f(x): return ai.models.list()",
        "def f(x): return ai.chat.completions.with_raw_response.create(model='m', messages=x)",
    ],
    "M115": [
        "def f(x): return requests.get(URL, hooks={'response': x})",
        "def f(x): return requests.get(URL, auth=OAuth1(x))",
        "def f(x): return signed.get(URL)",
        "def f(x): return hooked.get(URL)",
        "def f(x): return mocked.get(URL)",
    ],
    "M117": [
        "def f(x): return requests.get('https://api.example.com/oauth/token')",
        "def f(x): return requests.get('https://api.example.com/v1/login')",
        "def f(x): return requests.get('https://api.example.com/csrf')",
        "def _get_access_token(x): return requests.get(URL).json()",
    ],
}

UNSAFE = {
    "M104": [
        "def f(x):\n    while True:\n        r = client.get(URL)\n        if r.json()['done']:\n            return r\n        time.sleep(1)",
        "async def f(x):\n    while True:\n        r = await aclient.get(URL)\n        if r.json()['done']:\n            return r\n        await asyncio.sleep(1)",
        "def f(x):\n    for _ in range(9):\n        r = client.get(URL)\n        if r.json()['done']:\n            return r\n        time.sleep(1)",
        "def poll_job(x): return client.get(URL)",
        "def order_status(x): return client.get(URL)",
        "def f(x):\n    health_check = client.get(URL)\n    return health_check.text",
        "def job(x): return client.get(URL)\n\ndef run(x):\n    while not job(x):\n        time.sleep(1)",
    ],
    "M105": [
        "def f(x): return ai.chat.completions.create(model='m', messages=x, temperature=0.7)",
        "def f(x, t): return ai.chat.completions.create(model='m', messages=x, temperature=t)",
        "def f(x): return ai.chat.completions.create(model='m', messages=x, n=3)",
        "def f(x): return client.post(CHAT, json={'prompt': x, 'temperature': 1})",
    ],
    "M107": [
        "def f(x): return requests.get(URL).elapsed",
        "def f(x):\n    r = requests.get(URL)\n    return r.cookies['a']",
        "def f(x):\n    r = client.get(URL)\n    return r.http_version",
    ],
    "M108": ["def f(x):\n    with requests.get(URL) as r:\n        return r.text"],
    "M109": [
        "def f(m): return requests.request(m, URL)",
        "def f(r): return session.send(r)",
        "def f(r): return client.send(r)",
    ],
    "M111": [
        "def f(x):\n    requests.get(URL)",
        "async def f(x):\n    await aclient.get(URL)",
        "def send_sms(x): return requests.get(URL, params={'text': x}).text",
        "def _delete_item(x): return requests.get(URL, params={'id': x}).ok",
        "def turn_on(x): return requests.get(URL, params={'on': 1}).ok",
        "def f(x): return requests.get('https://api.example.com/things/toggle').ok",
        "def f(x):\n    requests.get(URL).raise_for_status()",
    ],
    "M112": [
        "AT_IMPORT = requests.get(URL)",
        "class A:\n    body = requests.get(URL)",
        "def f(x=requests.get(URL)): return x",
        "@decorate(requests.get(URL))\ndef f(x): return x",
    ],
    "M114": [
        "def f(**kw): return requests.get(URL, **kw)",
        "def f(*a): return requests.get(*a)",
        "def f(p): return ai.chat.completions.create(**p)",
    ],
    "M122": [
        "async def f(x): return await asyncio.to_thread(requests.get, URL)",
        "def f(x): return functools.partial(client.get, URL, headers=x)()",
        "fetch = functools.partial(requests.get, stream=True)\ndef f(x): return fetch(URL)",
    ],
    "M116": [
        "def f(x): return requests.get(URL, params={'nonce': uuid.uuid4().hex})",
        "def f(x):\n    now = time.time()\n    return requests.get(URL, params={'t': now})",
        "def f(x): return requests.get(URL, params={'r': random.random()})",
    ],
}

CASES = [
    (safety, code, text)
    for safety, table in (("never", NEVER), ("unsafe", UNSAFE))
    for code in table
    for text in table[code]
]


@pytest.mark.parametrize(("safety", "code", "text"), CASES, ids=[f"{code}-{n}" for n, (_, code, _) in enumerate(CASES)])
def test_the_site_is_left_alone(project, safety, code, text):
    project.put({"a.py": HEAD + text + "\n"})
    plan = project.plan()
    assert not plan.changes
    (site,) = plan.sites
    assert (site.decision, site.style, site.safety, site.code) == ("skipped", None, safety, code)
    assert site.reason
    assert code in MEANINGS


ALLOWED = [
    "def f(x): return client.post('https://api.example.com/v1/search', json=x).json()",
    "def f(x): return client.post('https://api.example.com/graphql', json={'query': 'query Q { a }'}).json()",
    "def f(x): return client.post('https://es.example.com/index/_search', json=x).json()",
    "def f(x): return requests.request('GET', URL).text",
    "def f(x): return requests.get(URL, auth=('user', x)).text",
    "def f(x): return requests.get(URL, stream=False).text",
    "def f(x): return retrying.get(URL).text",
    "def f(x): return ai.chat.completions.create(model='m', messages=x, temperature=0).choices",
    "def f(x): return ai.chat.completions.create(model='m', messages=x, n=1, stream=False).choices",
    "def f(x): return ai.moderations.create(input=x).results",
    "def f(pages):\n    for page in pages:\n        yield client.get(URL, params={'page': page}).json()\n        time.sleep(1)",
    "def f(x):\n    for _ in range(3):\n        try:\n            return client.get(URL)\n        except httpx.HTTPError:\n            time.sleep(1)",
    "def f(x):\n    for attempt in range(3):\n        try:\n            return client.get(URL)\n        finally:\n            pass",
]


@pytest.mark.parametrize("text", ALLOWED, ids=range(len(ALLOWED)))
def test_what_only_looks_like_it_is_rewritten(project, text):
    project.put({"a.py": HEAD + text + "\n"})
    (site,) = project.migrate().sites
    assert (site.decision, site.safety) == ("rewritten", "safe")


def test_a_library_without_an_adapter_is_never_rewritten(project, monkeypatch):
    from apicache_codemods.rewriting import library

    monkeypatch.setattr(library.adapters, "known", lambda: frozenset({"httpx"}))
    library.library_named.cache_clear()
    project.put({"a.py": "import requests\n\ndef f(u):\n    return requests.get(u)\n"})
    (site,) = project.plan().sites
    assert (site.safety, site.code) == ("never", "M113")
    library.library_named.cache_clear()


@pytest.mark.parametrize(
    "path", ["tests/a.py", "pkg/test_a.py", "pkg/a_test.py", "conftest.py", "pkg/tests/helpers.py"]
)
def test_tests_are_never_rewritten(project, path):
    project.put({path: "import requests\n\ndef f(u):\n    return requests.get(u)\n"})
    assert project.codes() == ["M106"]
    assert not project.plan().changes


def test_generated_files_are_not_rewritten(project):
    project.put({"a.py": "# Code generated by x. DO NOT EDIT.\nimport requests\ndef f(u): return requests.get(u)\n"})
    assert project.codes() == ["M118"]


def test_a_file_that_does_not_parse_is_named_and_the_rest_goes_on(project):
    project.put(
        {"bad.py": "import requests\ndef f(:\n", "good.py": "import requests\ndef f(u): return requests.get(u)\n"}
    )
    plan = project.migrate()
    assert [skipped.path for skipped in plan.skipped_files] == ["bad.py"]
    assert [(site.path, site.decision) for site in plan.sites] == [("good.py", "rewritten")]


def test_a_site_that_would_not_compile_is_left_alone_and_its_file_with_it(project, monkeypatch):
    from apicache_codemods.rewriting import assembling

    def refuse(change):
        return "SyntaxError: invalid" if change.path == "a.py" else None

    monkeypatch.setattr(assembling, "compile_error", refuse)
    text = "import requests\n\ndef f(u):\n    return requests.get(u)\n"
    project.put({"a.py": text, "b.py": text})
    plan = project.plan()
    assert [(site.path, site.decision, site.code) for site in plan.sites] == [
        ("a.py", "skipped", "M120"),
        ("b.py", "rewritten", "M003"),
    ]
    assert [change.path for change in plan.changes] == ["b.py"]


def test_sites_of_an_operations_module_that_would_not_compile_are_left_alone(project, monkeypatch):
    from apicache_codemods.rewriting import assembling

    def refuse(change):
        return "SyntaxError: invalid" if change.path.endswith("api_operations.py") else None

    monkeypatch.setattr(assembling, "compile_error", refuse)
    post = "requests.post('https://api.openai.com/v1/embeddings', json={'input': u})"
    project.put({"a.py": f"import requests\n\ndef f(u):\n    return {post}\n"})
    plan = project.plan()
    assert [(site.decision, site.code) for site in plan.sites] == [("skipped", "M120")]
    assert not plan.changes


def test_a_call_that_python_cannot_place_is_left_alone_or_rewritten_but_never_breaks_the_rest(project):
    text = """
    import requests

    def f(u):
        a = requests.get(u).text
        return f"{a:>10} {requests.get(u).text} {
            requests.get(u + 'x').text}"
    """
    project.put({"a.py": text.replace("{\n            requests", "{requests")})
    sites = project.migrate().sites
    assert sites[0].decision == "rewritten"
    assert {site.code for site in sites[1:]} <= {"M003", "M120"}
