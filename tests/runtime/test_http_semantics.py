"""A table of what responses and requests say of their storing: RFC 9111, RFC 5861 and RFC 9110 section 13."""

import datetime as dt
import email.utils
from typing import Any

import pytest

from apicache.errors import UnidentifiableError, UnstorableError
from apicache.http.semantics import Terms, check_unconditional, conditions, renewed_headers, terms_of
from apicache.http.snapshots import http_snapshot, renewed_snapshot

ETAG = ("ETag", '"v1"')
MODIFIED = ("Last-Modified", "Sun, 06 Nov 1994 08:49:37 GMT")
DATE = ("Date", "Tue, 15 Nov 1994 08:00:00 GMT")
HOUR_LATER = ("Expires", "Tue, 15 Nov 1994 09:00:00 GMT")


def says(*values: str) -> list[tuple[str, str]]:
    return [("Cache-Control", value) for value in values]


def terms(*headers: tuple[str, str], revalidatable: bool = True) -> Terms:
    return terms_of([headers], revalidatable=revalidatable)


LIFETIMES: list[tuple[str, list[tuple[str, str]], float | None]] = [
    ("nothing", [], None),
    ("public", says("public"), None),
    ("max-age", says("max-age=60"), 60),
    ("in capitals", [("CACHE-CONTROL", "MAX-AGE=60")], 60),
    ("quoted", says('max-age="60"'), 60),
    ("with spaces", says("public , max-age = 60"), 60),
    ("two header lines", says("public", "max-age=60"), 60),
    ("conflicting: the strictest", says("max-age=60, max-age=30"), 30),
    ("conflicting lines: the strictest", says("max-age=30", "max-age=60"), 30),
    ("with an age", [*says("max-age=60"), ("Age", "45")], 15),
    ("with an invalid age", [*says("max-age=60"), ("Age", "young")], 60),
    ("with two ages", [*says("max-age=60"), ("Age", "10, 20")], 50),
    ("too long for a number", says("max-age=" + "9" * 400), 2.0**31),
    ("an unknown directive's argument", says('community="a, no-store, max-age=5", max-age=60'), 60),
    ("s-maxage alone", says("s-maxage=60"), None),
    ("s-maxage 0 alone", says("s-maxage=0"), None),
    ("s-maxage beside max-age", says("s-maxage=600, max-age=60"), 60),
    ("Expires", [DATE, HOUR_LATER], 3600),
    ("Expires with an age", [DATE, HOUR_LATER, ("Age", "600")], 3000),
    ("max-age before Expires", [*says("max-age=60"), DATE, HOUR_LATER], 60),
    ("two Expires: the earlier", [DATE, HOUR_LATER, ("Expires", "Tue, 15 Nov 1994 08:01:00 GMT")], 60),
    ("Expires in RFC 850's format", [DATE, ("Expires", "Tuesday, 15-Nov-94 09:00:00 GMT")], 3600),
    ("Expires in asctime's format", [DATE, ("Expires", "Tue Nov 15 09:00:00 1994")], 3600),
]


@pytest.mark.parametrize(("_what", "headers", "seconds"), LIFETIMES, ids=[what for what, _, _ in LIFETIMES])
def test_the_lifetime_is_read_as_rfc_9111_has_it(_what: str, headers: Any, seconds: float | None) -> None:
    stated = terms(*headers)
    assert (stated.lifetime, stated.forbidden) == (seconds, False)


def test_expires_without_a_date_counts_from_now() -> None:
    ends = email.utils.format_datetime(dt.datetime.now(dt.UTC) + dt.timedelta(hours=1), usegmt=True)
    for headers in ([("Expires", ends)], [("Date", "yesterday"), ("Expires", ends)]):
        lifetime = terms(*headers).lifetime
        assert lifetime is not None
        assert 3500 < lifetime <= 3600


STALE: list[tuple[str, list[tuple[str, str]]]] = [
    ("max-age 0", says("max-age=0")),
    ("no argument", says("max-age")),
    ("an empty argument", says("max-age=")),
    ("negative", says("max-age=-1")),
    ("a fraction", says("max-age=1.5")),
    ("a sign", says("max-age=+60")),
    ("words", says("max-age=soon")),
    ("digits of another script", says("max-age=٦٠")),
    ("an age past it", [*says("max-age=60"), ("Age", "60")]),
    ("no-cache", says("no-cache")),
    ("no-cache for named fields", says('no-cache="set-cookie, x-a", max-age=60')),
    ("no-cache beside max-age", says("max-age=60", "no-cache")),
    ("Expires in the past", [DATE, ("Expires", "Tue, 15 Nov 1994 07:00:00 GMT")]),
    ("Expires at its Date", [DATE, ("Expires", DATE[1])]),
    ("Expires 0", [DATE, ("Expires", "0")]),
    ("Expires -1", [DATE, ("Expires", "-1")]),
    ("Expires that is no date", [DATE, ("Expires", "Wed, 31 Feb 2094 08:00:00 GMT")]),
    ("Expires in another zone", [DATE, ("Expires", "Tue, 15 Nov 2094 09:00:00 +0200")]),
    ("Expires in a made-up format", [DATE, ("Expires", "2094-11-15T09:00:00Z")]),
    ("an empty Expires", [DATE, ("Expires", "")]),
]


@pytest.mark.parametrize(("_what", "headers"), STALE, ids=[what for what, _ in STALE])
def test_what_is_stale_at_once_is_kept_only_with_something_to_revalidate_it_by(_what: str, headers: Any) -> None:
    bare, with_validator = terms(*headers), terms(*headers, ETAG)
    assert (bare.lifetime, bare.forbidden) == (0, True)
    assert (with_validator.lifetime, with_validator.forbidden) == (0, False)
    assert terms(*headers, ETAG, revalidatable=False).forbidden


FORBIDDEN: list[tuple[str, list[tuple[str, str]]]] = [
    ("no-store", says("no-store")),
    ("no-store in capitals", says("No-Store")),
    ("no-store beside max-age", says("max-age=60, no-store")),
    ("no-store on a second line", says("max-age=60", "no-store")),
    ("no-store with an argument", says("no-store=1")),
    ("no-store after a semicolon", says("max-age=60; no-store")),
    ("no-store after an open quote", says('private="a, no-store')),
    ("no-store that must be understood", says("must-understand, no-store, max-age=60")),
    ("Vary by everything", [("Vary", "*")]),
    ("Vary by everything among others", [("Vary", "Accept, *")]),
    ("Vary by everything on a second line", [("Vary", "Accept"), ("vary", " * ")]),
]


@pytest.mark.parametrize(("_what", "headers"), FORBIDDEN, ids=[what for what, _ in FORBIDDEN])
def test_what_must_not_be_stored_is_forbidden_with_a_validator_too(_what: str, headers: Any) -> None:
    assert terms(*headers).forbidden
    assert terms(*headers, ETAG).forbidden
    assert terms(*headers, ETAG).lifetime == 0


ALLOWED: list[tuple[str, list[tuple[str, str]]]] = [
    ("Vary by a header", [("Vary", "Accept, Accept-Encoding")]),
    ("a name that contains no-store", says("x-no-store, no-storex")),
    ("no-transform and immutable", says("no-transform, immutable")),
    ("Pragma, which is no response header", [("Pragma", "no-cache")]),
    ("an empty header", says("")),
    ("only separators", says(', ;=, ="')),
]


@pytest.mark.parametrize(("_what", "headers"), ALLOWED, ids=[what for what, _ in ALLOWED])
def test_what_says_nothing_of_storing_forbids_nothing(_what: str, headers: Any) -> None:
    stated = terms(*headers)
    assert (stated.lifetime, stated.forbidden, stated.private, stated.must_revalidate) == (None, False, False, False)


@pytest.mark.parametrize(
    ("value", "private", "must_revalidate"),
    [
        ("private", True, False),
        ('private="x-user"', True, False),
        ("Private, max-age=60", True, False),
        ("public", False, False),
        ("must-revalidate, max-age=60", False, True),
        ("proxy-revalidate", False, True),
        ("no-cache", False, True),
        ("max-age=0", False, False),
        ("private, must-revalidate", True, True),
        ('community="private, must-revalidate"', False, False),
    ],
)
def test_privacy_and_forced_revalidation_are_read(value: str, private: bool, must_revalidate: bool) -> None:
    stated = terms(*says(value), ETAG)
    assert (stated.private, stated.must_revalidate) == (private, must_revalidate)


@pytest.mark.parametrize(
    ("value", "while_revalidating", "if_error"),
    [
        ("max-age=60", None, None),
        ("max-age=60, stale-while-revalidate=30", 30, None),
        ("max-age=60, stale-if-error=90", None, 90),
        ("stale-while-revalidate=30, stale-if-error=90", 30, 90),
        ("stale-while-revalidate=0", 0, None),
        ("stale-while-revalidate, stale-if-error=long", None, None),
        ("stale-while-revalidate=-1", None, None),
        ("stale-while-revalidate=30, stale-while-revalidate=10", 10, None),
        ("stale-while-revalidate=30, stale-while-revalidate=x", None, None),
    ],
)
def test_rfc_5861_allowances_are_read(value: str, while_revalidating: float | None, if_error: float | None) -> None:
    stated = terms(*says(value))
    assert (stated.stale_while_revalidate, stated.stale_if_error) == (while_revalidating, if_error)


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ([], ()),
        ([ETAG], (("etag", '"v1"'),)),
        ([("etag", 'W/"v1"')], (("etag", 'W/"v1"'),)),
        ([MODIFIED], (("last-modified", MODIFIED[1]),)),
        ([MODIFIED, ETAG], (("etag", '"v1"'), ("last-modified", MODIFIED[1]))),
        ([("ETag", "*")], ()),
        ([("ETag", "v1")], ()),
        ([("ETag", '"a", "b"')], ()),
        ([("ETag", '"a"'), ("ETag", '"b"')], ()),
        ([("ETag", '"é"')], ()),
        ([("ETag", "*"), MODIFIED], (("last-modified", MODIFIED[1]),)),
        ([("Last-Modified", "yesterday")], ()),
        ([("Last-Modified", "0")], ()),
    ],
)
def test_only_well_formed_validators_are_used(headers: Any, expected: Any) -> None:
    assert terms(*headers).validators == expected
    assert terms(*headers, revalidatable=False).validators == ()


def test_conditions_are_the_headers_that_ask_again() -> None:
    assert conditions((("etag", '"v1"'), ("last-modified", MODIFIED[1]))) == {
        "If-None-Match": '"v1"',
        "If-Modified-Since": MODIFIED[1],
    }
    assert conditions(()) == {}
    assert conditions((("authorization", "x"),)) == {}


@pytest.mark.parametrize(
    ("hop", "final", "lifetime", "forbidden"),
    [
        ("", "", None, False),
        ("", "max-age=60", 60, False),
        ("max-age=30", "max-age=60", 30, False),
        ("max-age=90", "max-age=60", 60, False),
        ("no-store", "max-age=60", 0, True),
        ("no-cache", "max-age=60", 0, True),
        ("max-age=60", "no-store", 0, True),
        ("max-age=60", "max-age=0", 0, True),
    ],
)
def test_a_redirect_and_where_it_led_are_bound_by_the_stricter_word(
    hop: str, final: str, lifetime: float | None, forbidden: bool
) -> None:
    stated = terms_of([[*says(hop), ETAG], [*says(final), ETAG]], revalidatable=True)
    assert (stated.lifetime, stated.forbidden) == (lifetime, forbidden)
    assert stated.validators == ()


