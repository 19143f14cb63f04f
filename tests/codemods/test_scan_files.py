"""What is read, what is passed over, and bad input: each is named, the rest goes on."""

import os
import warnings
from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache_codemods import files, survey, syntax
from apicache_codemods.scan import scan

GOOD = "import requests\nrequests.get('https://api.example.com/users')\n"


def reasons(report):
    return {skipped.path: skipped.reason for skipped in report.skipped_files}


def paths(report):
    return [site.path for site in report.call_sites]


def test_bad_files_are_named_and_the_rest_goes_on(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "broken.py").write_text("def f(:\n    pass\n")
    (tmp_path / "broken_too.py").write_text("import requests\nrequests.get(\n")
    (tmp_path / "latin.py").write_bytes(b"import requests  # caf\xe9\n")
    (tmp_path / "null.py").write_bytes(b"import requests\nx = '\x00'\n")
    (tmp_path / "cookie.py").write_bytes(b"# -*- coding: no-such-codec -*-\nimport requests\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "blank.py").write_text("\n\n")
    report = scan([tmp_path], tmp_path)
    assert paths(report) == ["good.py"]
    found = reasons(report)
    assert found["broken.py"] == "does not parse: invalid syntax (line 1)"
    assert found["broken_too.py"].startswith("does not parse: '(' was never closed (line 2)")
    assert found["latin.py"].startswith("cannot be decoded:")
    assert found["null.py"].startswith("does not parse:")
    assert found["cookie.py"].startswith("cannot be decoded:")
    assert found["empty.py"] == found["blank.py"] == "empty"
    assert len(found) == 7


def test_a_coding_cookie_and_a_byte_order_mark_are_honoured(tmp_path):
    source = "# -*- coding: latin-1 -*-\nimport requests\nrequests.get('https://é.example.com/ü')\n"
    (tmp_path / "latin.py").write_bytes(source.encode("latin-1"))
    (tmp_path / "mark.py").write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    report = scan([tmp_path], tmp_path)
    assert reasons(report) == {}
    assert [(site.path, site.line, site.column, site.endpoint) for site in report.call_sites] == [
        ("latin.py", 3, 0, "GET é.example.com/ü"),
        ("mark.py", 2, 0, "GET api.example.com/users"),
    ]


def test_columns_count_characters_and_lines_are_those_of_python(tmp_path):
    source = "import requests\r\nx = 'é\x0c'; requests.get('https://ü.example.com'); \u2028 = 1\r\n".replace(
        "\u2028", "y"
    )
    (tmp_path / "app.py").write_bytes(("# \x0c a form feed\r\n\x0c\r\n" + source).encode())
    (site,) = scan([tmp_path], tmp_path).call_sites
    assert (site.line, site.column, site.end_column) == (4, 10, 47)


def test_a_separator_inside_a_text_ends_no_line(tmp_path):
    (tmp_path / "app.py").write_text("x = '''\u2028\x0b\x1c'''\n" + GOOD, encoding="utf-8")
    (site,) = scan([tmp_path], tmp_path).call_sites
    assert (site.line, site.call) == (3, "requests.get")


def test_a_deeply_nested_file_is_named(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "deep.py").write_text("import requests\nx = " + "[" * 5000 + "]" * 5000 + "\n")
    (tmp_path / "long.py").write_text("import requests\nx = " + "-" * 50_000 + "1\n")
    report = scan([tmp_path], tmp_path)
    assert paths(report) == ["good.py"]
    assert set(reasons(report)) == {"deep.py", "long.py"}


def test_deep_code_that_parses_does_not_end_the_scan(tmp_path):
    chain = "if x == 0:\n    pass\n" + "".join(f"elif x == {n}:\n    requests.get(URL)\n" for n in range(1, 900))
    calls = "y = " + "f(" * 90 + "requests.get(URL)" + ")" * 90 + "\n"
    dotted = "z = " + "requests" + ".x" * 900 + ".get(URL)\n"
    source = "import requests\nURL = 'https://x.example.com/a'\n" + chain + calls + dotted
    (tmp_path / "app.py").write_text(source)
    report = scan([tmp_path], tmp_path)
    assert reasons(report) == {}
    assert len(report.call_sites) == 900
    assert report.duplicate_groups[0].endpoint == "GET x.example.com/a"


def test_warnings_of_the_scanned_code_do_not_leak(tmp_path):
    (tmp_path / "app.py").write_text(GOOD + "x = '\\d'\n1 is 1\n")
    (tmp_path / "other.py").write_text("x = '\\d'\n")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert paths(scan([tmp_path], tmp_path)) == ["app.py"]
    assert caught == []


def test_symbolic_link_loops_are_named(tmp_path):
    (tmp_path / "pkg").mkdir()
    (tmp_path / "pkg" / "good.py").write_text(GOOD)
    (tmp_path / "pkg" / "up").symlink_to(tmp_path)
    (tmp_path / "itself").symlink_to(tmp_path / "itself")
    (tmp_path / "gone.py").symlink_to(tmp_path / "nowhere.py")
    report = scan([tmp_path], tmp_path)
    assert paths(report) == ["pkg/good.py"]
    found = reasons(report)
    assert found["pkg/up"].startswith("symbolic link loop")
    assert found["itself"] == "symbolic link loop"
    assert found["gone.py"] == "no such file or directory"


def test_a_file_is_read_once_however_many_ways_lead_to_it(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "again.py").symlink_to(tmp_path / "good.py")
    report = scan([tmp_path, tmp_path / "good.py", Path("good.py")], tmp_path)
    assert paths(report) == ["good.py"]
    assert reasons(report) == {"again.py": "same file as good.py"}


def test_a_linked_folder_is_named_and_read_when_it_is_given(tmp_path):
    (tmp_path / "src").mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "good.py").write_text(GOOD)
    (tmp_path / "src" / "linked").symlink_to(tmp_path / "elsewhere")
    report = scan([tmp_path / "src"], tmp_path)
    assert paths(report) == []
    assert "give its target as a path" in reasons(report)["src/linked"]
    assert paths(scan([tmp_path / "src" / "linked"], tmp_path)) == ["src/linked/good.py"]


