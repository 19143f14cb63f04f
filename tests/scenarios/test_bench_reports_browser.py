"""The HTML report in a real browser: needs a Chromium in PATH (`apt-get install -y chromium`)."""

import importlib.util
from pathlib import Path

import pytest

from apicache_scenarios.reporting.costs import Pricing
from apicache_scenarios.reporting.formats import render
from apicache_scenarios.reporting.report import report_of

pytestmark = pytest.mark.browser


def loaded(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    made = loaded(Path(__file__).with_name("made_results.py")).result(1, errors=3, file="a_long_name_" * 12 + ".yaml")
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(render("html", report_of(made, "1", Pricing(per_call=0.01, rate=50))))
    return file


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    module = loaded(Path(__file__).parents[1] / "runtime" / "chromium.py")
    with module.Chromium(tmp_path_factory.mktemp("chromium")) as started:
        yield started


LETTERS = """[...document.querySelectorAll('svg text')].map((each) =>
    12 * each.getScreenCTM().a)"""
OUTSIDE = """[...document.querySelectorAll('svg[role=img]')].filter((svg) => {
    const frame = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text, path, circle, line')].some((each) => {
        const box = each.getBoundingClientRect();
        return box.left < frame.left - 1 || box.right > frame.right + 1
            || box.bottom > frame.bottom + 1; }); }).length"""
OVERLAPS = """[...document.querySelectorAll('svg[role=img]')].flatMap((svg) => {
    const boxes = [...svg.querySelectorAll('text')].map((each) => each.getBoundingClientRect());
    return boxes.flatMap((one, at) => boxes.slice(at + 1).filter((other) => one.left < other.right - 1
        && other.left < one.right - 1 && one.top < other.bottom - 3 && other.top < one.bottom - 3)); }).length"""


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
    assert browser.value(f"Math.min(...{LETTERS})") >= 11
    assert browser.value(f"Math.max(...{LETTERS})") <= 18
    assert browser.value(OUTSIDE) == 0
    assert browser.value(OVERLAPS) == 0
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert (ground == "rgb(255, 255, 255)") != dark
    assert browser.requests == [page.as_uri()]
    assert browser.complaints == []


def test_the_arms_lines_stand_out_from_the_ground(browser, page):
    """WCAG 2.2, 1.4.11: 3 to 1 for what a chart needs to be understood."""
    contrast = """[...document.querySelectorAll('.line')].map((each) => {
        const light = (text) => text.match(/[\\d.]+/g).map(Number).slice(0, 3).map((c) => c / 255)
            .map((c) => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
            .reduce((sum, c, at) => sum + c * [0.2126, 0.7152, 0.0722][at], 0);
        const [one, other] = [light(getComputedStyle(each).stroke), light(getComputedStyle(document.body).backgroundColor)];
        return (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05); })"""  # noqa: E501 - JavaScript
    for dark in (False, True):
        browser.window(1280, 900, dark=dark)
        browser.open(page.as_uri())
        assert min(browser.value(contrast)) >= 3
