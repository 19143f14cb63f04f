"""Any endpoint, declared.

[tool.apicache.providers.groq]
url = "https://api.groq.com/openai/v1/chat/completions"
headers = { Authorization = "Bearer ${GROQ_API_KEY}" }
body = { model = "{model}", messages = "{messages}", temperature = "{temperature}" }
model = "openai/gpt-oss-20b"
answer = "choices.0.message.content"
input_tokens = "usage.prompt_tokens"
output_tokens = "usage.completion_tokens"
"""

import os
from collections.abc import Mapping
from typing import Any, Final, Literal

import msgspec

from apicache.chain.completions import completed, finish_of
from apicache.chain.declared_streams import DeclaredReader
from apicache.chain.embedding_batches import Vector, by_index, embedded, in_order
from apicache.chain.errors import broken, reported_error
from apicache.chain.parameters import (
    Chat,
    EmbeddingInput,
    chat_of,
    check_operation,
    checked_url,
    embedding_of,
    header_value,
    json_body,
)
from apicache.chain.replies import answered, count_at
from apicache.chain.templates import NOTHING, at_path, filled, filled_url, parameters, variables, with_variables
from apicache.credentials import storable_url
from apicache.errors import InputError, did_you_mean
from apicache.provider import ProviderCall, Reply, Request, Response, StreamReader, Tokens

_CHAT: Final = frozenset({"completion", "analysis"})


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """`${VARIABLE}` in `url` and `headers` is the environment's, `{parameter}` in `url` and `body` the call's.

    Beside the call's own parameters there are `{model}`, `{messages}` (chat messages, the system prompt first) and, for
    single texts too, `{texts}`: where the answer is a list then, texts that are asked for together are sent together.
    """

    url: str
    method: Literal["GET", "POST", "PUT"] = "POST"
    headers: dict[str, str] = {}
    body: dict[str, Any] | list[Any] | None = None
    operations: tuple[str, ...] = ("completion",)
    model: str = ""
    answer: str = ""
    """The path to the answer; without one it is the whole body. For embeddings: to a vector, to a list of vectors, or
    to a list of `{"index": ..., "embedding": ...}`."""
    answered_model: str = "model"
    finish_reason: str = ""
    input_tokens: str = ""
    cached_tokens: str = ""
    output_tokens: str = ""
    """Paths, too."""
    stream: str = ""
    """The path to the text in one event of a streamed answer; without one it cannot stream. The other paths lead into
    events as well; a stream is complete with the event `[DONE]`, or once there is a `finish_reason`."""
    stream_body: dict[str, Any] = msgspec.field(default_factory=lambda: {"stream": True})
    """What the body has besides when a streamed answer is asked for."""

    def __repr__(self) -> str:
        return f"<{self.method} {storable_url(self.url)}>"


