"""Every rule's own examples, and how rules are chosen, ignored and documented."""

import ast
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache_codemods.rule import Example, load_rules, selected
from apicache_codemods.rule_documentation import rendered
from apicache_codemods.scan import ScanOptions, scan

HERE = re.compile(r"#\s*here$")
DOCUMENTATION = Path(__file__).parents[2] / "docs" / "rules.md"


def _examples(kind: str):
    return [
        pytest.param(rule.code, example, id=f"{rule.code}-{number}")
        for rule in load_rules().values()
        for number, example in enumerate(getattr(rule, kind), start=1)
    ]


def _found(root: Path, code: str, example: Example) -> tuple[set[tuple[str, int]], set[tuple[str, int]]]:
    """Where the rule finds something, and where the comments say it has to."""
    marked = set()
    for name, text in ({"app.py": example} if isinstance(example, str) else example).items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        lines = textwrap.dedent(text)
        path.write_text(lines, encoding="utf-8")
        marked |= {(name, number) for number, line in enumerate(lines.split("\n"), 1) if HERE.search(line)}
    report = scan([root], root, ScanOptions(select=(code,)))
    return {(finding.path, finding.line) for finding in report.findings}, marked


@pytest.mark.parametrize(("code", "example"), _examples("invalid"))
def test_an_invalid_example_is_found_where_it_says(tmp_path, code, example):
    found, marked = _found(tmp_path, code, example)
    assert marked
    assert found == marked


@pytest.mark.parametrize(("code", "example"), _examples("valid"))
def test_a_valid_example_has_no_finding(tmp_path, code, example):
    found, marked = _found(tmp_path, code, example)
    assert not marked
    assert not found


def test_the_page_of_the_rules_is_what_they_say_of_themselves():
    assert DOCUMENTATION.read_text(encoding="utf-8") == rendered()


def test_each_rule_is_named_by_its_file_and_documents_code_that_parses():
    for code, rule in load_rules().items():
        assert rule.code == code
        assert rule.valid
        assert rule.invalid
        assert rule.documentation.fix.endswith(".")
        for text in (rule.documentation.bad, rule.documentation.good):
            compile(text, code, "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)


def test_rules_are_chosen_by_code_and_prefix_and_ignore_wins():
    assert [rule.code for rule in selected((), ())] == list(load_rules())
    assert [rule.code for rule in selected(("ac001", "AC003"), ())] == ["AC001", "AC003"]
    assert [rule.code for rule in selected(("AC",), ("AC00",))] == []
    assert "AC002" not in [rule.code for rule in selected((), ("AC002",))]


@pytest.mark.parametrize("code", ["AC9", "X", "", " ", "AC001x"])
def test_a_code_of_no_rule_is_refused_and_the_known_ones_named(tmp_path, code):
    with pytest.raises(InputError, match=r"known: AC001, AC002"):
        scan([tmp_path], tmp_path, ScanOptions(select=(code,)))
    with pytest.raises(InputError, match=r"known: AC001, AC002"):
        scan([tmp_path], tmp_path, ScanOptions(ignore=(code,)))


PLAIN = """
import requests
def load():
    return requests.get(
        "https://api.example.com/users",
        timeout=3,
    )
"""


def _codes(project, source: str, *select: str) -> list[str]:
    project.write(source)
    return [each.rule for each in scan([project.root], project.root, ScanOptions(select=select)).findings]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("requests.get(", "requests.get(  # apicache: ignore[AC002] it has to be fresh"),
        ('users",', 'users",  # apicache: ignore[AC002]'),
        ("    )", "    )  # apicache:ignore[ac001, AC002]"),
        ("    )", "    )  # type: ignore  # apicache: ignore"),
        ("    return", "    # apicache: ignore[AC002] reason\n    return"),
    ],
)
def test_a_comment_on_or_above_the_call_ignores_a_finding(project, old, new):
    assert _codes(project, PLAIN) == ["AC002"]
    project.write(PLAIN.replace(old, new))
    report = scan([project.root], project.root)
    assert report.findings == ()
    assert report.summary.suppressed == 1


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("requests.get(", "requests.get(  # apicache: ignore[AC001]"),
        ("requests.get(", "requests.get(  # apicache: ignored"),
        ("def load():", "def load():  # apicache: ignore[AC002]"),
        ("    )", "    )\n    # apicache: ignore[AC002]"),
    ],
)
def test_a_comment_elsewhere_or_for_another_rule_ignores_nothing(project, old, new):
    assert _codes(project, PLAIN.replace(old, new)) == ["AC002"]


def _marks(project, source: str) -> list[str]:
    project.write(source)
    return [each.fingerprint for each in scan([project.root], project.root).findings]


def test_a_fingerprint_stays_when_lines_move_and_layout_changes(project):
    (before,) = _marks(project, PLAIN)
    assert re.fullmatch("[0-9a-f]{16}", before)
    moved = "# a comment\n\n" + PLAIN.replace("\n        timeout=3,\n    )", " timeout=3)").replace('"', "'")
    assert _marks(project, moved) == [before]


def test_a_fingerprint_stays_when_the_file_is_renamed(project):
    (before,) = _marks(project, PLAIN)
    (project.root / "app.py").rename(project.root / "renamed.py")
    assert [each.fingerprint for each in scan([project.root], project.root).findings] == [before]


def test_a_second_equal_call_has_a_fingerprint_of_its_own(project):
    (before,) = _marks(project, PLAIN)
    twice = PLAIN + PLAIN.replace("import requests\n", "")
    report_marks = [each.fingerprint for each in scan_of(project, twice).findings if each.rule == "AC002"]
    assert len(set(report_marks)) == 2
    assert before in report_marks


def test_another_call_function_or_rule_has_another_fingerprint(project):
    (before,) = _marks(project, PLAIN)
    assert before not in _marks(project, PLAIN.replace("timeout=3", "timeout=4"))
    assert before not in _marks(project, PLAIN.replace("def load", "def fetch"))


def scan_of(project, source: str):
    project.write(source)
    return scan([project.root], project.root)


def test_a_finding_says_where_it_begins_and_ends_how_grave_it_is_and_what_to_do(project):
    (finding,) = scan_of(project, PLAIN).findings
    assert (finding.line, finding.column, finding.end_line, finding.end_column) == (4, 11, 7, 5)
    assert (finding.severity, finding.new) == ("note", True)
    assert finding.fix.endswith(".")
    assert not finding.message.endswith(".")


def test_a_rule_file_is_found_by_its_name(tmp_path):
    (tmp_path / "zz001.py").write_text(
        "from apicache_codemods.rule import Documentation, Rule\n"
        "RULE = Rule(code='ZZ001', name='n', summary='s', severity='note', valid=(), invalid=(),\n"
        "    documentation=Documentation('why', 'bad', 'good', 'fix'), check=lambda context: ())\n",
        encoding="utf-8",
    )
    code = (
        f"from apicache_codemods import rules; rules.__path__.append({str(tmp_path)!r})\n"
        "from apicache_codemods.rule import load_rules, selected\n"
        "print(list(load_rules())[-1], [rule.code for rule in selected(('ZZ',), ())])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "ZZ001 ['ZZ001']\n"
