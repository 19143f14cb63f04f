# ruff: noqa: E501 - code that is migrated is as wide as it is
"""Settings and clients that live in other modules: referred to where that can be, left where they are where it cannot."""

import subprocess
import sys

import pytest

from apicache_codemods.rewriting.mentions import Mentions

SITE = """
import requests
from app import settings


def ask(prompt):
    return requests.post(f"{settings.API}/v1/embeddings", json={"model": settings.MODEL, "p": prompt}).json()
"""
SETTINGS = 'API = "https://api.openai.com"\nMODEL = "m"\n'


def put(project, **files: str):
    return project.put({"app/__init__.py": "", **{f"app/{name}.py": text for name, text in files.items()}})


def test_settings_are_read_where_they_are_and_asked_for_at_each_call(project):
    put(project, settings=SETTINGS, site=SITE)
    project.migrate()
    operations = project.read("app/api_operations.py")
    assert "\nfrom app import settings\n" in operations
    assert "scope=lambda: [settings.API, settings.MODEL]" in operations
    assert 'f"{settings.API}/v1/embeddings"' in operations
    assert "def embedding(prompt):" in operations
    assert "from app.api_operations import api_cache" in project.read("app/site.py")


def test_a_timeout_of_the_settings_is_read_there_and_no_part_of_the_key(project):
    put(project, settings=SETTINGS + "PATIENCE = 5\n", site=SITE.replace("json=", "timeout=settings.PATIENCE, json="))
    project.migrate()
    operations = project.read("app/api_operations.py")
    assert "timeout=settings.PATIENCE" in operations
    assert "scope=lambda: [settings.API, settings.MODEL]" in operations


@pytest.mark.parametrize(
    "settings",
    [
        "from app import site\n" + SETTINGS,
        SETTINGS + "\n\ndef f(u):\n    import requests\n    return requests.get(u)\n",
        "import other\n\nAPI = other.find()\nMODEL = other.Model('m')\n",
        "API, MODEL = 'https://api.openai.com', 'm'\n",
    ],
    ids=["it imports the site", "it has a call site itself", "its values are not known", "it unpacks"],
)
def test_settings_that_cannot_be_referred_to_are_passed(project, settings):
    put(
        project,
        settings=settings,
        site=SITE.replace('f"{settings.API}/v1/embeddings"', "'https://api.openai.com/v1/embeddings'"),
    )
    assert "operation" in {site.style for site in project.migrate().sites}
    assert "MODEL=settings.MODEL," in project.read("app/site.py")
    operations = project.read("app/api_operations.py")
    assert "def embedding(MODEL, prompt):" in operations
    assert "scope" not in operations


@pytest.mark.parametrize(
    "settings",
    ["from app import site\nKEY = 'k'\n", "KEY, OTHER = 'k', 'o'\n", "import vault\n\nKEY = vault.read()\n"],
)
def test_a_key_that_cannot_be_referred_to_stays_at_the_site(project, settings):
    text = SITE.replace("json={", "headers={'Authorization': settings.KEY}, json={").replace("settings.MODEL", "'m'")
    put(project, settings=settings, site=text.replace("{settings.API}", "https://api.openai.com"))
    (site,) = project.migrate().sites
    assert (site.style, site.code) == ("wrap", "M004")
    assert "credentials must not become parameters" in site.reason


def test_settings_that_another_user_of_the_operations_does_not_import_are_not_imported_for_it(project):
    """`plain` can be imported without the key that `settings` asks for: so it stays."""
    keyed = SITE.replace("json={", "headers={'Authorization': settings.KEY}, json={")
    plain = "import requests\n\n\ndef ask(p):\n    return requests.post('https://api.openai.com/v1/chat/completions', json={'p': p}).json()\n"
    put(project, settings="import os\n" + SETTINGS + 'KEY = os.environ["LLM_KEY"]\n', site=keyed, plain=plain)
    sites = {site.path: site for site in project.migrate().sites}
    assert (sites["app/plain.py"].style, sites["app/site.py"].style) == ("operation", "wrap")
    assert sites["app/site.py"].code == "M004"
    assert "would need app/settings.py, which app/plain.py does not import" in sites["app/site.py"].reason
    done = subprocess.run(
        [sys.executable, "-c", "import app.plain"], cwd=project.folder, env={"PATH": "/usr/bin:/bin"}, check=False
    )
    assert done.returncode == 0


