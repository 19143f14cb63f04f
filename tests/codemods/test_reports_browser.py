"""The HTML report in a real browser: needs a Chromium in PATH (`apt-get install -y chromium`)."""

import importlib.util
from pathlib import Path

import pytest

from apicache_codemods.excerpts import Sources
from apicache_codemods.report_formats import ReportContext, render
from apicache_codemods.rule import load_rules
from apicache_codemods.scan import scan

pytestmark = pytest.mark.browser

SOURCE = """
import httpx

client = httpx.Client()

def one(a_path):
    return client.get(f"https://api.example.com/v1/{a_path}/and_a_long_segment_of_a_path/that_does_not_end_soon", params={"page": 1})

def two(a_path):
    for page in range(10):
        client.get(
            f"https://api.example.com/v1/{a_path}/and_a_long_segment_of_a_path/that_does_not_end_soon",
            params={"page": page},
        )

def three(url):
    return client.post(url)
"""  # noqa: E501 - a long line is what a narrow page has to bear


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    folder = tmp_path_factory.mktemp("project")
    deep = folder / "a_package_with_a_long_name" / "and_a_package_inside_of_it_that_has_a_longer_one"
    deep.mkdir(parents=True)
    (deep / "application.py").write_text(SOURCE)
    (deep / "broken.py").write_text("def f(:\n")
    context = ReportContext(version="1", paths=(".",), sources=Sources(folder), rules=load_rules())
    file = folder / "report.html"
    file.write_text(render("html", scan([folder], folder), context))
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    place = Path(__file__).parents[1] / "runtime" / "chromium.py"
    spec = importlib.util.spec_from_file_location("chromium", place)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    with module.Chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_the_page_is_readable_and_asks_for_nothing(browser, page, width, dark):
    browser.requests.clear()
    browser.complaints.clear()
    browser.window(width, 900, dark=dark)
    browser.open(page.as_uri())
    browser.value("document.querySelectorAll('details').forEach((each) => { each.open = true })")
    assert browser.value("document.documentElement.scrollWidth") <= width
    assert browser.faint_texts() == []
    assert (
        browser.value(
            "Math.min(...[...document.querySelectorAll('p, code')].map("
            "(each) => parseFloat(getComputedStyle(each).fontSize)))"
        )
        >= 12
    )
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") != dark
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []
