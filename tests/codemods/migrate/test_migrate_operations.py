"""Sites that become operations: what they look like afterwards, in the site's file and in the operations module."""

import pytest

THE_EXAMPLE = """
    import httpx

    client = httpx.AsyncClient()


    async def get_completion(prompt: str):
        response = await client.post(
            "https://api.openai.com/v1/chat/completions",
            json={"prompt": prompt}
        )
        return response.json()
"""

THE_EXAMPLE_AFTER = """from api_operations import api_cache


async def get_completion(prompt: str):
    return await api_cache.cached_api_call(
        operation="completion",
        prompt=prompt
    )
"""

THE_OPERATION = '''"""External API calls as cached operations, written by `apicache migrate` and yours to edit."""

import httpx
from apicache import UnifiedAPICache

api_cache = UnifiedAPICache()
client = httpx.AsyncClient()


@api_cache.operation("completion", ttl="1h", returns="json")
async def completion(prompt):
    """POST api.openai.com/v1/chat/completions, for chat.get_completion."""
    return await client.post(
        "https://api.openai.com/v1/chat/completions",
        json={"prompt": prompt},
    )
'''


def test_the_source_documents_example(project):
    project.put({"chat.py": THE_EXAMPLE})
    plan = project.migrate()
    assert project.read("chat.py") == THE_EXAMPLE_AFTER
    assert project.read("api_operations.py") == THE_OPERATION
    (site,) = plan.sites
    assert (site.path, site.line, site.endpoint) == ("chat.py", 7, "POST api.openai.com/v1/chat/completions")
    assert (site.decision, site.style, site.safety, site.code) == ("rewritten", "operation", "safe", "M002")


def test_the_example_as_a_group_of_two_whose_variables_have_other_names(project):
    other = """

    async def ask(question):
        answer = await client.post("https://api.openai.com/v1/chat/completions", json={"prompt": question})
        return answer.json()
    """
    project.put({"chat.py": THE_EXAMPLE + other})
    plan = project.migrate()
    assert project.read("chat.py").startswith(THE_EXAMPLE_AFTER)
    assert 'return await api_cache.cached_api_call(operation="completion", prompt=question)' in project.read("chat.py")
    assert project.read("api_operations.py") == THE_OPERATION.replace(
        "for chat.get_completion.", "for chat.get_completion and chat.ask."
    )
    assert [site.code for site in plan.sites] == ["M001", "M001"]


def test_a_group_over_two_modules_gives_each_event_loop_its_client(project):
    """Each module's client may have lived in an event loop of its own; one shared client would tie them together."""
    project.put({"app/__init__.py": "", "app/a.py": THE_EXAMPLE, "app/b.py": THE_EXAMPLE.replace("client", "http")})
    project.migrate()
    operations = project.read("app/api_operations.py")
    assert "client = per_event_loop(httpx.AsyncClient)" in operations
    assert "return await client().post(" in operations
    expected = THE_EXAMPLE_AFTER.replace("from api_operations", "from app.api_operations")
    assert project.read("app/a.py") == project.read("app/b.py") == expected


def test_the_operations_module_lies_in_the_common_package_of_its_sites(project):
    call = "import requests\n\ndef f(q):\n    return requests.get(f'https://api.example.com/users/{q}')\n"
    project.put({"src/app/__init__.py": "", "src/app/x/__init__.py": "", "src/app/x/a.py": call})
    project.put({"src/app/x/y/__init__.py": "", "src/app/x/y/b.py": call})
    plan = project.migrate()
    assert [change.path for change in plan.changes if change.before is None] == ["src/app/x/api_operations.py"]
    assert "from app.x.api_operations import api_cache" in project.read("src/app/x/y/b.py")


def test_a_package_without_init_is_imported_as_the_project_imports_it(project):
    call = "import requests\n\ndef f(q):\n    return requests.get(f'https://api.example.com/users/{q}')\n"
    project.put({"app/a.py": call, "app/b.py": call, "main.py": "from app import a, b\n\na.f(1)\n"})
    project.migrate()
    assert "from app.api_operations import api_cache" in project.read("app/a.py")


def test_a_client_in_a_module_of_its_own_stays_there(project):
    project.put(
        {
            "app/__init__.py": "",
            "app/clients.py": 'import httpx\n\nclient = httpx.Client(base_url="https://api.example.com")\n',
            "app/a.py": "from app.clients import client\n\ndef f(u):\n    return client.get(f'/users/{u}').text\n",
            "app/b.py": "from .clients import client\n\ndef g(u):\n    return client.get(f'/users/{u}').json()\n",
        }
    )
    project.migrate()
    assert "from app.clients import client" in project.read("app/api_operations.py")
    assert "client" not in project.read("app/a.py")
    assert "clients" not in project.read("app/b.py")


def test_a_client_whose_module_imports_its_users_moves_so_that_no_circle_closes(project):
    project.put(
        {
            "app/__init__.py": "",
            "app/clients.py": "import httpx\nfrom app import a\n\nclient = httpx.Client()\n",
            "app/a.py": "import app.clients\n",
            "app/b.py": "from app.clients import client\n\n"
            "def f(p):\n    return client.post('https://api.openai.com/v1/embeddings', json={'i': p}).text\n",
            "app/c.py": "from app.clients import client\n\n"
            "def f(p):\n    return client.post('https://api.openai.com/v1/embeddings', json={'i': p}).text\n",
        }
    )
    project.put({"app/a.py": "def later():\n    import app.b\n\nfrom app import c\n"})
    project.migrate()
    assert "app.clients" not in project.read("app/api_operations.py")
    assert "client = httpx.Client()" in project.read("app/api_operations.py")


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("session.headers['x'] = 'y'", "used for more than calls"),
        ("if X:\n    session = requests.Session()", "bound in more than one place"),
        ("register(session)", "used for more than calls"),
    ],
)
def test_a_client_that_may_change_does_not_move(project, statement, reason):
    call = "session.post('https://api.openai.com/v1/chat/completions', json={'p': p})"
    project.put({"a.py": f"import requests\nsession = requests.Session()\n{statement}\ndef f(p):\n    return {call}\n"})
    (site,) = project.migrate().sites
    assert (site.style, site.code) == ("wrap", "M004")
    assert reason in site.reason


