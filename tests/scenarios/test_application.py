import sys

import pytest

from apicache import InputError, UnifiedAPICache
from apicache_scenarios.application import load_application

CACHE = """
from apicache import UnifiedAPICache
api_cache = UnifiedAPICache.create()
other_cache = UnifiedAPICache.create()
text = "no cache"

class Holder:
    cache = api_cache
"""


@pytest.fixture
def project(tmp_path, monkeypatch):
    """Write files into a project folder; what is imported from it is forgotten afterwards."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)

    def write(**files):
        for name, text in files.items():
            file = tmp_path / (name.replace("__", "/") + ".py")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
        return tmp_path

    yield write
    for name in set(sys.modules) - known:
        del sys.modules[name]


def configure(folder, text):
    (folder / "pyproject.toml").write_text(text)


def test_the_application_is_imported_from_the_working_directory(project):
    folder = project(shop=CACHE)
    assert isinstance(load_application("shop:api_cache", folder), UnifiedAPICache)
    assert sys.path[0] == str(folder)


def test_a_module_in_a_package_and_a_dotted_attribute_are_found(project):
    folder = project(shop__caches=CACHE)
    assert isinstance(load_application("shop.caches:Holder.cache", folder), UnifiedAPICache)


def test_the_project_file_names_the_application(project):
    folder = project(shop=CACHE)
    configure(folder, '[tool.apicache]\napp = "shop:api_cache"\n')
    nested = folder / "docs"
    nested.mkdir()
    assert isinstance(load_application(None, nested), UnifiedAPICache)


def test_the_option_wins_over_the_project_file(project):
    folder = project(shop=CACHE)
    configure(folder, '[tool.apicache]\napp = "gone:api_cache"\n')
    assert isinstance(load_application("shop:api_cache", folder), UnifiedAPICache)


@pytest.mark.parametrize("text", [None, "", "[tool.other]\n", "[tool.apicache]\nttl = 1\n"])
def test_without_an_application_both_ways_to_name_one_are_told(project, text):
    folder = project()
    if text is not None:
        configure(folder, text)
    with pytest.raises(
        InputError, match=r"no application given: add --app MODULE:ATTRIBUTE .* app = .*pyproject\.toml"
    ):
        load_application(None, folder)


def test_an_application_that_is_no_text_is_refused_with_its_file(project):
    folder = project()
    configure(folder, "[tool.apicache]\napp = 5\n")
    with pytest.raises(InputError, match=r"pyproject\.toml: app is 5; expected a text"):
        load_application(None, folder)


@pytest.mark.parametrize(
    ("reference", "message"),
    [
        ("shop", "--app 'shop'; expected MODULE:ATTRIBUTE, such as app.api_operations:api_cache"),
        ("shop:", "--app 'shop:'; expected MODULE:ATTRIBUTE, such as app.api_operations:api_cache"),
        (":api_cache", "--app ':api_cache'; expected MODULE:ATTRIBUTE, such as app.api_operations:api_cache"),
        (
            "./app/shop.py:cache",
            (
                "--app './app/shop.py:cache'; expected MODULE:ATTRIBUTE, such as app.api_operations:api_cache; "
                "did you mean 'app.shop:cache'?"
            ),
        ),
        ("shop:api_cach", "module 'shop' has no attribute 'api_cach'; did you mean 'api_cache'?"),
        ("shop:Holder.gone", "module 'shop' has no attribute 'gone'; known: api_cache, other_cache"),
        ("shop:text", "shop:text is a str; expected a UnifiedAPICache, such as api_cache"),
        (
            "empty:api_cache",
            (
                "module 'empty' has no attribute 'api_cache'; "
                "it holds no UnifiedAPICache: name the module that registers operations"
            ),
        ),
    ],
)
def test_a_reference_that_leads_nowhere_says_what_was_found(project, reference, message):
    folder = project(shop=CACHE, empty="")
    with pytest.raises(InputError) as refused:
        load_application(reference, folder)
    assert str(refused.value) == message


def test_a_module_that_is_not_there_is_named_with_its_neighbours(project):
    folder = project(shop=CACHE)
    with pytest.raises(InputError, match=r"no module 'shp' for --app shp, seen from .*did you mean 'shop'\?"):
        load_application("shp:api_cache", folder)


def test_a_submodule_that_is_not_there_is_named(project):
    folder = project(shop=CACHE)
    with pytest.raises(InputError, match=r"no module 'shop\.gone' for --app shop\.gone"):
        load_application("shop.gone:api_cache", folder)


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("import os\nos.environ['GONE_KEY']\n", "KeyError: 'GONE_KEY'"),
        ("\nimport no_such_dependency\n", "ModuleNotFoundError: No module named 'no_such_dependency'"),
        ("x = 1\nraise SystemExit(3)\n", "SystemExit: 3"),
    ],
)
def test_an_import_that_fails_shows_its_cause_and_line(project, text, cause):
    folder = project(shop=text)
    with pytest.raises(InputError) as refused:
        load_application("shop:api_cache", folder)
    raising = text.count("\n")
    assert str(refused.value) == f"importing 'shop' failed at {folder / 'shop.py'}:{raising}: {cause}"


def test_a_module_that_does_not_parse_shows_its_line(project):
    folder = project(shop="x = 1\ndef broken(:\n")
    with pytest.raises(InputError, match=r"importing 'shop' failed: File .*shop\.py\", line 2\n(.*\n)*SyntaxError"):
        load_application("shop:api_cache", folder)
