import logging
from pathlib import Path

import pytest

from apicache import settings
from apicache.errors import InputError


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("APICACHE", raising=False)
    monkeypatch.delenv("APICACHE_DIR", raising=False)
    monkeypatch.chdir(tmp_path)


def write_project(folder: Path, text: str = "") -> None:
    (folder / "pyproject.toml").write_text(text, encoding="utf-8")


def test_the_folder_lies_beside_the_nearest_project_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    write_project(tmp_path)
    monkeypatch.chdir(inner)
    assert settings.cache_directory() == tmp_path / ".apicache"


def test_the_configured_folder_is_relative_to_the_project_file(tmp_path: Path) -> None:
    write_project(tmp_path, '[tool.apicache]\ndir = "var/cache"\n')
    assert settings.cache_directory() == tmp_path / "var" / "cache"


def test_the_environment_wins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_project(tmp_path, '[tool.apicache]\ndir = "var/cache"\nmode = "on"\n')
    monkeypatch.setenv("APICACHE_DIR", str(tmp_path / "elsewhere"))
    monkeypatch.setenv("APICACHE", "off")
    assert settings.cache_directory() == tmp_path / "elsewhere"
    assert settings.mode() == "off"


def test_outside_a_project_it_is_the_users_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "project_file", lambda _: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert "apicache" in settings.cache_directory().parts


def test_under_pytest_the_cache_is_off_unless_it_is_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert settings.mode() == "off"
    monkeypatch.setenv("APICACHE", "on")
    assert settings.mode() == "on"
    monkeypatch.delenv("APICACHE")
    write_project(tmp_path, '[tool.apicache]\nmode = "on"\n')
    assert settings.mode() == "on"


def test_elsewhere_it_is_on(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("PYTEST_VERSION", "PYTEST_CURRENT_TEST"):
        monkeypatch.delenv(name, raising=False)
    assert settings.mode() == "on"


def test_a_mode_that_is_not_known_is_off_and_says_so(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("APICACHE", "onn")
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert settings.mode() == "off"
    assert "did you mean 'on'" in caplog.text


@pytest.mark.parametrize("text", ["[tool.apicache", "tool = 5", "[tool]\napicache = 5\n", "\x00"])
def test_a_broken_project_file_makes_no_call_fail(tmp_path: Path, text: str, caplog: pytest.LogCaptureFixture) -> None:
    write_project(tmp_path, text)
    with pytest.raises(InputError, match=r"pyproject\.toml"):
        settings.project_table(tmp_path / "pyproject.toml")
    with caplog.at_level(logging.WARNING, logger="apicache"):
        assert settings.mode() == "off"
        assert isinstance(settings.cache_directory(), Path)
    assert "configuration passed over" in caplog.text