def test_a_redirect_passes_privacy_on_and_limits_what_may_be_served_stale() -> None:
    allowing, silent = says("private, must-revalidate, stale-if-error=9, stale-while-revalidate=9"), says("max-age=60")
    stated = terms_of([allowing, silent], revalidatable=True)
    assert (stated.private, stated.must_revalidate) == (True, True)
    assert (stated.stale_while_revalidate, stated.stale_if_error) == (None, None)
    assert terms_of([allowing, says("stale-if-error=5")], revalidatable=True).stale_if_error == 5


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("Cache-Control", "no-cache", "fresh answer"),
        ("cache-control", "max-stale=5, No-Store", "fresh answer"),
        ("Cache-Control", "max-age=0", "fresh answer"),
        ("Cache-Control", "max-age=soon", "fresh answer"),
        ("Pragma", "No-Cache", "fresh answer"),
        ("If-None-Match", '"v1"', r"is conditional \(If-None-Match\)"),
        ("if-match", "*", "is conditional"),
        ("If-Modified-Since", MODIFIED[1], "is conditional"),
        ("If-Unmodified-Since", MODIFIED[1], "is conditional"),
        ("If-Range", '"v1"', "is conditional"),
        ("Range", "bytes=0-9", "asks for a part"),
    ],
)
def test_requests_for_a_fresh_a_partial_or_a_conditional_answer_are_refused(name: str, value: str, reason: str) -> None:
    with pytest.raises(UnidentifiableError, match=reason):
        check_unconditional([("Accept", "*/*"), (name, value)])


@pytest.mark.parametrize(
    ("name", "value"),
    [("Cache-Control", "max-age=60"), ("Cache-Control", "max-stale=60"), ("Pragma", "x"), ("X-If-Match", "1")],
)
def test_other_requests_are_not_refused(name: str, value: str) -> None:
    check_unconditional([(name, value)])


@pytest.mark.parametrize("status", [404, 405, 410, 414, 501])
def test_the_errors_that_may_be_kept_unasked_are_negative_answers(status: int) -> None:
    snapshot = http_snapshot({"status": status, "method": "GET"}, [[*says("max-age=9"), ETAG]], [])
    assert (snapshot.refusal, snapshot.negative, snapshot.lifetime) == (None, f"status {status}", 9)
    assert snapshot.validators == ()


@pytest.mark.parametrize("status", [201, 202, 206, 301, 302, 304, 400, 401, 403, 408, 429, 500, 502, 503, 504])
def test_every_other_status_is_refused(status: int) -> None:
    snapshot = http_snapshot({"status": status, "method": "GET"}, [says("max-age=9")], ["session=1"])
    assert (snapshot.refusal, snapshot.negative, snapshot.forbidden) == (f"status {status}", None, False)


@pytest.mark.parametrize("status", [200, 203, 204])
def test_final_answers_are_neither(status: int) -> None:
    snapshot = http_snapshot({"status": status, "method": "GET"}, [[ETAG]], ["__cf_bm=1; Path=/"])
    assert (snapshot.refusal, snapshot.negative, snapshot.forbidden) == (None, None, False)
    assert snapshot.validators == (("etag", '"v1"'),)


@pytest.mark.parametrize("status", [200, 404])
def test_an_answer_that_sets_a_cookie_is_refused(status: int) -> None:
    snapshot = http_snapshot({"status": status, "method": "GET"}, [[]], ["__cf_bm=1", "session=1"])
    assert snapshot.refusal == "it sets a cookie, which a hit would not set"


def test_what_is_forbidden_and_refused_is_told_apart() -> None:
    forbidden = http_snapshot({"status": 200, "method": "GET"}, [says("no-store")], [])
    both = http_snapshot({"status": 503, "method": "GET"}, [says("no-store")], [])
    assert (forbidden.refusal, forbidden.forbidden) == (None, True)
    assert (both.refusal, both.forbidden) == ("status 503", True)