def test_no_permission_is_named(tmp_path, monkeypatch):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "secret.py").write_text(GOOD)
    (tmp_path / "closed").mkdir()
    read, listed = files.open_file, os.scandir

    def refuse_file(path):
        if path.endswith("secret.py"):
            raise PermissionError(13, "Permission denied", path)
        return read(path)

    def refuse_folder(path):
        if str(path).endswith("closed"):
            raise PermissionError(13, "Permission denied", path)
        return listed(path)

    monkeypatch.setattr(files, "open_file", refuse_file)
    monkeypatch.setattr(os, "scandir", refuse_folder)
    report = scan([tmp_path], tmp_path)
    assert paths(report) == ["good.py"]
    assert reasons(report) == {"secret.py": "no permission", "closed": "no permission"}


def test_a_pipe_is_named_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.py")
    assert reasons(scan([tmp_path], tmp_path)) == {"pipe.py": "not a regular file"}


def test_a_folder_without_python_is_named(tmp_path):
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "readme.md").write_text("x")
    report = scan([tmp_path / "docs"], tmp_path)
    assert reasons(report) == {"docs": "no Python files"}
    assert report.summary.files == 0


def test_a_path_that_does_not_exist_is_bad_input(tmp_path):
    with pytest.raises(InputError, match="no such file or directory: nowhere"):
        scan([Path("nowhere")], tmp_path)


def test_installed_generated_and_hidden_folders_are_not_entered(tmp_path):
    for folder in (".git", ".venv", "env", "node_modules/x", "__pycache__", "build/lib", "dist", "site-packages/y"):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / "app.py").write_text(GOOD)
    (tmp_path / "env" / "pyvenv.cfg").write_text("")
    assert paths(scan([tmp_path], tmp_path)) == []
    assert paths(scan([tmp_path / "build", tmp_path / "env"], tmp_path)) == ["build/lib/app.py", "env/app.py"]


def test_a_package_named_build_is_entered(tmp_path):
    (tmp_path / "build").mkdir()
    (tmp_path / "build" / "__init__.py").write_text("x = 1\n")
    (tmp_path / "build" / "app.py").write_text(GOOD)
    assert paths(scan([tmp_path], tmp_path)) == ["build/app.py"]


def test_a_file_given_by_name_is_read_whatever_it_is_called(tmp_path):
    (tmp_path / "script").write_text(GOOD)
    assert paths(scan([Path("script")], tmp_path)) == ["script"]


def test_paths_are_relative_to_the_root_also_outside_it(tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "app.py").write_text(GOOD)
    assert paths(scan([tmp_path / "b"], tmp_path / "a")) == ["../b/app.py"]


def test_files_and_lines_count_all_that_was_read(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "plain.py").write_text("x = 1\ny = 2")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "latin.py").write_bytes(b"\xe9")
    report = scan([tmp_path], tmp_path)
    assert (report.summary.files, report.summary.lines, report.summary.call_sites) == (3, 4, 1)


def test_much_text_that_nothing_leads_to_is_not_checked(tmp_path, monkeypatch):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "plain.py").write_text("x = 1\n")
    monkeypatch.setattr(survey, "_MOST_CHECKED", 3)
    monkeypatch.setattr(survey, "check", None)
    assert paths(scan([tmp_path], tmp_path)) == ["good.py"]


def test_only_files_that_lead_to_a_client_are_parsed_into_trees(tmp_path, monkeypatch):
    (tmp_path / "clients.py").write_text("import httpx\nhttp = httpx.Client()\nclass Other: ...\n")
    (tmp_path / "use.py").write_text("from clients import http\nhttp.get('https://x.example.com/a')\n")
    (tmp_path / "types.py").write_text("import httpx\ndef f(response: httpx.Response): ...\n")
    (tmp_path / "plain.py").write_text("from clients import Other\nx = {}\nx.get('a')\n")
    parsed = []
    parse = syntax.parse
    monkeypatch.setattr("apicache_codemods.project.parse", lambda text, path: parsed.append(path) or parse(text, path))
    assert paths(scan([tmp_path], tmp_path)) == ["use.py"]
    assert sorted(parsed) == ["clients.py", "use.py"]


def test_progress_counts_every_file_once(tmp_path):
    (tmp_path / "good.py").write_text(GOOD)
    (tmp_path / "plain.py").write_text("x = 1\n")
    (tmp_path / "broken.py").write_text("import requests\nrequests.get(\n")
    steps = []
    scan([tmp_path], tmp_path, on_progress=lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)]


def test_collection_of_garbage_is_as_before(tmp_path):
    import gc

    (tmp_path / "good.py").write_text(GOOD)
    scan([tmp_path], tmp_path)
    assert gc.isenabled()
    gc.disable()
    try:
        scan([tmp_path], tmp_path)
        assert not gc.isenabled()
    finally:
        gc.enable()
