"""The embedded upstream's HTTP server: routes, counting, latency and planned failures."""

import asyncio
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from apicache_scenarios.upstream import answers
from apicache_scenarios.upstream.latency import LatencySource

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CONTROL_PREFIX = "/_"
MAX_TRANSACTIONS = 1000


class Behaviour(msgspec.Struct, forbid_unknown_fields=True):
    """What the upstream can be told to do; PATCH /_behaviour takes any of the fields.

    `fail_share` (0 to 1) of the requests get `fail_status`, spread evenly and the same way in every run: with 0.25,
    every fourth. `latency_ms` is the mean of the log-normal latency, 0 for none.
    """

    latency_ms: float
    fail_share: float = 0.0
    fail_status: int = HTTPStatus.INTERNAL_SERVER_ERROR

    def __post_init__(self) -> None:
        if not (0 <= self.fail_share <= 1 and self.latency_ms >= 0):
            raise ValueError("fail_share lies between 0 and 1, latency_ms is not negative")
        HTTPStatus(self.fail_status)


class EmbeddedUpstream:
    """Counts every request outside /_stats and /_behaviour, waits its latency, then answers or fails as planned."""

    def __init__(self, behaviour: Behaviour, *, seed: int = 0) -> None:
        self._behaviour = behaviour
        self._latency = LatencySource(behaviour.latency_ms, seed=seed)
        self._served: Counter[str] = Counter()
        self._served_by_user_agent: Counter[str] = Counter()
        self._failures_owed = 0.0

    def application(self) -> web.Application:
        """The aiohttp application with all routes."""
        application = web.Application(middlewares=[self._upstream_middleware()], client_max_size=64 * 1024**2)
        application.add_routes(
            [
                web.post("/v1/chat/completions", _posted(answers.chat_completion, answers.chat_chunks)),
                web.post("/v1/embeddings", _posted(answers.embeddings)),
                web.post("/v1/responses", _posted(answers.response)),
                web.get("/v1/quotes/{symbol}", _quote),
                web.get("/v1/users/{id}", _user),
                web.get("/v1/users/{id}/transactions", _transactions),
                web.get("/_stats", self._stats),
                web.patch("/_behaviour", self._change_behaviour),
            ]
        )
        return application

    def _upstream_middleware(self) -> Any:
        @web.middleware
        async def behave(request: web.Request, handler: Handler) -> web.StreamResponse:
            if request.path.startswith(CONTROL_PREFIX):
                return await handler(request)
            self._served[f"{request.method} {request.path}"] += 1
            self._served_by_user_agent[request.headers.get("User-Agent", "")] += 1
            failing = self._fails_now()
            await asyncio.sleep(self._latency.draw())
            return _failure(self._behaviour.fail_status) if failing else await handler(request)

        return behave

    def _fails_now(self) -> bool:
        self._failures_owed += self._behaviour.fail_share
        # 0.1 added ten times falls short of 1 by a rounding error; the tolerance keeps "every tenth" exact.
        if self._failures_owed < 1 - 1e-9:
            return False
        self._failures_owed -= 1
        return True

    async def _stats(self, _: web.Request) -> web.Response:
        return web.json_response(
            {
                "requests": self._served.total(),
                "by_endpoint": dict(self._served),
                "by_user_agent": dict(self._served_by_user_agent),
            }
        )

    async def _change_behaviour(self, request: web.Request) -> web.Response:
        try:
            changes = await request.json()
            self._behaviour = msgspec.convert(msgspec.to_builtins(self._behaviour) | changes, Behaviour)
        except (ValueError, TypeError, msgspec.ValidationError) as error:
            return _error(HTTPStatus.BAD_REQUEST, str(error))
        self._latency.mean_ms = self._behaviour.latency_ms
        return web.json_response(msgspec.to_builtins(self._behaviour))


def _posted(
    answer: Callable[[Mapping[str, Any]], dict[str, Any]],
    chunks: Callable[[Mapping[str, Any]], list[dict[str, Any]]] | None = None,
) -> Handler:
    """Answers a posted JSON object; with `chunks`, as a stream of server-sent events if it is asked for."""

    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            body = await request.json()
        except (json.JSONDecodeError, UnicodeDecodeError):
            return _error(HTTPStatus.BAD_REQUEST, "We could not parse the JSON body of your request.")
        if not isinstance(body, dict):
            return _error(HTTPStatus.BAD_REQUEST, "The body must be a JSON object.")
        try:
            if chunks is not None and body.get("stream"):
                return await _streamed(request, chunks(body))
            return web.json_response(answer(body))
        except answers.RefusedRequest as refused:
            return _error(HTTPStatus.BAD_REQUEST, refused.message, param=refused.param)

    return handle


async def _streamed(request: web.Request, documents: list[dict[str, Any]]) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-cache"})
    await response.prepare(request)
    for event in [*map(json.dumps, documents), "[DONE]"]:
        await response.write(f"data: {event}\n\n".encode())
    await response.write_eof()
    return response


async def _quote(request: web.Request) -> web.Response:
    return web.json_response(answers.quote(request.match_info["symbol"]))


async def _user(request: web.Request) -> web.Response:
    return web.json_response(answers.user(request.match_info["id"]))


async def _transactions(request: web.Request) -> web.Response:
    limit = request.query.get("limit", "10")
    if not (limit.isascii() and limit.isdigit() and int(limit) <= MAX_TRANSACTIONS):
        return _error(
            HTTPStatus.BAD_REQUEST, f"'limit' must be an integer from 0 to {MAX_TRANSACTIONS}.", param="limit"
        )
    return web.json_response(answers.transactions(request.match_info["id"], int(limit)))


def _error(status: HTTPStatus, message: str, *, param: str | None = None) -> web.Response:
    return web.json_response(answers.error_body(message, "invalid_request_error", param=param), status=status)


def _failure(status: int) -> web.Response:
    """A planned failure as OpenAI words it; 429 tells the client when to come back."""
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        body = answers.error_body("Rate limit reached.", "requests", code="rate_limit_exceeded")
        return web.json_response(body, status=status, headers={"Retry-After": "1"})
    return web.json_response(answers.error_body("The server had an error.", "server_error"), status=status)
