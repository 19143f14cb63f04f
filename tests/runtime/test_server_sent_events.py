"""The parser of server-sent events, by the format's own examples and cut in every way."""

import collections
from itertools import pairwise

import pytest
from hypothesis import given, strategies

from apicache.errors import ApicacheError
from apicache.streams import server_sent_events
from apicache.streams.server_sent_events import EventParser

PIECES = [
    b"data",
    b"event",
    b"id",
    b"retry",
    b": ",
    b":",
    b"\n",
    b"\r",
    b"\r\n",
    b"\n\n",
    b"x",
    "é€😀".encode(),
    b"\0",
    b"7",
]
STREAMS = strategies.lists(strategies.sampled_from(PIECES), max_size=60).map(b"".join)


def data(*pieces: bytes) -> list[bytes]:
    parser = EventParser()
    return [event for piece in pieces for event in parser.feed(piece)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: YHOO\ndata: +2\ndata: 10\n\n", [b"YHOO\n+2\n10"]),
        (b": test stream\n\ndata: first event\nid: 1\n\ndata:second event\nid\n\ndata:  third event\n\n", None),
        (b"data\n\ndata\ndata\n\ndata:", [b"", b"\n"]),
        (b"data:test\n\ndata: test\n\n", [b"test", b"test"]),
        (b"\xef\xbb\xbfdata: after a byte order mark\n\n", [b"after a byte order mark"]),
        (b"data: a\r\rdata: b\r\n\r\ndata: c\n\r\n", [b"a", b"b", b"c"]),
        (b"event: named, without data\n\ndata: x\n\n", [b"x"]),
        (b"nothing: known\ndata\xff: no\n\n", []),
        (b"data: open at the end\n", []),
        (b"", []),
    ],
)
def test_streams_mean_what_the_format_says(stream: bytes, expected: list[bytes] | None) -> None:
    assert data(stream) == ([b"first event", b"second event", b" third event"] if expected is None else expected)


@given(stream=STREAMS, cuts=strategies.lists(strategies.integers(0, 400), max_size=12))
def test_any_cutting_gives_the_same_events(stream: bytes, cuts: list[int]) -> None:
    places = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    cut = [stream[start:end] for start, end in pairwise(places)]
    expected = data(stream)
    assert data(*cut) == expected
    assert data(*(bytes([byte]) for byte in stream)) == expected


@given(texts=strategies.lists(strategies.text(strategies.characters(exclude_characters="\r\n", codec="utf-8"))))
def test_what_was_written_is_read(texts: list[str]) -> None:
    for end in ("\n", "\r", "\r\n"):
        stream = "".join(f"data: {text}{end}{end}" for text in texts).encode()
        assert [found.decode() for found in data(stream[:5], stream[5:])] == texts


@pytest.mark.parametrize(
    "stream", [b"data: " + b"x" * 50, b"data: 0123456789\n" * 4, b"data: 0123456789\n" * 3 + b"\n"]
)
def test_an_event_without_an_end_is_not_kept_forever(stream: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "MAX_EVENT_BYTES", 40)
    parser = EventParser()
    with pytest.raises(ApicacheError, match="more than 40 bytes"):
        collections.deque((parser.feed(bytes([byte])) for byte in stream), maxlen=0)


def test_many_small_events_are_no_long_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_sent_events, "MAX_EVENT_BYTES", 40)
    parser = EventParser()
    assert sum(len(parser.feed(b"data: 0123456789\n\n")) for _ in range(100)) == 100
