"""OpenAI's chat completions, responses and embeddings, and servers that speak the same.

https://platform.openai.com/docs/api-reference
"""

import os
from collections.abc import Mapping, Sequence
from typing import Any, Final, Literal
from urllib.parse import urlsplit

import msgspec

from apicache.chain.embedding_batches import by_index, embedded
from apicache.chain.models import configured_model
from apicache.chain.openai_chat import ChatCompletion, ChatReader, chat_body, chat_reply
from apicache.chain.openai_responses import ModelResponse, ResponsesReader, responses_body, responses_reply
from apicache.chain.parameters import base_url, chat_of, check_operation, embedding_of, header_value, json_body
from apicache.chain.replies import answered, count_at
from apicache.credentials import storable_url
from apicache.errors import InputError
from apicache.provider import ProviderCall, Reply, Request, Response, StreamReader, Tokens

DEFAULT_MODEL: Final = "gpt-6-luna"
DEFAULT_EMBEDDING_MODEL: Final = "text-embedding-3-small"
"""The cheapest that OpenAI lists in November 2026."""
_ORIGIN: Final = "https://api.openai.com/v1"
_KEY: Final = "OPENAI_API_KEY"
_HEADERS: Final[Mapping[str, str]] = {"OPENAI_ORG_ID": "openai-organization", "OPENAI_PROJECT_ID": "openai-project"}
_WITH_NEWER_BOUND: Final = (".openai.com", ".openai.azure.com")
"""Hosts whose models refuse the name `max_tokens`; other servers may not know the newer one."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The provider's settings; the environment's win."""

    base_url: str | None = None
    model: str | None = None
    embedding_model: str | None = None
    api: Literal["chat", "responses"] = "chat"
    """Which of the two answers completions."""


class _Embeddings(msgspec.Struct):
    data: Sequence[Any]
    model: str | None = None
    usage: Mapping[str, Any] | None = None


class OpenAI:
    """The provider."""

    operations = frozenset({"completion", "analysis", "embedding"})
    key_variable = _KEY
    batch_size = 100

    def __init__(self, name: str, options: Options) -> None:
        self.name = name
        self._options = options
        self._has_responses = options.api == "responses"

    def model_for(self, operation: str) -> str:
        """`OPENAI_MODEL` or `OPENAI_EMBEDDING_MODEL`, the configured one, or the default; raises InputError."""
        check_operation(self.name, operation, self.operations)
        if operation == "embedding":
            return configured_model("OPENAI_EMBEDDING_MODEL", self._options.embedding_model, DEFAULT_EMBEDDING_MODEL)
        return configured_model("OPENAI_MODEL", self._options.model, DEFAULT_MODEL)

    def account(self) -> tuple[Any, Any]:
        """The base URL, the organisation, the project, and which of the two answers completions; and the key."""
        url = self._origin()
        settings = [storable_url(url), [os.environ.get(variable) for variable in _HEADERS], self._options.api]
        return settings, [url, os.environ.get(_KEY)]

    def request(self, call: ProviderCall) -> Request:
        """The request for a whole answer; raises InputError."""
        check_operation(self.name, call.operation, self.operations)
        if call.operation != "embedding":
            return self._chat_request(call, {})
        given = embedding_of(self.name, call)
        body: dict[str, Any] = {
            "model": call.model,
            "input": list(given.texts) if given.is_batch else given.texts[0],
            "encoding_format": "float",
        }
        if given.dimensions is not None:
            body["dimensions"] = given.dimensions
        return self._request("embeddings", body | dict(given.extra), call)

    def stream_request(self, call: ProviderCall) -> Request:
        """The request for server-sent events; raises InputError."""
        self._check_streams(call)
        mode: dict[str, Any] = {"stream": True}
        if not self._has_responses:
            mode["stream_options"] = {"include_usage": True}
        return self._chat_request(call, mode)

    def _chat_request(self, call: ProviderCall, mode: Mapping[str, Any]) -> Request:
        chat = chat_of(self.name, call)
        if self._has_responses:
            return self._request("responses", {**responses_body(call.model, chat), **mode}, call)
        host = urlsplit(self._origin()).hostname or ""
        bound = "max_completion_tokens" if host.endswith(_WITH_NEWER_BOUND) else "max_tokens"
        return self._request("chat/completions", {**chat_body(call.model, chat, bound=bound), **mode}, call)

    def _request(self, path: str, body: Mapping[str, Any], call: ProviderCall) -> Request:
        headers = {"authorization": f"Bearer {header_value(_KEY, self.name)}", "content-type": "application/json"}
        for variable, header in _HEADERS.items():
            value = header_value(variable)
            if value is not None:
                headers[header] = value
        return Request(method="POST", url=f"{self._origin()}/{path}", headers=headers, body=json_body(body, call))

    def _origin(self) -> str:
        return base_url("OPENAI_BASE_URL", self._options.base_url, _ORIGIN)

    def _check_streams(self, call: ProviderCall) -> None:
        check_operation(self.name, call.operation, self.operations)
        if call.operation == "embedding":
            raise InputError("operation 'embedding' cannot be streamed; ask for it whole")

    def reply(self, call: ProviderCall, response: Response) -> Reply:
        """The answer of a whole response; raises ProviderError."""
        if call.operation == "embedding":
            return self._embeddings(call, answered(self.name, response, _Embeddings, key_variable=_KEY))
        if self._has_responses:
            found = answered(self.name, response, ModelResponse, key_variable=_KEY)
            return responses_reply(self.name, call.model, found)
        return chat_reply(self.name, call.model, answered(self.name, response, ChatCompletion, key_variable=_KEY))

    def _embeddings(self, call: ProviderCall, found: _Embeddings) -> Reply:
        given = embedding_of(self.name, call)
        tokens = Tokens(input=count_at(found.usage or {}, "prompt_tokens"))
        return embedded(self.name, found.model or call.model, given, by_index(found.data, given), tokens)

    def stream_reader(self, call: ProviderCall) -> StreamReader:
        """What reads a streamed answer; raises InputError for an operation that has none."""
        self._check_streams(call)
        reader = ResponsesReader if self._has_responses else ChatReader
        return reader(self.name, call.model)


def build(name: str, options: Options) -> OpenAI:
    """The provider with its settings."""
    return OpenAI(name, options)