@pytest.mark.parametrize("method", ["POST", "OPTIONS", "QUERY"])
def test_only_get_and_head_have_validators(method: str) -> None:
    snapshot = http_snapshot({"status": 200, "method": method}, [[*says("no-cache"), ETAG]], [])
    assert (snapshot.validators, snapshot.forbidden) == ((), True)


STORED = [
    ("Content-Type", "application/json"),
    ("Content-Length", "10"),
    ("Cache-Control", "max-age=60"),
    ("Age", "50"),
    DATE,
    ETAG,
    ("X-Kept", "old"),
]


def test_a_304_updates_all_headers_but_those_the_body_is_read_by() -> None:
    received = [
        ("content-type", "text/plain"),
        ("content-length", "0"),
        ("content-encoding", "gzip"),
        ("content-range", "bytes 0-1/2"),
        ("connection", "close, X-Hop"),
        ("x-hop", "1"),
        ("transfer-encoding", "chunked"),
        ("cache-control", "max-age=5"),
        ("cache-control", "private"),
        ("date", HOUR_LATER[1]),
        ("etag", 'W/"v1"'),
        ("x-new", "new"),
    ]
    assert renewed_headers(STORED, received) == [
        ("Content-Type", "application/json"),
        ("Content-Length", "10"),
        ("X-Kept", "old"),
        ("cache-control", "max-age=5"),
        ("cache-control", "private"),
        ("date", HOUR_LATER[1]),
        ("etag", 'W/"v1"'),
        ("x-new", "new"),
    ]


def test_a_304_without_an_age_or_a_date_drops_the_stored_ones() -> None:
    data = {"status": 200, "method": "GET", "headers": [list(pair) for pair in STORED], "content": b"x"}
    snapshot = renewed_snapshot(data, [], [])
    assert (snapshot.lifetime, snapshot.validators, snapshot.refusal) == (60, (("etag", '"v1"'),), None)
    assert {name for name, _ in snapshot.data["headers"]}.isdisjoint({"Age", "Date"})
    assert snapshot.data["content"] == b"x"
    assert ["Age", "50"] in data["headers"]


def test_a_304_may_forbid_what_was_stored_and_hands_no_credential_to_the_store() -> None:
    data = {"status": 200, "method": "GET", "headers": [list(pair) for pair in STORED]}
    received = [("Cache-Control", "no-store"), ("X-Auth-Token", "s3cret"), ("Set-Cookie", "session=s3cret")]
    snapshot = renewed_snapshot(data, received, ["session=s3cret"])
    assert snapshot.forbidden
    assert snapshot.refusal == "it sets a cookie, which a hit would not set"
    assert "s3cret" not in repr(snapshot)


@pytest.mark.parametrize(
    ("stored", "received"),
    [
        ([ETAG], [("ETag", '"v2"')]),
        ([ETAG, MODIFIED], [("ETag", '"v2"'), MODIFIED]),
        ([MODIFIED], [("Last-Modified", DATE[1])]),
        ([ETAG, MODIFIED], [("Last-Modified", DATE[1])]),
    ],
)
def test_a_304_about_another_version_is_refused(stored: Any, received: Any) -> None:
    with pytest.raises(UnstorableError, match="another version"):
        renewed_headers(stored, received)


@pytest.mark.parametrize(
    ("stored", "received"),
    [
        ([ETAG], []),
        ([ETAG], [ETAG]),
        ([ETAG], [("ETag", 'W/"v1"')]),
        ([("ETag", 'W/"v1"')], [ETAG]),
        ([ETAG, MODIFIED], [ETAG, ("Last-Modified", DATE[1])]),
        ([MODIFIED], [ETAG, MODIFIED]),
    ],
)
def test_a_304_about_the_stored_version_or_about_none_is_taken(stored: Any, received: Any) -> None:
    assert set(received) <= set(renewed_headers(stored, received))
