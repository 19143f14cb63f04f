"""What an outcome says of the response: by its status, whatever the words of its refusal."""

import pytest

from apicache import adapters
from apicache.adapter import Snapshot
from apicache.entry import PLAIN_CODEC
from apicache.http.snapshots import http_snapshot
from apicache.planning import Plan
from apicache.policy import policy_for
from apicache.storing import Load, Outcome, is_error, is_failure, outcome_of

REFUSED = "changed by its caller while it loaded"


def outcome(status: int | None, refusal: str | None) -> Outcome:
    return Outcome(value=None, entry=None, refusal=refusal, status=status)


@pytest.mark.parametrize(
    ("status", "fails", "is_an_error"),
    [
        (None, False, False),
        (200, False, False),
        (301, False, False),
        (400, False, True),
        (404, False, True),
        (429, True, True),
        (500, True, True),
        (503, True, True),
        (599, True, True),
    ],
)
def test_the_status_tells_failures_and_errors(status: int | None, fails: bool, is_an_error: bool) -> None:
    for refusal in (f"status {status}", REFUSED):
        told = outcome(status, refusal)
        assert (is_failure(told), is_error(told)) == (fails, is_an_error)


@pytest.mark.parametrize("status", [404, 501])
def test_an_error_that_a_negative_ttl_keeps_is_an_answer_and_an_error(status: int) -> None:
    kept = outcome(status, None)
    assert (is_failure(kept), is_error(kept)) == (False, True)


@pytest.mark.parametrize("refusal", ["status 500", "status 429", "status 404", "status failed"])
def test_words_alone_tell_nothing(refusal: str) -> None:
    told = outcome(None, refusal)
    assert (is_failure(told), is_error(told)) == (False, False)


@pytest.mark.parametrize("status", [200, 404, 503])
def test_a_snapshot_of_an_http_response_has_its_status(status: int) -> None:
    snapshot = http_snapshot({"status": status, "method": "GET"}, [[]], [])
    assert snapshot.status == status


class Row:
    """One of a library's own."""


class Adapter:
    def snapshot(self, response: object) -> Snapshot | None:
        is_ours = isinstance(response, list) and all(type(each) is Row for each in response)
        return Snapshot(data=len(response), refusal=None, lifetime=None) if is_ours else None  # type: ignore[arg-type] # a list


def codec_of(value: object) -> str | None:
    plan = Plan("rows", policy_for("rows", {}), lambda: value, lambda _plan: ({}, None))
    entry = outcome_of(plan, value, Load(created=0.0, now=1.0, seconds=1.0)).entry
    return None if entry is None else entry.codec


def test_the_first_item_of_a_list_tells_which_adapter_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "known", lambda: frozenset({Row.__module__.partition(".")[0]}))
    monkeypatch.setattr(adapters, "named", lambda _name: Adapter())
    assert codec_of([Row(), Row()]) == Row.__module__.partition(".")[0]
    assert codec_of([Row(), 1]) is None
    assert codec_of([1, Row()]) is None
    assert codec_of((Row(), Row())) is None


@pytest.mark.parametrize("value", [[], [1, "a"], [{"a": 1}], [[1]], [None]])
def test_a_plain_list_is_stored_as_it_is(value: list[object]) -> None:
    assert codec_of(value) == PLAIN_CODEC