def test_of_sites_that_cannot_share_an_operations_module_the_fewest_are_wrapped(project):
    keyed = SITE.replace("json={", "headers={'Authorization': settings.KEY}, json={")
    plain = "import requests\n\n\ndef ask(p):\n    return requests.post('https://api.openai.com/v1/chat/completions', json={'p': p}).json()\n"
    put(
        project,
        settings="import os\n" + SETTINGS + 'KEY = os.environ["LLM_KEY"]\n',
        site=keyed,
        more=keyed,
        plain=plain,
    )
    sites = {site.path: site for site in project.migrate().sites}
    assert {path: site.style for path, site in sites.items()} == {
        "app/site.py": "operation",
        "app/more.py": "operation",
        "app/plain.py": "wrap",
    }
    assert sites["app/plain.py"].code == "M004"
    assert "other operations need app/settings.py, which its module does not import" in sites["app/plain.py"].reason


def test_settings_that_only_hold_constants_may_be_imported_for_others(project):
    plain = "import requests\n\n\ndef ask(p):\n    return requests.post('https://api.openai.com/v1/chat/completions', json={'p': p}).json()\n"
    put(project, settings=SETTINGS, site=SITE, plain=plain)
    assert [site.style for site in project.migrate().sites] == ["operation"] * 2


def test_an_operations_module_that_needs_a_key_is_not_imported_by_who_needs_none(project):
    keyed = "import os\nimport requests\nfrom app import settings\n\n\ndef ask(p):\n    return requests.post('https://api.openai.com/v1/chat/completions', headers={'Authorization': settings.KEY}, json={'p': p}).json()\n"
    put(project, settings='import os\n\nKEY = os.environ["LLM_KEY"]\n', site=keyed)
    assert [site.style for site in project.migrate().sites] == ["operation"]
    plain = "import requests\n\n\ndef ask(p):\n    return requests.post('https://api.openai.com/v1/embeddings', json={'p': p}).json()\n"
    put(project, plain=plain)
    later = {site.path: site for site in project.migrate().sites}
    assert (later["app/plain.py"].style, later["app/plain.py"].code) == ("wrap", "M004")
    assert (
        "app/settings.py, which its operations module runs, cannot be imported without a key"
        in later["app/plain.py"].reason
    )


def test_a_client_built_of_the_environment_is_shared_only_where_it_is_one(project):
    client = "from openai import OpenAI\n\nclient = OpenAI()\n\n\ndef ask(p):\n    return client.embeddings.create(model='m', input=p)\n"
    put(project, a=client, b=client)
    sites = project.migrate().sites
    assert [(site.style, site.code) for site in sites] == [("wrap", "M004"), ("operation", "M002")]
    assert "its operation would need app/a.py, which app/b.py does not import" in sites[0].reason
    assert "api_operations" not in project.read("app/a.py")
    (project.folder / "app/api_operations.py").unlink()
    other = "from app.a import client\n\n\ndef ask(p):\n    return client.embeddings.create(model='m', input=p)\n"
    put(project, a=client, b=other)
    assert [site.style for site in project.plan().sites] == ["operation"] * 2


def test_a_client_built_of_the_environment_and_arguments_that_read_it_anew_are_wrapped(project):
    put(
        project,
        a="import os\nfrom openai import OpenAI\n\nclient = OpenAI()\n\n\ndef ask(p):\n    return client.embeddings.create(model=os.getenv('MODEL'), input=p)\n",
    )
    (site,) = project.migrate().sites
    assert (site.style, site.code) == ("wrap", "M004")
    assert "which its arguments read anew" in site.reason


def test_operations_that_read_settings_are_imported_after_all_that_may_set_them(project, stub):
    put(
        project,
        zenv="import os\n\nos.environ.setdefault('KEY', 'set by zenv')\nNAME = 'z'\n",
        settings="import os\n\nKEY = os.environ['KEY']\n",
        site=f"""
        import requests
        from app.zenv import NAME
        from app.settings import KEY

        def ask(prompt):
            return requests.post("{stub.url}/v1/embeddings", headers={{"X-Team": KEY}}, json={{"p": prompt, "name": NAME + prompt}}).json()

        print(NAME)
        """,
    )
    script = "from app import site\nshow(site.ask('x'))"
    project.run(script)
    (before,) = stub.take()
    assert [(site.style, site.code) for site in project.migrate().sites] == [("operation", "M002")], (
        project.plan().sites
    )
    text = project.read("app/site.py")
    assert text.index("from app.zenv import NAME") < text.index("from app.api_operations import api_cache")
    project.run(script)
    (after,) = stub.take()
    assert after.essence() == before.essence()


