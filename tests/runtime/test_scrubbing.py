"""Other people's error texts: what is, or may be, a credential is gone, the rest is readable."""

import pytest

from apicache import InputError
from apicache.scrubbing import scrubbed, told

TOKEN = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "401 for url 'https://u:pw@api.test/v1/a?key=abc&q=x'",
            "401 for url 'https://api.test/v1/a?key=REDACTED&q=REDACTED'",
        ),
        ("retries exceeded with url: /v1?token=abc (x)", "retries exceeded with url: /v1?token=REDACTED (x)"),
        ("cannot connect to postgres://me:pw@db:5432/app", "cannot connect to postgres://db:5432/app"),
        ("http://[bad/?key=abc is malformed", "REDACTED is malformed"),
        ("Authorization: Bearer abc.def", "Authorization: REDACTED REDACTED"),
        ("sent basic dXNlcjpwdw==", "sent basic REDACTED"),
        ("{'api_key': 'abc', 'n': 3}", "{'api_key': 'REDACTED', 'n': 3}"),
        ("refused: password=hunter2", "refused: password=REDACTED"),
        ("password=hunter2, host=db", "password=REDACTED, host=db"),
        ("Incorrect API key provided: sk-proj-ab****yz.", "Incorrect API key provided: REDACTED."),
        (f"refused {TOKEN}", "refused REDACTED"),
        ("the value of OWN is planted-in-the-environment", "the value of OWN is REDACTED"),
    ],
)
def test_what_is_a_credential_is_gone(text: str, expected: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_API_KEY", "planted-in-the-environment")
    assert scrubbed(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no such table: tea",
        "KeyError: 'name'",
        "expected 3 columns, got 4 (at line 17)",
        "HTTPSConnectionPool(host='db.test', port=443): Read timed out. (read timeout=10)",
        "could not find a good place for everything in this sentence",
    ],
)
def test_other_texts_stay_as_they_are(text: str) -> None:
    assert scrubbed(text) == text


def test_a_long_text_is_cut() -> None:
    assert scrubbed("ab " * 1000) == ("ab " * 100) + "..."


def test_a_short_value_of_the_environment_is_no_reason_to_redact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OWN_TOKEN", "in")
    assert scrubbed("in the middle") == "in the middle"


def test_an_error_is_told_with_its_class() -> None:
    assert told(ValueError("token=abc")) == "ValueError: token=REDACTED"
    assert told(ValueError()) == "ValueError"
    assert told(InputError("token: give one")) == "InputError: token: give one"