class Endpoint:
    """The provider."""

    def __init__(self, name: str, options: Options) -> None:
        _check(name, options)
        self.name = name
        self.operations = frozenset(options.operations)
        self._options = options
        self._variables = [each for text in (*options.headers.values(), options.url) for each in variables(text)]
        self._used = frozenset(parameters([options.url, options.body]))
        self.key_variable = self._variables[0] if self._variables else None
        # A path through a list leads to one vector.
        is_one = any(step.isdecimal() for step in options.answer.split("."))
        self.batch_size = 100 if "texts" in self._used and "text" not in self._used and not is_one else 1

    def model_for(self, operation: str) -> str:
        """The declared one, else the provider's name; raises InputError for an operation it has not."""
        check_operation(self.name, operation, self.operations)
        return self._options.model or self.name

    def account(self) -> tuple[Any, Any]:
        """What is declared; and what its URL and its headers take from the environment."""
        declared = msgspec.to_builtins(self._options)
        open_to_all = {**declared, "url": storable_url(self._options.url), "headers": sorted(self._options.headers)}
        found = [[variable, os.environ.get(variable)] for variable in self._variables]
        return open_to_all, [self._options.url, sorted(self._options.headers.items()), found]

    def request(self, call: ProviderCall) -> Request:
        """The request; raises InputError."""
        return self._request(call, {})

    def _request(self, call: ProviderCall, added: Mapping[str, Any]) -> Request:
        check_operation(self.name, call.operation, self.operations)
        json_body(call.parameters, call)  # before any of them is written into a text
        environment = {variable: header_value(variable, self.name) or "" for variable in self._variables}
        values, extra = self._values(call)
        for name in self._used:
            if name not in values:
                raise InputError(
                    f"provider {self.name!r} refers to parameter {name!r}, which operation {call.operation!r} has not; "
                    f"{did_you_mean(name, values)}"
                )
        url = with_variables(filled_url(self._options.url, values), environment)
        return Request(
            method=self._options.method,
            url=checked_url(url, f"the url of provider {self.name!r}"),
            headers=self._headers(environment),
            body=self._body(call, values, {**extra, **added}),
        )

    def _headers(self, environment: Mapping[str, str]) -> Mapping[str, str]:
        given = {name.lower(): with_variables(text, environment) for name, text in self._options.headers.items()}
        return given if self._options.body is None else {"content-type": "application/json", **given}

    def _body(self, call: ProviderCall, values: Mapping[str, Any], extra: Mapping[str, Any]) -> bytes:
        body = filled(self._options.body, values)
        if extra and not isinstance(body, dict):
            raise InputError(f"provider {self.name!r} cannot carry parameter 'extra': its body is no object")
        return b"" if body is None else json_body({**body, **extra} if extra else body, call)

    def _values(self, call: ProviderCall) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
        """What the templates may refer to, and what is added to the body."""
        if call.operation in _CHAT:
            chat = chat_of(self.name, call)
            self._check_carried(call, _chat_slots(call))
            return self._chat_values(call, chat), chat.extra
        if call.operation == "embedding":
            given = embedding_of(self.name, call)
            self._check_carried(call, {"text": {"text", "texts"}})
            text = None if given.is_batch else given.texts[0]
            texts = {"text": text, "texts": list(given.texts), "dimensions": given.dimensions}
            return {**texts, "model": call.model}, given.extra
        self._check_carried(call, {})
        return {"model": call.model, **call.parameters}, {}

    def _chat_values(self, call: ProviderCall, chat: Chat) -> Mapping[str, Any]:
        system = [{"role": "system", "content": chat.system}] if chat.system else []
        prompt = chat.prompt
        if "prompt" in self._used and prompt is None:
            raise InputError(
                f"provider {self.name!r} takes one prompt, no conversation: give 'prompt' in the place of 'messages'"
            )
        if call.operation == "analysis" and not {"system", "messages"} & self._used:
            prompt = f"{chat.system}\n\n{prompt}"
        return {
            "prompt": prompt,
            "messages": [*system, *chat.messages],
            "system": chat.system,
            "max_tokens": chat.max_tokens,
            "temperature": chat.temperature,
            "stop": list(chat.stop) or None,
            "model": call.model,
        }

    def _check_carried(self, call: ProviderCall, slots: Mapping[str, set[str]]) -> None:
        """Raises InputError for a parameter that no template has a place for."""
        for name, value in call.parameters.items():
            is_added = name == "extra" and bool(slots)  # to the body of a built-in operation; others have no such thing
            if value is None or is_added or slots.get(name, {name}) & self._used:
                continue
            raise InputError(
                f"provider {self.name!r} cannot carry parameter {name!r} of operation {call.operation!r}: "
                f"its url and body have no {{{name}}}"
            )

    def reply(self, call: ProviderCall, response: Response) -> Reply:
        """The answer; raises ProviderError."""
        document = answered(self.name, response, Any, key_variable=self.key_variable)
        found = at_path(document, self._options.answer)
        if found is NOTHING:
            if isinstance(document, dict) and document.get("error"):
                raise reported_error(self.name, document)
            raise broken(self.name, f"nothing at {self._options.answer!r}", response.status)
        model = at_path(document, self._options.answered_model)
        model = model if isinstance(model, str) and model else call.model
        tokens = self._tokens(document)
        if call.operation in _CHAT:
            if not isinstance(found, str):
                raise broken(self.name, f"no text at {self._options.answer!r}", response.status)
            finish = at_path(document, self._options.finish_reason) if self._options.finish_reason else ""
            return completed(self.name, model, found, finish_of(str(finish)), tokens)
        if call.operation == "embedding":
            given = embedding_of(self.name, call)
            return embedded(self.name, model, given, _vectors(found, given), tokens)
        return Reply(value=found, model=model, tokens=tokens)

    def _token_paths(self) -> Mapping[str, str]:
        options = self._options
        return {"input": options.input_tokens, "cached": options.cached_tokens, "output": options.output_tokens}

    def _tokens(self, document: Any) -> Tokens:
        counts = {name: at_path(document, path) for name, path in self._token_paths().items() if path}
        return Tokens(**{name: count_at(counts, name) for name in counts})

    def stream_request(self, call: ProviderCall) -> Request:
        """The request for a streamed answer; raises InputError, also where no `stream` is declared."""
        self._check_streams(call)
        return self._request(call, self._options.stream_body)

    def stream_reader(self, call: ProviderCall) -> StreamReader:
        """What reads the events; raises InputError where no `stream` is declared."""
        self._check_streams(call)
        options = self._options
        return DeclaredReader(
            self.name,
            call.model,
            text=options.stream,
            finish=options.finish_reason,
            answered_model=options.answered_model,
            tokens=self._token_paths(),
        )

    def _check_streams(self, call: ProviderCall) -> None:
        if not self._options.stream or call.operation not in _CHAT:
            hint = "; declare 'stream', the path to an event's text, or ask" if call.operation in _CHAT else "; ask"
            raise InputError(f"provider {self.name!r} cannot stream operation {call.operation!r}{hint} for it whole")


def _chat_slots(call: ProviderCall) -> Mapping[str, set[str]]:
    """The places, any one of which carries a parameter."""
    system = {"system", "messages", "prompt"} if call.operation == "analysis" else {"system", "messages"}
    prompt = {"prompt", "messages"}
    return {"system": system, "prompt": prompt, "messages": prompt, "data": prompt}


def _vectors(found: Any, given: EmbeddingInput) -> list[Vector | None]:
    if not isinstance(found, list):
        return [None] * len(given.texts)
    if found and isinstance(found[0], dict):
        return by_index(found, given)
    is_vector = not given.is_batch and not any(isinstance(item, list) for item in found)
    return in_order([found] if is_vector else found, given)


def _check(name: str, options: Options) -> None:
    """Raises InputError for an endpoint that cannot work, without showing its headers or URL."""
    if not variables(options.url):
        checked_url(options.url, f"the url of provider {name!r}")
    if not options.operations:
        raise InputError(f"provider {name!r} has no operations; give one, such as 'completion'")
    for header, text in options.headers.items():
        if not ((header + text).isascii() and (header + text).isprintable()):
            raise InputError(f"header {header!r} of provider {name!r} holds characters that a header cannot carry")


def build(name: str, options: Options) -> Endpoint:
    """The provider that the settings declare."""
    return Endpoint(name, options)
