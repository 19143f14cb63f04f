"""A code base that is migrated piece by piece: operations are joined, names never collide, a second run is empty."""

from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache_codemods.migrate import plan, write

SITE = """
    import requests


    def {function}({variable}):
        response = requests.post("https://api.openai.com/v1/chat/completions", json={{"prompt": {variable}}})
        return response.json()
"""


def site(function: str, variable: str) -> str:
    return SITE.format(function=function, variable=variable)


def test_a_later_duplicate_joins_the_operation(project):
    project.put({"app/__init__.py": "", "app/a.py": site("ask", "prompt")})
    project.migrate()
    operations = project.read("app/api_operations.py")
    project.put({"app/b.py": site("tell", "text")})
    plan = project.migrate()
    assert [change.path for change in plan.changes] == ["app/b.py"]
    assert project.read("app/api_operations.py") == operations
    assert 'return api_cache.cached_api_call_sync(operation="completion", prompt=text)' in project.read("app/b.py")
    assert [(each.path, each.code) for each in plan.sites] == [("app/api_operations.py", "M110"), ("app/b.py", "M001")]


def test_one_given_file_joins_the_operations_of_its_package(project):
    project.put({"app/__init__.py": "", "app/a.py": site("ask", "prompt"), "app/x/__init__.py": ""})
    project.migrate()
    project.put({"app/x/b.py": site("tell", "text")})
    later = plan([Path("app/x/b.py")], project.folder)
    assert [(each.path, each.code) for each in later.sites] == [("app/x/b.py", "M001")]
    assert [change.path for change in later.changes] == ["app/x/b.py"]


def test_what_differs_becomes_another_operation_under_another_name(project):
    project.put({"app/__init__.py": "", "app/a.py": site("ask", "prompt")})
    project.migrate()
    before = project.read("app/api_operations.py")
    project.put({"app/b.py": site("tell", "text").replace('{"prompt"', '{"model": "m", "prompt"')})
    project.migrate()
    after = project.read("app/api_operations.py")
    assert after.startswith(before)
    assert '@api_cache.operation("completion_2", ttl="1h", returns="json")\ndef completion_2(text):' in after
    assert 'operation="completion_2", text=text' in project.read("app/b.py")


def test_an_operation_that_gives_the_body_is_not_joined_by_a_site_that_needs_the_response(project):
    project.put({"app/__init__.py": "", "app/a.py": site("ask", "prompt")})
    project.migrate()
    project.put({"app/b.py": site("tell", "text").replace(".json()", ".status_code")})
    project.migrate()
    assert 'operation="completion_2"' in project.read("app/b.py")


def test_what_the_team_wrote_in_the_operations_module_is_kept(project):
    own = (
        '"""Ours."""\n\nimport httpx\nfrom apicache import UnifiedAPICache\n\napi_cache = UnifiedAPICache()\n\n\n'
        '@api_cache.operation("completion")\ndef ours(x):  # special\n    return 1\n\n\ncompletion = ours\n'
    )
    project.put({"app/__init__.py": "", "app/a.py": site("ask", "prompt")})
    (project.folder / "app/api_operations.py").write_text(own)
    project.migrate()
    after = project.read("app/api_operations.py")
    assert after.startswith('"""Ours."""\n\nimport httpx\nimport requests\nfrom apicache import UnifiedAPICache\n')
    assert own.split("api_cache =")[1] in after
    assert '@api_cache.operation("completion_2", ttl="1h", returns="json")\ndef completion_2(prompt):' in after


def test_operation_names_are_free_in_the_whole_process(project):
    """Two operations modules share one process-wide cache: a name registered in both would be an error at import."""
    project.put({"one/__init__.py": "", "one/a.py": site("ask", "prompt")})
    project.put({"two/__init__.py": "", "two/a.py": site("ask", "prompt")})
    project.migrate()
    names = {
        line.split('"')[1]
        for folder in ("one", "two")
        for line in project.read(f"{folder}/api_operations.py").splitlines()
        if line.startswith("@api_cache.operation(")
    }
    assert names == {"completion", "completion_2"}


def test_a_distinct_async_client_does_not_join_a_client_of_another_event_loop(project):
    text = """
        import httpx

        client = httpx.AsyncClient()


        async def ask(prompt):
            answer = await client.post("https://api.openai.com/v1/chat/completions", json={"prompt": prompt})
            return answer.json()
    """
    project.put({"app/__init__.py": "", "app/a.py": text})
    project.migrate()
    project.put({"app/b.py": text})
    project.migrate()
    operations = project.read("app/api_operations.py")
    assert "\nclient = httpx.AsyncClient()\n" in operations
    assert "\nclient_2 = per_event_loop(httpx.AsyncClient)\n" in operations
    project.put({"app/c.py": text})
    project.migrate()
    assert project.read("app/api_operations.py") == operations
    assert 'operation="completion_2"' in project.read("app/c.py")


def test_a_file_of_that_name_which_is_something_else_is_not_touched(project):
    project.put({"a.py": site("ask", "prompt"), "api_operations.py": "x = 1\n"})
    project.migrate()
    assert project.read("api_operations.py") == "x = 1\n"
    assert "from api_operations_2 import api_cache" in project.read("a.py")


@pytest.mark.parametrize(
    ("place", "message"),
    [
        ("operations.txt", "is no Python file; give for example app/api_operations.py"),
        ("missing/operations.py", "does not exist; create it first"),
        ("other.py", "does not assign api_cache = UnifiedAPICache\\(\\); choose another file"),
        ("../operations.py", "cannot be imported by modules below"),
        ("app/not-a-name.py", "is not a module name"),
    ],
)
def test_an_operations_module_that_cannot_be_used_is_an_input_error(project, place, message):
    project.put({"app/__init__.py": "", "app/a.py": site("ask", "prompt"), "other.py": "x = 1\n"})
    with pytest.raises(InputError, match=message):
        project.plan(operations_module=Path(place))


def test_a_path_that_does_not_exist_is_an_input_error(project):
    with pytest.raises(InputError, match="no such file or directory: missing"):
        plan([Path("missing")], project.folder)


def test_nothing_to_migrate_is_an_empty_plan(project):
    empty = project.put({"a.py": "x = 1\n"}).plan()
    assert (empty.sites, empty.changes, empty.patch()) == ((), (), b"")
    write(empty)
