"""The scan's configuration: what it selects and leaves out, and clients and wrappers declared as data."""

import re
from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache.settings import load as load_settings
from apicache_codemods.configuration import scan_options
from apicache_codemods.scan import ScanOptions, scan


def _configured(root: Path, text: str, name: str = "pyproject.toml") -> ScanOptions:
    (root / name).write_text(text, encoding="utf-8")
    return scan_options(root)


def _sites(project):
    return scan([project.root], project.root, scan_options(project.root))


def test_a_project_without_configuration_has_the_defaults(tmp_path):
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n", encoding="utf-8")
    assert scan_options(tmp_path) == ScanOptions()


def test_every_option_is_read(tmp_path):
    options = _configured(
        tmp_path,
        """
        [tool.apicache.scan]
        select = ["AC"]
        ignore = ["AC002"]
        exclude = ["vendor"]
        baseline = "quality/scan.json"
        fail-on = "new"
        """,
    )
    assert (options.select, options.ignore, options.exclude) == (("AC",), ("AC002",), ("vendor",))
    assert options.baseline == tmp_path / "quality/scan.json"
    assert options.fail_on == "new"


def test_our_own_file_wins_key_by_key(tmp_path):
    _configured(tmp_path, "[tool.apicache.scan]\nselect = ['AC001']\nignore = ['AC002']\n")
    options = _configured(tmp_path, "[scan]\nselect = ['AC003']\n", "apicache.toml")
    assert (options.select, options.ignore) == (("AC003",), ("AC002",))


def test_a_folder_below_finds_the_file_above_and_its_globs_stay_where_it_is(tmp_path):
    inner = tmp_path / "src"
    inner.mkdir()
    _configured(tmp_path, "[tool.apicache.scan]\nexclude = ['src/gen', 'build_*']\n")
    (inner / "gen").mkdir()
    (inner / "gen" / "a.py").write_text("import requests\nrequests.get('https://x.example.com/a')\n", encoding="utf-8")
    options = scan_options(inner)
    assert options.exclude == (f"{tmp_path.as_posix()}/src/gen", "build_*")
    assert scan([inner], inner, options).call_sites == ()


def test_the_documented_configuration_is_understood(tmp_path):
    page = (Path(__file__).parents[2] / "docs" / "rules.md").read_text(encoding="utf-8")
    (example,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    options = _configured(tmp_path, example)
    assert options.fail_on == "new"
    assert [client.name for client in options.declared.clients] == ["acme.Client"]
    assert [wrapper.function for wrapper in options.declared.wrappers] == ["app.http.fetch"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("selekt = ['AC001']", "unknown key 'selekt'; did you mean 'select'?"),
        ("select = 'AC001'", "'select' is 'AC001'; give a list of texts"),
        ("select = ['AC999']", "no rule is called 'AC999'; known: AC001"),
        ("fail-on = 'sometimes'", "'fail-on' is 'sometimes'; give 'any', 'new' or 'never'"),
        ("client = 3", "'client' is 3; give a list of tables"),
        ("[[tool.apicache.scan.client]]\nname = 'acme.Client'", "'calls' is missing"),
        ("[[tool.apicache.scan.client]]\nname = 'Client'\ncalls = {a = 'GET /'}", "give a qualified name"),
        ("[[tool.apicache.scan.client]]\nname = 'acme.C'\ncalls = {a = 'fetch'}", "such as { fetch = 'GET {path}' }"),
        ("[[tool.apicache.scan.wrapper]]\nfunktion = 'a.b'", "unknown key 'funktion'; did you mean 'function'?"),
        ("[[tool.apicache.scan.wrapper]]\nfunction = 'a.b'\nurl = 'x'\nmethod = 'a b'", "give a verb such as 'GET'"),
        ("[[tool.apicache.scan.wrapper]]\nfunction = 'a.b'\nurl = 'x'\nasync = 1", "give true or false"),
    ],
)
def test_what_does_not_fit_is_refused_with_what_would(tmp_path, text, told):
    with pytest.raises(InputError) as raised:
        _configured(tmp_path, f"[tool.apicache.scan]\n{text}\n")
    assert told in str(raised.value)


@pytest.mark.parametrize("text", ["[tool.apicache]\nscan = 3", "[tool]\napicache = 3", "[tool.apicache.scan"])
def test_a_file_that_makes_no_sense_is_refused(tmp_path, text):
    with pytest.raises(InputError):
        _configured(tmp_path, text)


