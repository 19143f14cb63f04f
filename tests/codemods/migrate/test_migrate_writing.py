"""The files of a run are all new or all old, whatever stops it; the last run can be taken back."""

import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from apicache.errors import InputError
from apicache_codemods.rewriting import transaction as transactions
from apicache_codemods.rewriting.journal import Journal
from apicache_codemods.rewriting.transaction import recover, transaction, undo
from apicache_codemods.rewriting.writing import FileChange

OLD = {"a.py": b"a = 1\r\n", "deep/b.py": b"\xef\xbb\xbfb = 1", "c.py": b"c = 1\n"}
NEW = {"a.py": b"a = 2\r\n", "deep/b.py": b"b = 2\n", "c.py": None, "made.py": b"made = 2\n"}


def lay_out(folder: Path) -> Journal:
    for path, content in OLD.items():
        (folder / path).parent.mkdir(exist_ok=True, parents=True)
        (folder / path).write_bytes(content)
    return Journal(folder)


def changes(folder: Path) -> list[FileChange]:
    return [
        FileChange(path=path, absolute=str(folder / path), before=OLD.get(path), after=after)
        for path, after in NEW.items()
    ]


def state(folder: Path) -> dict[str, bytes]:
    """Every file but the journal's own."""
    files = (path for path in folder.rglob("*") if path.is_file() and ".apicache" not in path.parts)
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


AFTER = {path: content for path, content in NEW.items() if content is not None}


def written(folder: Path) -> Journal:
    journal = lay_out(folder)
    with transaction(journal) as run:
        run.put(changes(folder))
    assert state(folder) == AFTER
    return journal


KILLED = """
import os, shutil, signal, sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_migrate_writing import AFTER, OLD, changes, lay_out, state
from apicache_codemods.rewriting.transaction import recover, transaction, undo

def killing(name, left):
    real = getattr(os, name)
    def step(*args, **kwargs):
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*args, **kwargs)
    setattr(os, name, step)

STEPS = ("open", "fsync", "replace", "rename", "unlink", "mkdir", "rmdir", "chmod")
outcomes = []
for number in range(1000):
    folder = Path(sys.argv[1]) / str(number)
    folder.mkdir()
    journal = lay_out(folder)
    if sys.argv[3] == "undo":
        with transaction(journal) as run:
            run.put(changes(folder))
    child = os.fork()
    if not child:
        left = [number]
        for name in STEPS:
            killing(name, left)
        if sys.argv[3] == "undo":
            undo(journal)
        else:
            with transaction(journal) as run:
                run.put(changes(folder))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    torn = state(folder)
    assert all(content in (OLD.get(path), AFTER.get(path)) or path.endswith(".tmp") for path, content in torn.items())
    recover(journal)
    now = state(folder)
    assert now in (OLD, AFTER), (number, now)
    assert journal.is_settled()
    assert not list(journal.folder.glob("stopped-*"))
    if now == AFTER:
        assert undo(journal) and state(folder) == OLD
    outcomes.append("old" if now == OLD else "new")
    shutil.rmtree(folder)
    if status == 0:
        break
print(len(outcomes), outcomes.count("old"), outcomes.count("new"))
"""


@pytest.mark.parametrize("what", ["write", "undo"])
def test_killed_at_any_step_the_files_are_all_old_or_all_new_after_the_next_run(tmp_path, what):
    done = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path), str(Path(__file__).parent), what],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    steps, old, new = map(int, done.stdout.split())
    assert steps > 20
    assert old > 0
    assert new > 0


def test_an_interrupt_gives_every_file_its_old_bytes(tmp_path, monkeypatch):
    journal = lay_out(tmp_path)
    real = Path.replace
    replaced = []

    def interrupted(self, target):
        if self.suffix == ".tmp" and Path(target).name == "b.py" and not replaced:
            replaced.append(target)
            raise KeyboardInterrupt
        return real(self, target)

    monkeypatch.setattr(Path, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt), transaction(journal) as run:
        run.put(changes(tmp_path))
    assert replaced
    assert state(tmp_path) == OLD
    assert journal.runs() == []


def test_a_disk_without_room_leaves_every_file_old(tmp_path):
    """The limit on a file's size stands in for a full disk: writing fails half-way through the second file."""
    journal = lay_out(tmp_path)
    large = [
        *changes(tmp_path)[:1],
        FileChange(path="big.py", absolute=str(tmp_path / "big.py"), before=None, after=b"#" * 100_000),
    ]
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, before[1]))
    try:
        said = r"big\.py cannot be written: File too large; no file was changed"
        with pytest.raises(InputError, match=said), transaction(journal) as run:
            run.put(large)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert state(tmp_path) == OLD
    assert journal.runs() == []


def test_undo_gives_back_the_bytes_and_modes_and_takes_away_what_was_created(tmp_path):
    (tmp_path / "c.py").touch()
    (tmp_path / "c.py").chmod(0o640)
    (tmp_path / "a.py").touch()
    (tmp_path / "a.py").chmod(0o751)
    journal = written(tmp_path)
    assert (tmp_path / "a.py").stat().st_mode & 0o777 == 0o751
    assert sorted(undo(journal)) == sorted(NEW)
    assert state(tmp_path) == OLD
    assert (tmp_path / "c.py").stat().st_mode & 0o777 == 0o640
    with pytest.raises(InputError, match="there is no run of migrate to undo"):
        undo(journal)


