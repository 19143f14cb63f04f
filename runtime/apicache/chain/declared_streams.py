"""A declared endpoint's streamed answer: server-sent events of JSON, read at the paths that are declared."""

from collections.abc import Mapping
from typing import Any, Final

from apicache.chain.completions import completed, finish_of
from apicache.chain.errors import broken, reported_error
from apicache.chain.replies import count_at, event_json
from apicache.chain.templates import NOTHING, at_path
from apicache.provider import Reply, Tokens

_LAST: Final = b"[DONE]"
"""The data of the last event, of servers that speak as OpenAI's does."""


class DeclaredReader:
    """Reads one; it is complete with `[DONE]`, or once the path of the finish reason leads to a text."""

    def __init__(
        self, provider: str, model: str, *, text: str, finish: str, answered_model: str, tokens: Mapping[str, str]
    ) -> None:
        """Paths into an event; those of `tokens` by the names of `Tokens`."""
        self.ended = False
        self._provider, self._model = provider, model
        self._text, self._finish, self._answered_model, self._counted = text, finish, answered_model, tokens
        self._texts: list[str] = []
        self._reason = ""
        self._counts: dict[str, int] = {}

    def take(self, data: bytes, /) -> str:
        """The text in one event's data; raises ProviderError for an error event."""
        if data.strip() == _LAST:
            self.ended = True
            return ""
        event = event_json(self._provider, data)
        if event.get("error"):
            raise reported_error(self._provider, event)
        self._model = _text_at(event, self._answered_model) or self._model
        self._reason = _text_at(event, self._finish) or self._reason
        for name, path in self._counted.items():
            found = at_path(event, path) if path else NOTHING
            if found is not NOTHING:
                self._counts[name] = count_at({name: found}, name) or self._counts.get(name, 0)
        text = _text_at(event, self._text)
        if text:
            self._texts.append(text)
        return text

    def reply(self) -> Reply:
        """The whole answer; raises ProviderError when the stream ended before it was complete."""
        if not (self.ended or self._reason):
            raise broken(self._provider, "a stream that ends before its last event")
        text, finish = "".join(self._texts), finish_of(self._reason)
        return completed(self._provider, self._model, text, finish, Tokens(**self._counts))


def _text_at(event: Mapping[str, Any], path: str) -> str:
    """The text that lies there; empty for an empty path, and for anything else."""
    found = at_path(event, path) if path else ""
    return found if isinstance(found, str) else ""
