"""What is not edited keeps its bytes; what is written is written whole; the patch is one that git applies."""

import stat
import subprocess
from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache_codemods import migrate

TEXT = (
    "# -*- coding: {coding} -*-\n"
    "import requests\n"
    "\n"
    "def odd( a,b ) :\n"
    "\treturn {{ 'k' :a , }}\n"
    "\x0c\n"
    "class  A :\n"
    "    x = ('\u00e9' ,)   # trailing   \n"
    "    def get(self, u):\n"
    "        r = requests.get(u)\n"
    "        return r . text\n"
    "if  True: y = '''a\n"
    "  b'''\n"
    "z = 1 ; w = \\\n"
    "  2"
)

FORMS = {
    "utf-8, line feeds": lambda text: text.format(coding="utf-8").encode(),
    "utf-8, carriage returns": lambda text: text.format(coding="utf-8").replace("\n", "\r\n").encode(),
    "byte order mark": lambda text: b"\xef\xbb\xbf" + text.format(coding="utf-8").encode(),
    "latin-1": lambda text: text.format(coding="latin-1").encode("latin-1"),
    "a last line end": lambda text: (text + "\n").format(coding="utf-8").encode(),
    "mixed line ends": lambda text: text.format(coding="utf-8").replace("\n", "\r\n", 4).encode(),
}


CALLS = {
    "wrap": ("requests.get(u)", "cached_api_call_sync(requests.get, u)"),
    "operation": (
        "requests.post('https://x.example/v1/embeddings', json={{'input': u}})",
        'api_cache.cached_api_call_sync(operation="embedding", u=u)',
    ),
}
IMPORTED = {
    "wrap": ("import requests", ["import requests", "from apicache import cached_api_call_sync"]),
    "operation": ("import requests", ["from api_operations import api_cache"]),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("style", CALLS)
def test_all_but_the_call_and_its_import_keep_their_bytes(project, form, style):
    old_call, new_call = CALLS[style]
    before = FORMS[form](TEXT.replace("requests.get(u)", old_call))
    (project.folder / "a.py").write_bytes(before)
    project.migrate(style=style)
    after = (project.folder / "a.py").read_bytes()
    expected = before.replace(old_call.format().encode(), new_call.encode())
    old_import, new_imports = IMPORTED[style]
    end = b"\r\n" if b"import requests\r\n" in before else b"\n"
    lines = b"".join(line.encode() + end for line in new_imports)
    assert after == expected.replace(old_import.encode() + end, lines)


def test_tabs_are_kept_for_what_is_laid_out(project):
    long = "'https://api.example.com/with/a/rather/long/path', params={'first': 1, 'second': 2}, timeout=10"
    (project.folder / "a.py").write_text(f"import requests\ndef f():\n\tif 1:\n\t\treturn requests.get({long})\n")
    project.migrate(style="wrap")
    assert "\n\t\treturn cached_api_call_sync(\n\t\t\trequests.get,\n\t\t\t'https" in project.read("a.py")


def test_git_applies_the_patch_from_any_folder_of_the_repository(project):
    call = "import requests\n\ndef f(q):\n    return requests.get(f'https://api.example.com/users/{q}')"
    project.put(
        {"app/__init__.py": "", "app/a b.py": call, "app/b.py": call + "\n", "app/c.py": call.replace("\n", "\r\n")}
    )
    expected = migrate.plan([project.folder / "app"], project.folder)
    git = ["git", "-c", "core.autocrlf=false"]
    subprocess.run([*git, "init", "-q"], cwd=project.folder, check=True)
    for folder in (project.folder, project.folder / "app"):
        patch = migrate.plan([project.folder / "app"], folder).patch()
        subprocess.run([*git, "apply", "--whitespace=nowarn"], input=patch, cwd=folder, check=True)
        for change in expected.changes:
            assert Path(change.absolute).read_bytes() == change.after
        subprocess.run([*git, "apply", "--whitespace=nowarn", "-R"], input=patch, cwd=folder, check=True)
    assert [change.path for change in expected.changes if change.before is None] == ["app/api_operations.py"]


def test_a_written_file_keeps_its_mode_and_a_link_stays_a_link(project):
    project.put({"real/a.py": "import requests\ndef f(u): return requests.get(u)\n"})
    target = project.folder / "real/a.py"
    target.chmod(0o751)
    (project.folder / "b.py").symlink_to(target)
    migrate.write(migrate.plan([project.folder / "b.py"], project.folder))
    assert (project.folder / "b.py").is_symlink()
    assert stat.S_IMODE(target.stat().st_mode) == 0o751
    assert "cached_api_call_sync" in target.read_text()
    assert [path.name for path in target.parent.iterdir()] == ["a.py"]


def test_a_file_that_changed_since_the_plan_is_not_overwritten(project):
    project.put({"a.py": "import requests\ndef f(u): return requests.get(u)\n"})
    plan = project.plan()
    project.put({"a.py": "# mine\n"})
    with pytest.raises(InputError, match=r"a\.py was changed while the plan was made; run migrate again"):
        migrate.write(plan)
    assert project.read("a.py") == "# mine\n"


def test_the_patch_shows_no_unchanged_line_as_changed(project):
    many = "".join(f"    x{n} = 1\n    return x\n\n" for n in range(300))
    project.put({"a.py": f"import requests\n\ndef f(u):\n    r = requests.get(u)\n    return r\n\ndef g():\n{many}"})
    lines = project.plan().patch().decode().splitlines()
    assert [line for line in lines if line.startswith(("-", "+")) and not line.startswith(("---", "+++"))] == [
        "+from apicache import cached_api_call_sync",
        "-    r = requests.get(u)",
        "+    r = cached_api_call_sync(requests.get, u)",
    ]