def test_undo_goes_back_run_by_run(tmp_path):
    journal = written(tmp_path)
    with transaction(journal) as run:
        run.put([FileChange(path="a.py", absolute=str(tmp_path / "a.py"), before=NEW["a.py"], after=b"a = 3\n")])
    assert undo(journal) == ("a.py",)
    assert state(tmp_path) == AFTER
    undo(journal)
    assert state(tmp_path) == OLD


def test_undo_refuses_and_names_what_changed_since(tmp_path):
    journal = written(tmp_path)
    (tmp_path / "a.py").write_text("mine\n")
    (tmp_path / "made.py").write_text("mine\n")
    with pytest.raises(InputError, match=r"changed since migrate wrote them: a\.py, made\.py; nothing was undone"):
        undo(journal)
    assert (tmp_path / "deep/b.py").read_bytes() == NEW["deep/b.py"]


def test_a_file_that_its_owner_changed_after_a_kill_is_left_and_its_old_bytes_are_kept(tmp_path):
    journal = lay_out(tmp_path)
    script = (
        "import os, sys; from pathlib import Path; sys.path.insert(0, sys.argv[2])\n"
        "from test_migrate_writing import changes; from apicache_codemods.rewriting.journal import Journal\n"
        "from apicache_codemods.rewriting.transaction import transaction\n"
        "folder = Path(sys.argv[1])\n"
        "with transaction(Journal(folder)) as run:\n"
        "    run.put(changes(folder)); os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path), str(Path(__file__).parent)], check=False)
    assert state(tmp_path) == AFTER
    (tmp_path / "a.py").write_text("mine\n")
    (found,) = recover(journal)
    assert found.left == ("a.py",)
    assert set(found.restored) == {"deep/b.py", "c.py", "made.py"}
    assert state(tmp_path) == {**OLD, "a.py": b"mine\n"}
    assert OLD["a.py"] in [each.read_bytes() for each in (tmp_path / found.kept).iterdir()]


def test_two_runs_at_once_are_kept_apart(tmp_path):
    journal = lay_out(tmp_path)
    with transaction(journal) as run:
        run.put(changes(tmp_path))
        with pytest.raises(InputError, match="another apicache migrate is at work"), transaction(Journal(tmp_path)):
            pass
        with pytest.raises(InputError, match="another apicache migrate is at work"):
            recover(Journal(tmp_path))
    assert state(tmp_path) == AFTER


def test_contents_may_be_put_again_and_again_before_they_stand(tmp_path):
    journal = lay_out(tmp_path)
    with transaction(journal) as run:
        run.put(changes(tmp_path))
        run.put(changes(tmp_path)[:1])
        assert state(tmp_path) == {**OLD, "a.py": NEW["a.py"]}
        run.put(())
        assert state(tmp_path) == OLD
        run.put(changes(tmp_path)[3:])
    assert state(tmp_path) == {**OLD, "made.py": NEW["made.py"]}
    assert undo(journal) == ("made.py",)


def test_a_run_that_changes_nothing_leaves_no_record(tmp_path):
    journal = lay_out(tmp_path)
    with transaction(journal) as run:
        run.put(changes(tmp_path))
        run.put(())
    assert journal.runs() == []


def test_somebody_elses_change_meanwhile_is_kept_and_stops_the_run(tmp_path):
    journal = lay_out(tmp_path)
    changing = transaction(journal)
    run = changing.__enter__()
    run.put(changes(tmp_path))
    (tmp_path / "a.py").write_text("mine\n")
    try:
        run.put(())
    except InputError as stopped:
        with pytest.raises(InputError, match=r"a\.py changed meanwhile and is left as it is"):
            changing.__exit__(type(stopped), stopped, stopped.__traceback__)
    assert state(tmp_path) == {**OLD, "a.py": b"mine\n"}


def test_old_bytes_are_not_readable_by_others_and_not_committed(tmp_path):
    journal = written(tmp_path)
    (run,) = journal.runs()
    assert {each.stat().st_mode & 0o777 for each in run.iterdir()} == {0o600}
    assert (journal.folder / ".gitignore").read_text() == "*\n"
    record = json.loads((run / "run.json").read_bytes())
    assert [each["target"] for each in record["files"]] == list(NEW)


def test_only_the_last_runs_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr("apicache_codemods.rewriting.journal.KEPT_RUNS", 3)
    journal = lay_out(tmp_path)
    for number in range(6):
        before = (tmp_path / "a.py").read_bytes()
        with transaction(journal) as run:
            run.put([FileChange(path="a.py", absolute=str(tmp_path / "a.py"), before=before, after=b"%d" % number)])
    assert [run.name for run in journal.runs()] == ["000004", "000005", "000006"]


def test_a_journal_that_cannot_be_written_stops_the_run_before_any_file(tmp_path):
    lay_out(tmp_path)
    (tmp_path / ".apicache").write_text("a file where the folder belongs")
    with pytest.raises(InputError, match="nothing was changed"), transactions.transaction(Journal(tmp_path)):
        pass
    assert {path: content for path, content in state(tmp_path).items() if path in OLD} == OLD
    assert [each.name for each in (tmp_path / "deep").iterdir()] == ["b.py"]