def test_an_operation_whose_scope_was_asked_for_once_is_not_joined(project):
    """As an earlier version of migrate wrote it: under another key it would give the answers of the first."""
    site = "import os\nimport requests\n\n\ndef ask(p):\n    return requests.post('https://api.openai.com/v1/embeddings', headers={'X': os.getenv('KEY')}, json={'p': p}).json()\n"
    operations = (
        "import os\n\nimport requests\nfrom apicache import UnifiedAPICache\n\napi_cache = UnifiedAPICache()\n\n\n"
        '@api_cache.operation("embedding", returns="json", scope={}[os.getenv("KEY")])\ndef embedding(p):\n'
        "    return requests.post('https://api.openai.com/v1/embeddings', headers={{'X': os.getenv('KEY')}}, json={{'p': p}})\n"
    )
    for scope, joined in (("", "embedding_2"), ("lambda: ", "embedding")):
        put(project, site=site, api_operations=operations.format(scope))
        project.plan()
        text = next(change.after.decode() for change in project.plan().changes if change.path == "app/site.py")
        assert f'operation="{joined}"' in text


PATCHES = [
    "import app.config as c\nc.URL = 2",
    "from app import config\nconfig.URL += 'x'",
    "mock.patch('app.config.URL')",
    "from app import config\npatch.object(config, 'URL', new=1)",
    "from app import config\npatch.multiple(config, A=1, URL=3)",
    "import app.config\nmonkeypatch.setattr(app.config, 'URL', 'x')",
    "import app.config, sys\nsetattr(sys.modules['app.config'], 'URL', 1)",
    "from app import config\nvars(config)['URL'] = 3",
    "from app import config\nconfig.__dict__['URL'] = 3",
    "from app import config\ndel config.URL",
]
NO_PATCHES = [
    "from app import config\nif config.URL == 2: pass",
    "from app import config\nx = config.URL",
    "from app.config import URL\nf(URL=URL)",
    "class A:\n    URL = 3",
]


class Config:
    path = "app/config.py"
    is_package = False

    class source:  # noqa: N801 - stands for an attribute
        absolute = "/x/app/config.py"


@pytest.mark.parametrize("text", [*PATCHES, *NO_PATCHES])
def test_a_name_that_somebody_sets_is_known(text):
    found = Mentions({"app/config.py": "URL = 1\n", "t.py": text}).replaced(Config, "URL")
    assert found == ("t.py" if text in PATCHES else None)


@pytest.mark.parametrize(
    ("change", "is_one"),
    [
        ("globals()['URL'] = 2", True),
        ("globals()[name] = 2", True),
        ("globals().update(found)", True),
        ("setattr(sys.modules[__name__], 'URL', 2)", True),
        ("x = globals()['URL']", False),
        ("globals()['OTHER'] = 2", False),
    ],
)
def test_a_module_that_sets_its_own_name_is_known(change, is_one):
    found = Mentions({"app/config.py": f"URL = 1\n{change}\n"}).replaced(Config, "URL")
    assert found == ("app/config.py" if is_one else None)


REBOUND = [
    "MODEL = 'm'\nMODEL = 'n'",
    "MODEL = 'm'\nif X:\n    MODEL = 'n'",
    "MODEL = 'm'\nfor MODEL in 'ab':\n    pass",
    "MODEL = 'm'\nMODEL += 'n'",
    "MODEL = 'm'\ndef set_it():\n    global MODEL\n    MODEL = 'n'",
    "MODEL = 'm'\nglobals()['MODEL'] = 'n'",
    "MODEL, OTHER = 'm', 'n'",
    "MODEL = choose()",
    "import os\nMODEL = os.getenv('MODEL', 'm')",
]


@pytest.mark.parametrize("constant", REBOUND)
def test_a_constant_that_is_none_is_passed(project, constant):
    call = "requests.post('https://api.openai.com/v1/embeddings', json={'m': MODEL, 'p': p}).json()"
    put(project, site=f"import requests\n{constant}\n\n\ndef ask(p):\n    return {call}\n")
    project.migrate()
    assert 'operation="embedding", MODEL=MODEL, p=p' in project.read("app/site.py")


def test_a_name_that_apicaches_own_operation_has_is_said_or_left_to_it(project):
    site = "import requests\n\n\ndef ask(p):\n    return requests.post('https://api.openai.com/v1/chat/completions', json={'p': p}).json()\n"
    put(project, site=site)
    assert "it takes the place of apicache's own completion" in project.plan().sites[0].reason
    put(
        project,
        uses="from apicache import cached_api_call_sync\n\n\ndef tell(p):\n    return cached_api_call_sync(operation='completion', prompt=p)\n",
    )
    (decision,) = project.migrate().sites
    assert "apicache's own" not in decision.reason
    assert 'operation="completion_2"' in project.read("app/site.py")
