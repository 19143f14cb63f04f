"""A line that is no part of an edit keeps its bytes, or the file is not written."""

import pytest

from apicache_codemods.rewriting import assembling
from apicache_codemods.rewriting.untouched import altered_line, lines_of

BEFORE = b"\xef\xbb\xbfimport os\r\n\x0c\r\nx = 1\n\ty = '\xe9'\rz = 3"


@pytest.mark.parametrize(
    ("after", "touched", "altered"),
    [
        (BEFORE, (), None),
        (BEFORE.replace(b"x = 1", b"x = 2"), (3,), None),
        (BEFORE.replace(b"x = 1", b"x = 2"), (), 3),
        (BEFORE.replace(b"x = 1\n", b"x = 1\nnew = 1\n"), (), None),
        (BEFORE.replace(b"\r\n", b"\n"), (), 1),
        (BEFORE.replace(b"\x0c", b""), (3,), 2),
        (BEFORE.replace(b"\t", b"    "), (), 4),
        (BEFORE.replace(b"\xe9", b"\xc3\xa9"), (), 4),
        (BEFORE[3:], (), 1),
        (BEFORE + b"\n", (), 5),
        (BEFORE.replace(b"x = 1\n", b""), (3,), None),
        (b"x = 1\n" + BEFORE.replace(b"x = 1\n", b""), (), 3),
    ],
)
def test_every_line_that_is_not_touched_is_looked_for_in_order(after, touched, altered):
    assert altered_line(BEFORE, after, touched) == altered


def test_lines_are_counted_as_libcst_does():
    assert lines_of(b"a\r\nb\rc\n\nd") == [b"a\r\n", b"b\r", b"c\n", b"\n", b"d"]
    assert lines_of(b"") == []


def test_an_edit_that_would_change_another_line_is_refused_with_the_line(project, monkeypatch):
    project.put({"a.py": "import requests\n\ny   =  2\n\ndef f(u):\n    return requests.get(u)\n"})
    real = assembling.finished
    monkeypatch.setattr(assembling, "finished", lambda *given: real(*given).replace(b"y   =  2", b"y = 2"))
    (site,) = project.plan().sites
    assert (site.decision, site.code) == ("skipped", "M120")
    assert site.reason == "the edit would change line 3, which is no part of it"
    assert not project.plan().changes
