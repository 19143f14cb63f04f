"""Server-sent events out of bytes, however they are cut.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from typing import Final

import msgspec

from apicache.errors import ApicacheError

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024
_LONGEST_WAIT: Final = 16
"""Digits: no stream means a longer one, and int() refuses some thousands of them."""


class EventTooLongError(ApicacheError):
    """An event that does not end within the limit."""


class Event(msgspec.Struct, frozen=True, kw_only=True):
    """One event."""

    data: bytes
    """Its data lines, joined by line feeds; UTF-8 by the format, passed on as they came."""
    name: str = "message"
    """What its `event` field says."""
    id: str = ""
    """The last `id` of the stream so far."""

    @property
    def text(self) -> str:
        """The data as text; bytes that are no UTF-8 become U+FFFD, as the format has it."""
        return self.data.decode("utf-8", "replace")


class EventParser:
    """Takes a stream in pieces and gives the events that each completes. An event that the stream leaves open is none.

    Works on bytes: in UTF-8 no byte of a line end is part of another character.
    """

    def __init__(self, max_event_bytes: int = MAX_EVENT_BYTES) -> None:
        self._max_event_bytes = max_event_bytes
        self._open_line: list[bytes] = []
        self._after_return = False
        """The last piece ended with CR: a LF at the start of the next one belongs to it."""
        self._at_start = True
        self._held = 0
        """Bytes since the last event."""
        self._data: list[bytes] = []
        self._name = ""
        self._id = ""
        self.retry_milliseconds: int | None = None
        """How long the stream asks to wait before it is opened again."""

    def feed(self, piece: bytes) -> list[Event]:
        """The events that this piece completes; raises EventTooLongError."""
        if not piece:
            return []
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_return = piece.endswith(b"\r")
        *ended, rest = _LINE_END.split(piece)
        events: list[Event] = []
        for line in ended:
            whole = b"".join((*self._open_line, line))
            self._open_line.clear()
            self._count(len(line))
            event = self._take_line(whole)
            if event is not None:
                events.append(event)
        if rest:
            self._count(len(rest))
            self._open_line.append(rest)
        return events

    def _count(self, size: int) -> None:
        self._held += size
        if self._held > self._max_event_bytes:
            raise EventTooLongError(f"an event of more than {self._max_event_bytes} bytes")

    def _take_line(self, line: bytes) -> Event | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._event()
        name, _, value = line.partition(b":")  # a comment has an empty name
        self._take_field(name, value.removeprefix(b" "))
        return None

    def _take_field(self, name: bytes, value: bytes) -> None:
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._name = value.decode("utf-8", "replace")
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit() and len(value) < _LONGEST_WAIT:
            self.retry_milliseconds = int(value)

    def _event(self) -> Event | None:
        data, name = self._data, self._name
        self._data, self._name, self._held = [], "", 0
        return Event(data=b"\n".join(data), name=name or "message", id=self._id) if data else None