@pytest.mark.parametrize(
    ("glob", "kept"),
    [
        ("vendor", ["a.py", "src/b_pb2.py"]),
        ("src", ["a.py", "vendor/x/c.py"]),
        ("*_pb2.py", ["a.py", "vendor/x/c.py"]),
        ("**/x/*.py", ["a.py", "src/b_pb2.py"]),
        ("vendor/*", ["a.py", "src/b_pb2.py"]),
        ("*.py", []),
        ("x.py", ["a.py", "src/b_pb2.py", "vendor/x/c.py"]),
        ("x/c.py", ["a.py", "src/b_pb2.py", "vendor/x/c.py"]),
    ],
)
def test_excluded_files_are_not_read(project, glob, kept):
    source = "import requests\nrequests.get('https://x.example.com/a')\n"
    project.write({"a.py": source, "src/b_pb2.py": source, "vendor/x/c.py": source})
    report = scan([project.root], project.root, ScanOptions(exclude=(glob,)))
    assert [site.path for site in report.call_sites] == kept
    assert report.summary.files == len(kept)


def test_a_declared_client_of_another_package_makes_call_sites(project):
    (project.root / "pyproject.toml").write_text(
        """
        [[tool.apicache.scan.client]]
        name = "acme.Client"
        base_url = "https://api.acme.example"
        calls = { fetch = "GET {path}", "users.list" = "GET /users", send = "{method} {url}" }
        """,
        encoding="utf-8",
    )
    project.write("""
        import acme
        client = acme.Client(key="k")
        client.fetch("/orders")
        client.fetch(path="/items/1")
        client.users.list()
        client.send("POST", "/orders")
        client.close()
    """)
    report = _sites(project)
    assert [(site.library, site.endpoint) for site in report.call_sites] == [
        ("acme", "GET api.acme.example/orders"),
        ("acme", "GET api.acme.example/items/1"),
        ("acme", "GET api.acme.example/users"),
        ("acme", "POST api.acme.example/orders"),
    ]


def test_a_declared_function_of_another_package_makes_call_sites(project):
    (project.root / "pyproject.toml").write_text(
        "[[tool.apicache.scan.wrapper]]\nfunction = 'acme.http.fetch'\nmethod = 'GET'\nurl = 'path'\n", encoding="utf-8"
    )
    project.write("from acme.http import fetch\nfetch('https://api.example.com/a')\nfetch(path='/b')\nother('/c')\n")
    assert [site.endpoint for site in _sites(project).call_sites] == ["GET api.example.com/a", "GET {}/b"]


def test_a_declared_function_of_the_project_makes_wrapper_calls(project):
    (project.root / "pyproject.toml").write_text(
        """
        [[tool.apicache.scan.wrapper]]
        function = "app.http.fetch"
        method = "verb"
        url = "path"
        base_url = "https://api.example.com"
        """,
        encoding="utf-8",
    )
    project.write(
        {
            "app/__init__.py": "",
            "app/http.py": "def fetch(path, verb='GET'):\n    return transport(verb, path)\n",
            "app/users.py": "from app.http import fetch\ndef users():\n    fetch('/users'), fetch('/users', 'POST')\n",
            "app/other.py": "from app.elsewhere import fetch\nfetch('/users')\n",
        }
    )
    rows = [(row.path, row.line, row.endpoint, row.via) for row in _sites(project).wrapper_calls]
    assert rows == [
        ("app/users.py", 3, "GET api.example.com/users", "fetch"),
        ("app/users.py", 3, "POST api.example.com/users", "fetch"),
    ]


def test_a_declared_client_that_the_project_defines_makes_wrapper_calls(project):
    (project.root / "pyproject.toml").write_text(
        """
        [[tool.apicache.scan.client]]
        name = "app.Acme"
        base_url = "https://api.example.com"
        calls = { fetch = "GET {path}" }
        """,
        encoding="utf-8",
    )
    project.write(
        {
            "app.py": "class Acme:\n    def fetch(self, path):\n        return transport(path)\n",
            "use.py": "from app import Acme\nacme = Acme()\ndef load():\n    return acme.fetch('/users')\n",
        }
    )
    rows = [(row.path, row.line, row.endpoint) for row in _sites(project).wrapper_calls]
    assert rows == [("use.py", 4, "GET api.example.com/users")]


def test_the_runtime_passes_over_the_table_of_scan(tmp_path):
    _configured(tmp_path, "[tool.apicache]\nmode = 'on'\n[tool.apicache.scan]\nselect = ['AC001']\n")
    assert load_settings(tmp_path, {}).problems == ()
