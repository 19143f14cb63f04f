"""A project of its own for a command's test: its folder, its disk tier, its usage log."""

import os

import pytest

from apicache.settings import load
from apicache.tier import TierPlace
from apicache.tiers.disk import build
from apicache.usage.log import UsageLog


@pytest.fixture
def project(tmp_path, monkeypatch):
    for name in os.environ:
        if name.startswith("APICACHE"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pyproject.toml").touch()
    return tmp_path


@pytest.fixture
def disk(project):
    tier = build(TierPlace(directory=load().directory, timeout=2.0))
    yield tier
    tier.close()


@pytest.fixture
def log(project):
    log = UsageLog(load().directory / "usage.db")
    yield log
    log.close()
