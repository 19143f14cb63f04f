"""The dashboard in a real browser: these tests need a Chromium in PATH (`apt-get install -y chromium`)."""

import importlib.util
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from apicache.integrations.starlette import cache_app, cache_routes
from apicache.stats import Statistics


def _beside(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


asgi_server, chromium = _beside("asgi_server"), _beside("chromium")

pytestmark = pytest.mark.browser
PHONE, DESKTOP, NARROWEST = (390, 844), (1440, 900), (320, 640)
TOKEN = "s3cret-token"
DASH = "\N{EN DASH}"
HOSTILE = "<img src=x onerror=\"document.title='taken'\"><script>document.title='taken'</script>"
LONG = "GET a-host-with-a-very-long-name-that-has-nowhere-to-break.example.com/" + "segment" * 12


class StandIn:
    """A cache whose figures the test sets."""

    def __init__(self) -> None:
        self.statistics = Statistics()
        self.more: dict[str, Any] = {"mode": "on", "tiers": {}, "breakers": {"memory": "closed"}, "evictions": 0}
        self.readings = 0
        self.failure: Exception | None = None

    def use(self, operation: str, hits: int, misses: int, *, minute: int = 0) -> None:
        counts = self.statistics.of(operation)
        for _ in range(misses):
            self.statistics.miss(counts, 60.0 * minute, 0.002, stored=1)
        for _ in range(hits):
            self.statistics.hit(counts, "memory", 0.25, 0.002, 60.0 * minute)

    def get_stats(self) -> dict[str, Any]:
        self.readings += 1
        if self.failure is not None:
            raise self.failure
        return {**self.statistics.as_dict(60.0 * 30), **self.more}


@pytest.fixture
def shown() -> StandIn:
    """Busy half an hour ago and again now."""
    cache = StandIn()
    cache.use("completion", 2000, 1000, minute=1)
    cache.use("completion", 900, 100, minute=29)
    cache.use("embedding", 40, 60, minute=29)
    cache.use(HOSTILE, 3, 1, minute=29)
    cache.use(LONG, 1, 1, minute=29)
    cache.statistics.coalesced(cache.statistics.of("embedding"), 0.002, 60.0 * 29)
    for _ in range(3):
        cache.statistics.count(cache.statistics.of("embedding"), "load_errors")
    tokens = {"input": 120_000, "output": 3_456, "cached": 0}
    provider = {"calls": 12, "answers": 10, "retries": 1, "errors": {"unavailable": 2}, "latency_seconds": 0.8}
    cache.more |= {
        "tiers": {"memory": {"entries": 1162, "bytes": 123_456}},
        "breakers": {"memory": "closed", "redis": "open"},
        "providers": {"anthropic": {**provider, "breaker": "half-open", "tokens": tokens, "cost": 1.25}},
    }
    return cache


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with chromium.Chromium(tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def browser(started: Any) -> Any:
    started.window(*DESKTOP)
    started.open("about:blank")
    started.requests.clear()
    started.complaints.clear()
    return started


@pytest.fixture
def stand_in() -> StandIn:
    return StandIn()


@pytest.fixture
def site(shown: StandIn, stand_in: StandIn) -> Iterator[str]:
    """`/cache` shows `shown`, `/guarded/` the same behind a token, `/other/` shows `stand_in`."""
    app = Starlette(routes=[*cache_routes(shown), Route("/elsewhere", lambda _: PlainTextResponse("elsewhere"))])
    app.mount("/guarded", cache_app(shown, token=TOKEN))
    other = cache_app(stand_in)
    other.add_exception_handler(OSError, lambda _request, _error: PlainTextResponse("down", 503))
    app.mount("/other", other)
    with asgi_server.served(app) as url:
        yield url


def is_shown(element: str) -> str:
    return f"!!document.getElementById({element!r}).checkVisibility()"


def choose(browser: Any, window: str) -> None:
    browser.value(f"document.querySelector('input[value=\"{window}\"]').click()")


def row(browser: Any, table: str, name: str) -> list[str]:
    cells = browser.value(
        f"[...document.querySelectorAll('#{table} tbody tr')].map(r => [r.querySelector('bdi').textContent,"
        " ...[...r.querySelectorAll('td')].map(c => c.textContent)])"
    )
    (found,) = (each[1:] for each in cells if each[0] == name)
    return found


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [PHONE, DESKTOP, NARROWEST], ids=["phone", "desktop", "narrowest"])
def test_it_fits_complains_about_nothing_and_asks_nobody_else(
    browser: Any, site: str, size: tuple[int, int], scheme: str, tmp_path: Path
) -> None:
    browser.window(*size, dark=scheme == "dark")
    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    assert browser.value("innerWidth") == size[0]
    assert browser.value("document.documentElement.scrollWidth") <= size[0]
    outside = "[...document.querySelectorAll('main *')].filter(e => e.getBoundingClientRect().right > innerWidth + 1)"
    assert browser.value(f"{outside}.map(e => e.outerHTML.slice(0, 80))") == []
    ground = browser.value("getComputedStyle(document.body).backgroundColor")
    assert ground == ("rgb(15, 20, 24)" if scheme == "dark" else "rgb(245, 246, 247)")
    browser.screenshot(tmp_path / "page.png")  # to be looked at
    assert browser.complaints == []
    host = urlsplit(site).netloc
    assert {urlsplit(url).netloc for url in browser.requests if not url.startswith("data:")} == {host}
    assert {urlsplit(url).path for url in browser.requests if not url.startswith("data:")} == {"/cache", "/cache/stats"}


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("path", ["/cache", "/guarded/", "/other/"])
def test_every_text_stands_out_from_its_ground(browser: Any, site: str, path: str, dark: bool) -> None:
    """WCAG 2.2, 1.4.3: 4.5 to 1."""
    browser.window(*DESKTOP, dark=dark)
    browser.open(site + path)
    browser.until("!document.getElementById('loading').checkVisibility()")
    assert browser.faint_texts() == []


@pytest.mark.parametrize("size", [PHONE, DESKTOP], ids=["phone", "desktop"])
def test_the_figures_are_those_of_the_stats(browser: Any, site: str, size: tuple[int, int]) -> None:
    browser.window(*size)
    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    stats = browser.value("fetch('/cache/stats').then(answer => answer.json())")
    choose(browser, "all")
    assert stats["cache_hits"] == 2944
    assert browser.text("cache_hits") == "2,944"
    assert browser.text("cache_misses") == "1,162"
    assert browser.text("coalesced") == "1"
    assert browser.text("api_calls_saved") == f"{stats['api_calls_saved']:,}" == "2,945"
    assert browser.text("estimated_cost_saved") == f"${stats['estimated_cost_saved']:.2f}" == "$5.89"
    assert browser.text("latency_saved_seconds") == "12 min 16 s"
    assert browser.text("hit_rate") == "71.7%"
    assert browser.text("verdict") == "1.7 points above the 70% target"
    assert row(browser, "operations", "completion") == ["4,000", "72.5%", "2,900", "1,100", "0", "12 min 5 s", "$5.80"]
    choose(browser, "5m")
    assert browser.text("cache_hits") == f"{stats['windows']['5m']['cache_hits']:,}" == "944"
    assert browser.text("hit_rate") == browser.text("rate-5m") == "85.4%"
    assert row(browser, "operations", "embedding") == ["101", "40.0%", "40", "60", "1", "10.0 s", "$0.0820"]


@pytest.mark.parametrize(
    ("answers", "told"),
    [
        ((7, 3), ["70.0%", "at the 70% target"]),
        ((6997, 3003), ["70.0%", "just below the 70% target"]),
        ((1, 3), ["25.0%", "45.0 points below the 70% target"]),
        ((1999, 1), ["99.9%", "29.9 points above the 70% target"]),
        ((2, 0), ["100.0%", "30.0 points above the 70% target"]),
        ((0, 2), ["0.0%", "70.0 points below the 70% target"]),
    ],
)
def test_the_hit_rate_is_told_against_the_target(
    browser: Any, site: str, stand_in: StandIn, answers: tuple[int, int], told: list[str]
) -> None:
    stand_in.use("completion", *answers, minute=29)
    browser.open(f"{site}/other/")
    browser.until(is_shown("figures"))
    assert [browser.text("hit_rate"), browser.text("verdict")] == told


def test_tiers_breakers_providers_and_faults_are_shown(browser: Any, site: str) -> None:
    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    assert row(browser, "tiers", "memory") == ["2,944", "1,162", "120.6 KiB", "0", "closed"]
    assert row(browser, "tiers", "redis") == ["0", DASH, DASH, "0", "open"]
    assert row(browser, "providers", "anthropic") == ["12", "10", "2", "1", "800 ms", "123,456", "$1.25", "half-open"]
    assert browser.text("count-load_errors") == "3"
    assert "3 failed" in browser.value("document.querySelector('#operations').textContent")


def test_without_providers_there_is_no_panel_of_them(browser: Any, site: str, stand_in: StandIn) -> None:
    stand_in.use("completion", 1, 1, minute=29)
    browser.open(f"{site}/other/")
    browser.until(is_shown("figures"))
    assert not browser.value(is_shown("providers-panel"))


def test_names_are_text_whatever_they_hold(browser: Any, site: str) -> None:
    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    names = browser.value("[...document.querySelectorAll('#operations bdi')].map(e => e.textContent)")
    assert {HOSTILE, LONG} <= set(names)
    assert browser.value("document.querySelectorAll('img, script').length") == 1
    assert browser.value("document.title") == "apicache"
    assert browser.complaints == []


def test_an_unused_cache_says_so_until_the_first_call(browser: Any, site: str, stand_in: StandIn) -> None:
    browser.open(f"{site}/other/")
    browser.until(is_shown("empty"))
    assert not browser.value(is_shown("figures"))
    stand_in.use("completion", 1, 1, minute=29)
    browser.until(is_shown("figures"))
    assert not browser.value(is_shown("empty"))


def test_figures_follow_the_cache(browser: Any, site: str, shown: StandIn) -> None:
    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    choose(browser, "all")
    shown.use("completion", 56, 0, minute=29)
    browser.until("document.getElementById('cache_hits').textContent === '3,000'")
    assert browser.value("document.getElementById('saved').getAttribute('d')") != ""
    assert browser.value("document.querySelector('input[value=all]').checked")


def test_a_failing_server_is_told_and_asked_more_rarely_until_it_answers(
    browser: Any, site: str, stand_in: StandIn
) -> None:
    stand_in.use("completion", 1, 1, minute=29)
    browser.open(f"{site}/other/")
    browser.until(is_shown("figures"))
    stand_in.failure = OSError("down")
    browser.until(is_shown("notice"))
    assert "it answered 503" in browser.text("notice-text")
    assert browser.text("state") == "Not connected, figures are old"
    assert browser.text("said") == "Connection lost"
    assert browser.value(is_shown("figures"))
    wait = int(browser.text("notice-text").split()[-2])
    browser.value("document.getElementById('retry').click()")
    browser.until(f"parseInt(document.getElementById('notice-text').textContent.split(' ').at(-2)) > {wait}")
    stand_in.failure = None
    browser.value("document.getElementById('retry').click()")
    browser.until(f"!({is_shown('notice')})")
    assert browser.text("said") == "Connected again"


def test_it_is_not_read_while_it_is_paused_or_hidden(browser: Any, site: str, shown: StandIn) -> None:
    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    hidden = "Object.defineProperty(document, 'hidden', {configurable: true, get: () => %s});"
    told = "document.dispatchEvent(new Event('visibilitychange'))"
    browser.value(FAST_TIMERS)
    browser.value(hidden % "true" + told)
    readings = shown.readings
    assert browser.value("pending()") == 0
    browser.value(hidden % "false" + told)
    browser.until("pending() === 1")
    assert shown.readings > readings
    browser.value("document.getElementById('pause').click()")
    assert browser.value("pending()") == 0
    assert browser.text("state") == "Paused"
    assert browser.value("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
    browser.value("document.getElementById('pause').click()")
    browser.until("pending() === 1")


FAST_TIMERS = """(() => {
  const waiting = new Set(), [set, clear] = [setTimeout, clearTimeout];
  window.setTimeout = (work, wait) => {
    const id = set(() => { waiting.delete(id); work(); }, wait); if (wait < 5000) waiting.add(id); return id; };
  window.clearTimeout = (id) => { waiting.delete(id); clear(id); };
  window.pending = () => waiting.size;
})()"""


class TestToken:
    def test_the_page_asks_before_it_reads_and_sends_it_as_a_header(
        self, browser: Any, site: str, shown: StandIn
    ) -> None:
        browser.open(f"{site}/guarded/")
        browser.until(is_shown("login"))
        assert shown.readings == 0
        assert browser.value("document.activeElement.id") == "token"
        browser.write(TOKEN)
        browser.press("Enter")
        browser.until(is_shown("figures"))
        assert not browser.value(is_shown("login"))
        assert browser.complaints == []
        assert not any(TOKEN in url for url in browser.requests)
        assert browser.value("document.cookie + localStorage.length") == "0"
        assert TOKEN not in browser.value("document.documentElement.outerHTML")
        browser.open(f"{site}/elsewhere")
        browser.open(f"{site}/guarded/")
        browser.until(is_shown("figures"))
        browser.value("document.getElementById('leave').click()")
        assert browser.value(is_shown("login"))
        assert browser.value("sessionStorage.length") == 0

    def test_a_wrong_one_is_refused_and_forgotten(self, browser: Any, site: str, shown: StandIn) -> None:
        browser.open(f"{site}/guarded/")
        browser.until(is_shown("login"))
        browser.write("wrong")
        browser.press("Enter")
        browser.until("document.getElementById('wrong').textContent !== ''")
        assert browser.text("wrong") == "That token was not accepted."
        assert browser.value("sessionStorage.length") == 0
        assert shown.readings == 0

    def test_one_that_no_header_carries_is_refused_at_once(self, browser: Any, site: str) -> None:
        browser.open(f"{site}/guarded/")
        browser.until(is_shown("login"))
        browser.write("schlüssel")
        browser.press("Enter")
        browser.until("document.getElementById('wrong').textContent !== ''")
        assert not any(url.endswith("/stats") for url in browser.requests)


def test_all_of_it_is_reached_by_keyboard_and_named(browser: Any, site: str) -> None:
    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    reached = []
    for _ in range(10):
        browser.press("Tab")
        reached.append(
            browser.value(
                "document.activeElement.id || document.activeElement.textContent || document.activeElement.value"
            )
        )
        assert (
            browser.value(
                "getComputedStyle(document.activeElement.closest('label') ?? document.activeElement).outlineStyle"
            )
            == "solid"
        )
    assert reached[:4] == ["pause", "5m", "Operation", "Calls"]
    browser.value("document.querySelector('input[value=\"5m\"]').focus()")
    browser.press("ArrowRight")
    browser.until("document.querySelector('input[value=\"1h\"]').checked")
    assert browser.text("cache_hits") == "2,944"
    unnamed = browser.value(
        "[...document.querySelectorAll('button, input')].filter(e => e.checkVisibility() && !e.textContent.trim()"
        " && !e.getAttribute('aria-label') && !e.labels?.length).map(e => e.outerHTML)"
    )
    assert unnamed == []


def test_a_column_sorts_and_says_so(browser: Any, site: str) -> None:
    def names() -> Any:
        return browser.value("[...document.querySelectorAll('#operations bdi')].map(e => e.textContent)")

    browser.open(f"{site}/cache")
    browser.until(is_shown("figures"))
    assert names()[:2] == ["completion", "embedding"]
    head = "[...document.querySelectorAll('#operations thead th')].find(e => e.textContent === 'Hit rate')"
    browser.value(f"{head}.querySelector('button').click()")
    assert browser.value(f"{head}.getAttribute('aria-sort')") == "descending"
    assert names()[0] == "completion"
    browser.value(f"{head}.querySelector('button').click()")
    assert browser.value(f"{head}.getAttribute('aria-sort')") == "ascending"
    assert names()[0] == "embedding"
    assert browser.text("said") == "Sorted by hit rate, ascending"


def test_many_operations_are_shown_in_part_and_filtered(browser: Any, site: str, stand_in: StandIn) -> None:
    for number in range(300):
        stand_in.use(f"GET host-{number:03}.example.com", 300 - number, 1, minute=29)
    rows = "document.querySelectorAll('#operations tbody tr').length"
    browser.open(f"{site}/other/")
    browser.until(is_shown("figures"))
    assert browser.value(rows) == 25
    browser.value("document.getElementById('more').click()")
    assert browser.value(rows) == 300
    browser.value("document.getElementById('filter').focus()")
    browser.write("HOST-29")
    browser.until(f"{rows} === 10")
    assert browser.text("operations-count") == "10 of 300"
    browser.write("x")
    browser.until(is_shown("operations-none"))
