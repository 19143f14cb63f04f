"""The scenario files of the repository, held against the built-in operations."""

from pathlib import Path

import pytest

from apicache import UnifiedAPICache
from apicache_scenarios.format.loading import load_scenarios

FILES = sorted((Path(__file__).parents[2] / "scenarios").glob("*.yaml"))


@pytest.fixture
def operations():
    return UnifiedAPICache.create().callable_operations


def test_there_are_ready_made_scenarios():
    assert [file.name for file in FILES] == ["common.yaml", "financial.yaml"]


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_ready_made_file_fits_the_operations_that_its_comments_name(file, operations):
    scenarios = load_scenarios([file], operations)
    named = {name for name in operations if f"`{name}`" in file.read_text(encoding="utf-8")}
    assert {scenario.operation for scenario in scenarios} == named
    assert len({repr(scenario.call()) for scenario in scenarios}) == len(scenarios), "an entry is written twice"


def test_the_source_documents_scenarios_are_there(operations):
    calls = [scenario.call() for scenario in load_scenarios(FILES, operations)]
    assert {"operation": "completion", "prompt": "Analyze emergency fund"} in calls
    assert {"operation": "embedding", "text": "financial planning"} in calls
