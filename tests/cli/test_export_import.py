"""`apicache export` and `apicache import`: a warmed cache, carried from one folder to another."""

import json
import stat
import time

import msgspec
import pytest
from typer.testing import CliRunner

from apicache.archive import write_archive
from apicache.entry import Entry
from apicache.settings import load
from apicache.tier import TierPlace
from apicache.tiers.disk import build
from apicache.usage.usage import Event
from apicache_cli.app import app


def key(number):
    return number.to_bytes(32, "big")


def entry(**changes):
    now = time.time()
    plain = Entry("quote", "value", b"\x01", created=now - 60, fresh_until=now + 3600, expires=now + 7200)
    return msgspec.structs.replace(plain, **changes)


pytestmark = pytest.mark.usefixtures("project")


def stored(number, operation="quote", **changes):
    return Event(at=time.time(), kind="stored", operation=operation, key=key(number), ttl=3600.0, **changes)


@pytest.fixture
def run():
    def run(*arguments, **environ):
        return CliRunner().invoke(app, list(arguments), env=environ, catch_exceptions=False)

    return run


def other_disk(project):
    return build(TierPlace(directory=project / "elsewhere", timeout=2.0))


def test_a_warmed_cache_is_carried_into_another_folder(run, disk, project):
    entries = {key(number): entry(payload=bytes(number)) for number in range(5)}
    disk.set_many(entries, time.time())
    exported = run("export", "warm.bin", "--format=json")
    assert exported.exit_code == 0
    found = json.loads(exported.stdout)
    assert (found["schema"], found["tier"], found["entries"], found["left_out"]) == (1, "disk", 5, 0)
    assert stat.S_IMODE((project / "warm.bin").stat().st_mode) == 0o600
    imported = run("import", "warm.bin", "--format=json", APICACHE_DIR="elsewhere")
    assert imported.exit_code == 0
    assert json.loads(imported.stdout) == {
        "schema": 1,
        "file": "warm.bin",
        "tiers": [
            {
                "tier": "disk",
                "stored": 5,
                "expired": 0,
                "invalidated": 0,
                "kept": 0,
                "damaged": 0,
                "cut_short": False,
            }
        ],
        "failed": [],
    }
    other = other_disk(project)
    assert dict(other.entries()) == entries
    other.close()
    assert "disk: 0 entries stored, 5 there already" in run("import", "warm.bin", APICACHE_DIR="elsewhere").stdout


def test_entries_are_chosen_by_operation_and_age(run, disk):
    disk.set_many(
        {key(1): entry(), key(2): entry(operation="other"), key(3): entry(created=time.time() - 7200)}, time.time()
    )
    done = run("export", "warm.bin", "--operation=quote", "--max-age=1h")
    assert done.exit_code == 0
    assert done.stdout.startswith("1 entry of the disk tier in warm.bin (")
    assert done.stdout.endswith("; 2 left out\n")


def test_nothing_to_export_exits_1_and_writes_no_file(run, disk, project):
    disk.set_many({key(1): entry()}, time.time())
    assert run("export", "warm.bin", "--operation=other").exit_code == 1
    assert not (project / "warm.bin").exists()


def test_what_has_expired_since_is_passed_over(run, disk, project):
    write_archive(project / "warm.bin", [(key(1), entry(expires=time.time() - 1)), (key(2), entry())])
    done = run("import", "warm.bin")
    assert (done.exit_code, done.stdout) == (
        0,
        "disk: 1 entry stored, 0 there already, 1 expired, 0 invalidated, 0 damaged\n",
    )
    assert list(dict(disk.entries())) == [key(2)]


def test_a_file_damaged_in_part_exits_1(run, disk, project):
    file = project / "warm.bin"
    write_archive(file, [(key(1), entry(payload=b"x" * 40)), (key(2), entry())])
    content = file.read_bytes()
    file.write_bytes(content.replace(b"xxxx", b"yyyy", 1))
    done = run("import", "warm.bin")
    assert done.exit_code == 1
    assert "1 entry stored, 0 there already, 0 expired, 0 invalidated, 1 damaged" in done.stdout
    file.write_bytes(content[:-20])
    done = run("import", "warm.bin")
    assert done.exit_code == 1
    assert "was cut short" in done.stderr
    assert set(dict(disk.entries())) == {key(1), key(2)}


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(1000)])
def test_garbage_is_refused_and_stores_nothing(run, disk, project, content):
    (project / "warm.bin").write_bytes(content)
    done = run("import", "warm.bin")
    assert (done.exit_code, done.stdout) == (2, "")
    assert "warm.bin is no archive of a cache; make one with: apicache export FILE" in done.stderr
    assert list(disk.entries()) == []


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["import", "missing.bin"], "missing.bin cannot be read: No such file"),
        (["export", "no/such/folder.bin"], "cannot be written: No such file"),
        (["export", "warm.bin", "--max-age=soon"], "the duration 'soon' is not understood"),
    ],
)
def test_bad_input_exits_2(run, disk, arguments, message):
    disk.set_many({key(1): entry()}, time.time())
    done = run(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert message in done.stderr


def test_a_file_of_the_tier_that_cannot_be_read_is_not_blamed_on_the_archive(run, disk, project, monkeypatch):
    def denied(_tier):
        raise PermissionError(13, "Permission denied", "cache.db")

    monkeypatch.setattr(type(disk), "entries", denied)
    done = run("export", "warm.bin")
    assert (done.exit_code, done.stdout) == (1, "")
    assert "the disk tier failed: PermissionError" in done.stderr
    assert "warm.bin" not in done.stderr
    assert not list(project.glob("*warm.bin*"))


def test_a_tier_that_fails_exits_1(run, project):
    write_archive(project / "warm.bin", [(key(1), entry())])
    folder = load().directory / "entries"
    folder.mkdir(parents=True)
    (folder / "cache.db").write_bytes(b"this is no database" * 100)
    for arguments in (["export", "new.bin"], ["import", "warm.bin"]):
        done = run(*arguments)
        assert done.exit_code == 1
        assert "the disk tier failed: " in done.stderr
    assert not (project / "new.bin").exists()


@pytest.mark.parametrize("form", ["text", "json"])
def test_what_was_invalidated_since_is_told_with_what_restores_it(run, disk, project, form):
    disk.set_many({key(number): entry() for number in range(2)}, time.time())
    assert run("export", "warm.bin").exit_code == 0
    assert run("purge", "--all", "--write").exit_code == 0
    imported = run("import", "warm.bin", f"--format={form}")
    assert imported.exit_code == 0
    assert "hint: disk took none of 2 entries that had been loaded before an invalidation" in imported.stderr
    assert "APICACHE_DIR=OTHER apicache import" in imported.stderr
    assert "hint" not in imported.stdout
    elsewhere = run("import", "warm.bin", APICACHE_DIR="elsewhere")
    assert "2 entries stored" in elsewhere.stdout
    assert "hint" not in elsewhere.stderr
