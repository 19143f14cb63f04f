"""Report formats json, csv, markdown and html of one made run, its cost model and its miss-ratio curve."""

import csv
import importlib.util
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache_scenarios.reporting.costs import MONTH_SECONDS, Pricing
from apicache_scenarios.reporting.formats import known, render
from apicache_scenarios.reporting.report import report_of
from apicache_scenarios.reporting.scales import linear, logarithmic
from apicache_scenarios.reporting.words import dollars, duration, size

_spec = importlib.util.spec_from_file_location("made_results", Path(__file__).with_name("made_results.py"))
made_results = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(made_results)
result = made_results.result


@pytest.fixture(scope="module")
def report():
    return report_of(result(1), "1.2.3", Pricing(rate=50))


def test_the_formats_are_the_files_of_the_folder():
    assert known() == ("csv", "html", "json", "markdown")
    with pytest.raises(InputError, match="did you mean 'html'"):
        render("htm", None)


@pytest.mark.parametrize("name", ["csv", "html", "json", "markdown"])
def test_every_format_tells_thresholds_costs_and_the_curve(report, name):
    text = render(name, report)
    plain = re.sub(r"\\(.)|&gt;|<[^>]+>", lambda found: found[1] or (">" if found[0] == "&gt;" else ""), text)
    for told in ("cached.hit_rate: >= 0.99", "A month has 30.44 days", "double the memory (40 entries to 80 entries)"):
        assert told in plain
    assert text.endswith("\n")


def test_json_has_every_figure_and_no_blocks(report):
    document = json.loads(render("json", report))
    assert document["schema"] == 1
    assert "blocks" not in document
    assert document["arms"]["cached"]["hit_rate"] == 0.8
    assert [each["holds"] for each in document["thresholds"]] == [True, False]
    assert document["miss_ratio"]["points"][-1]["entries"] == document["miss_ratio"]["distinct"]
    assert document["cost"]["per_month"]["rate"] == 50


def test_csv_has_one_row_a_value_and_no_formula(report):
    rows = list(csv.DictReader(io.StringIO(render("csv", report))))
    assert {row["section"] for row in rows} == {"run", "figures", "block", "threshold", "cost", "miss_ratio"}
    (rate,) = [
        row["value"]
        for row in rows
        if (row["section"], row["arm"], row["pass"], row["operation"], row["metric"])
        == ("figures", "cached", "warm", "", "hit_rate")
    ]
    assert float(rate) == 0.8
    hostile = report_of(result(1, upstream="=cmd()"), "1")
    assert "'=cmd()" in render("csv", hostile)


def test_markdown_escapes_what_is_special(report):
    text = render("markdown", report)
    assert text.startswith("<!-- apicache bench -->\n")
    assert "**missed**" in text
    assert r"cached.hit\_rate" in text


class Tags(HTMLParser):
    def __init__(self):
        super().__init__()
        self.open, self.seen = [], []

    def handle_starttag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))
        if tag not in ("meta", "br"):
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.seen.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def test_html_is_one_page_without_script_or_request(report):
    tags = Tags()
    tags.feed(text := render("html", report))
    assert tags.open == []
    assert not {"script", "link", "img", "iframe"} & {tag for tag, _ in tags.seen}
    assert "http" not in re.sub(r"http-equiv", "", text)
    labels = [attributes["aria-label"] for tag, attributes in tags.seen if attributes.get("role") == "img"]
    assert [label.split(" ", 2)[0] for label in labels] == ["Share", "Miss", "Answered", "Latency", "Latency", "Share"]


def test_html_escapes_names():
    hostile = report_of(result(1, upstream="<script>alert(1)</script>", file="<b>"), "1")
    assert "<script>" not in render("html", hostile)
    assert "<b>;" not in render("html", hostile)


@pytest.mark.parametrize("name", ["csv", "html", "json", "markdown"])
def test_a_run_without_a_request_is_reported_without_made_up_figures(name):
    text = render(name, report_of(result(1, rounds=0), "1"))
    assert "nan" not in text.lower().replace("nanoseconds", "")


def test_the_cost_is_that_of_the_calls_and_the_saving_that_of_the_hits(report):
    cost = report.cost
    ask = next(each for each in cost.operations if each.operation == "ask")
    assert (ask.requests, ask.calls) == (1950, 350)
    assert cost.spent == pytest.approx(350 * 0.002)
    assert cost.saved == pytest.approx(1600 * 0.002)
    assert cost.per_month.saved == pytest.approx(50 * MONTH_SECONDS * 0.8 * 0.002)
    assert "Left out, having no price: tell=." in cost.assumptions


def test_a_given_price_holds_for_every_operation():
    cost = report_of(result(1), "1", Pricing(per_call=1.0)).cost
    assert (cost.prices_from, cost.spent, cost.saved) == ("given", 400, 1600)
    assert cost.per_month.rate == 200


def test_without_a_price_nothing_is_made_up():
    cost = report_of(result(1, costs={}), "1").cost
    assert (cost.spent, cost.saved, cost.per_month) == (None, None, None)
    assert cost.assumptions == ("No call has a price: give --price-per-call, or the operation a cost.",)


@pytest.mark.parametrize("pricing", [{"per_call": -1.0}, {"rate": 0.0}, {"per_call": float("nan")}])
def test_prices_and_rates_that_are_none_are_refused(pricing):
    with pytest.raises(InputError, match="not usable"):
        Pricing(**pricing)


def test_the_curve_falls_with_the_size_and_rises_with_shorter_lives(report):
    found = report.miss_ratio
    rates = [point.hit_rate for point in found.points]
    assert rates == sorted(rates)
    assert [each.hit_rate for each in found.by_ttl] == sorted(each.hit_rate for each in found.by_ttl)
    assert found.seconds == pytest.approx(10, rel=0.01)
    assert found.points[-1].bytes == found.distinct * 2048


def test_a_cache_that_holds_all_keys_is_told_so():
    (first, *_) = report_of(result(1, held=100), "1").miss_ratio.sentences
    assert "more memory brings nothing" in first


def test_figures_are_named_as_people_read_them():
    assert [duration(value) for value in (None, 0.0093, 25.56, 1500)] == ["-", "9.30 µs", "25.6 ms", "1.50 s"]
    assert [dollars(value) for value in (1234.5, 0.000123, 0.0, -2)] == ["$1,234.50", "$0.00012", "$0.00", "-$2.00"]
    assert [size(value) for value in (12, 2048, 3 * 1024**3)] == ["12 B", "2.00 KiB", "3.00 GiB"]


def test_axes_are_named_at_round_values():
    assert logarithmic([0.02, 300], str).ticks() == [0.01, 0.1, 1, 10, 100, 1000]
    assert linear([37], str).ticks() == [0, 10, 20, 30, 40]
    assert linear([], str).place(0.5, 0, 100) == 50