def test_a_client_that_a_test_replaces_does_not_move(project):
    project.put({"app/__init__.py": "", "app/a.py": THE_EXAMPLE})
    project.put({"tests/test_a.py": "from unittest import mock\n\ndef test_a():\n    mock.patch('app.a.client')\n"})
    (site,) = project.migrate().sites
    assert (site.style, site.code) == ("wrap", "M004")
    assert "tests/test_a.py" in site.reason


def test_a_client_built_after_the_environment_was_set_does_not_move(project):
    project.put(
        {
            "a.py": """
            from dotenv import load_dotenv
            from openai import OpenAI
            load_dotenv()
            client = OpenAI()

            def f(q):
                return client.embeddings.create(model="m", input=q)
            """
        }
    )
    (site,) = project.migrate().sites
    assert (site.style, site.code) == ("wrap", "M004")
    assert "line 3" in site.reason


@pytest.mark.parametrize(
    "argument",
    [
        "headers={'Authorization': token}",
        "headers=headers",
        "auth=(user, password)",
        "params={'api_key': k}",
        "timeout=timeout",
        "json={'prompt': (x := p)}",
        "json={'model': f'm?token={p}'}",
    ],
)
def test_what_belongs_to_the_caller_never_becomes_a_parameter(project, argument):
    url = "https://api.openai.com/v1/chat/completions"
    project.put({"a.py": f"import requests\ndef f(p, **o):\n    return requests.post('{url}', {argument})\n"})
    (site,) = project.migrate().sites
    assert (site.style, site.code) == ("wrap", "M004")
    assert "cached_api_call_sync(requests.post" in project.read("a.py").replace(
        "(\n        requests.post", "(requests.post"
    )


@pytest.mark.parametrize(
    "made",
    [
        "url = f'https://api.openai.com/v1/chat/completions?apikey={k}'",
        "url = 'https://api.openai.com/v1/chat/completions?u=' + self.api_key",
        "url = make('https://api.openai.com/v1/chat/completions', p)",
    ],
)
def test_a_url_made_above_the_call_is_looked_into(project, made):
    call = "requests.post(url, json={'prompt': p})"
    project.put({"a.py": f"import requests\n\ndef f(self, p, k):\n    {made}\n    return {call}\n"})
    assert not [site for site in project.migrate().sites if site.style == "operation"]


def test_calls_of_different_form_or_patience_are_not_one_operation(project):
    project.put(
        {
            "a.py": """
            import requests

            def quick(uid):
                return requests.get(f"https://api.example.com/users/{uid}", timeout=1)

            def patient(uid):
                return requests.get(f"https://api.example.com/users/{uid}", timeout=60)

            def filtered(uid):
                return requests.get(f"https://api.example.com/users/{uid}", params={"a": 1}, timeout=60)
            """
        }
    )
    plan = project.migrate()
    assert [(site.style, site.code) for site in plan.sites] == [("wrap", "M004")] * 3


def test_a_constant_that_a_test_replaces_stays_a_parameter(project):
    project.put(
        {
            "app/__init__.py": "",
            "app/a.py": """
            import requests
            URL = "https://api.openai.com/v1/chat/completions"

            def f(p):
                return requests.post(URL, json={"prompt": p}).json()
            """,
            "tests/test_a.py": "import app.a\n\ndef test_a(monkeypatch):\n    monkeypatch.setattr(app.a, 'URL', 'x')\n",
        }
    )
    project.migrate()
    assert 'operation="completion", URL=URL, p=p' in project.read("app/a.py")
    assert "def completion(URL, p):" in project.read("app/api_operations.py")


def test_a_mutable_constant_is_copied_only_when_nobody_changes_it(project):
    text = """
    import requests
    HEADERS = {{"Accept": "application/json"}}
    {change}

    def f(p):
        return requests.post("https://api.openai.com/v1/chat/completions", headers=HEADERS, json={{"prompt": p}}).json()
    """
    project.put({"a.py": text.format(change=""), "b.py": text.format(change="HEADERS['x'] = 'y'")})
    styles = {site.path: site.style for site in project.plan().sites}
    assert styles == {"a.py": "operation", "b.py": "wrap"}


def test_operation_style_alone_leaves_the_rest_with_a_reason(project):
    project.put(
        {"a.py": THE_EXAMPLE + "\n\n    def other():\n        return httpx.get('https://api.example.com/x').text\n"}
    )
    sites = project.migrate(style="operation").sites
    assert [(site.decision, site.code) for site in sites] == [("rewritten", "M002"), ("skipped", "M119")]


def test_a_place_can_be_chosen_for_the_operations_module(project):
    from pathlib import Path

    project.put({"app/__init__.py": "", "app/a.py": THE_EXAMPLE, "app/core/__init__.py": ""})
    project.migrate(operations_module=Path("app/core/external.py"))
    assert "from app.core.external import api_cache" in project.read("app/a.py")
    assert "async def completion(prompt):" in project.read("app/core/external.py")
