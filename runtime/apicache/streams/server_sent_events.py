"""Server-sent events out of bytes, however they are cut.

The format: https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import re
from typing import Final

from apicache.errors import ApicacheError

_LINE_END: Final = re.compile(rb"\r\n|\n|\r")
_BYTE_ORDER_MARK: Final = b"\xef\xbb\xbf"
MAX_EVENT_BYTES: Final = 16 * 1024 * 1024


class EventTooLongError(ApicacheError):
    """An event that does not end within the limit."""


class EventParser:
    """Takes a stream in pieces and gives the events that each completes. An event that the stream leaves open is none.

    Of an event its data lines are given, joined by line feeds, as they came; no provider needs its other fields. Works
    on bytes: in UTF-8 no byte of a line end is part of another character.
    """

    def __init__(self) -> None:
        self._open_line: list[bytes] = []
        self._after_return = False
        """The last piece ended with CR: a LF at the start of the next one belongs to it."""
        self._at_start = True
        self._held = 0
        """Bytes since the last event."""
        self._data: list[bytes] = []

    def feed(self, piece: bytes) -> list[bytes]:
        """The data of the events that this piece completes; raises EventTooLongError."""
        if not piece:
            return []
        if self._after_return and piece.startswith(b"\n"):
            piece = piece[1:]
        self._after_return = piece.endswith(b"\r")
        *ended, rest = _LINE_END.split(piece)
        events: list[bytes] = []
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
        if self._held > MAX_EVENT_BYTES:
            raise EventTooLongError(f"an event of more than {MAX_EVENT_BYTES} bytes")

    def _take_line(self, line: bytes) -> bytes | None:
        if self._at_start:
            self._at_start = False
            line = line.removeprefix(_BYTE_ORDER_MARK)
        if not line:
            return self._event()
        name, _, value = line.partition(b":")  # a comment has an empty name
        if name == b"data":
            self._data.append(value.removeprefix(b" "))
        return None

    def _event(self) -> bytes | None:
        data, self._data, self._held = self._data, [], 0
        return b"\n".join(data) if data else None
