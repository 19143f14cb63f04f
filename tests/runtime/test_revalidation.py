"""The HTTP adapters ask a real server whether what is stored still holds."""

import asyncio
import contextlib
import inspect
import threading
from collections.abc import Callable, Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import ModuleType
from typing import Any

import httpx
import openai
import pytest
import requests
from openai.types import CreateEmbeddingResponse

from apicache.adapter import Identified, Snapshot
from apicache.adapters import httpx as httpx_adapter
from apicache.adapters import openai as openai_adapter
from apicache.adapters import requests as requests_adapter
from apicache.credentials import url_carries_credential
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.tagged import canonical, decode, encode

MODIFIED = "Sun, 06 Nov 1994 08:49:37 GMT"


class VersionedServer:
    """Answers with `version` as body and ETag, or 304; `/moved` redirects to `/landed`, `/status/N` has status N."""

    def __init__(self) -> None:
        self.version = "v1"
        self.headers: dict[str, str] = {}
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                outer.answer(self)

            do_POST = do_HEAD = do_OPTIONS = do_GET  # noqa: N815 - http.server's names

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        headers = {name.lower(): value for name, value in request.headers.items()}
        body = request.rfile.read(int(headers.get("content-length", 0)))
        self.seen.append((request.command, request.path, headers, body))
        etag = f'"{self.version}"'
        if request.path.startswith("/moved"):
            status, content = 302, b""
        elif request.path.startswith("/status/"):
            status, content = int(request.path.rpartition("/")[2]), b"no"
        elif headers.get("if-none-match") == etag:
            status, content = 304, b""
        else:
            status, content = 200, self.version.encode()
        request.send_response(status)
        for name, value in {"ETag": etag, "Last-Modified": MODIFIED, **self.headers}.items():
            request.send_header(name, value)
        if status == 302:
            request.send_header("Location", "/landed")
        if status != 304:
            request.send_header("Content-Type", "text/plain; charset=utf-8")
            request.send_header("Content-Length", str(len(content)))
        request.end_headers()
        if request.command != "HEAD":
            request.wfile.write(content)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


@pytest.fixture
def server() -> Iterator[VersionedServer]:
    server = VersionedServer()
    yield server
    server.close()


class Way:
    """One way to make a call, and the adapter's functions for it."""

    def __init__(self, name: str) -> None:
        self.library, _, self.style = name.partition("-")
        self.adapter: ModuleType = {"httpx": httpx_adapter, "requests": requests_adapter}[self.library]
        self.owner: Any = None
        self.run: Callable[[Any], Any] = lambda result: result

    @contextlib.contextmanager
    def opened(self) -> Iterator["Way"]:
        with contextlib.ExitStack() as stack:
            if self.style == "module":
                self.owner = {"httpx": httpx, "requests": requests}[self.library]
            elif self.library == "requests":
                self.owner = stack.enter_context(requests.Session())
            elif self.style == "sync":
                self.owner = stack.enter_context(httpx.Client())
            else:
                runner = stack.enter_context(asyncio.Runner())
                self.owner = httpx.AsyncClient()
                self.run = lambda result: runner.run(_awaited(result))
                stack.callback(lambda: runner.run(self.owner.aclose()))
            yield self

    def identified(self, method: str, *args: Any, **kwargs: Any) -> Identified:
        identified = self.adapter.identify(getattr(self.owner, method), args, kwargs)
        assert isinstance(identified, Identified)
        return identified

    def call(self, method: str, *args: Any, **kwargs: Any) -> Any:
        return self.run(getattr(self.owner, method)(*args, **kwargs))

    def snapshot(self, method: str, *args: Any, **kwargs: Any) -> Snapshot:
        snapshot = self.adapter.snapshot(self.call(method, *args, **kwargs))
        assert isinstance(snapshot, Snapshot)
        return snapshot

    def revalidated(self, snapshot: Snapshot, method: str, *args: Any, **kwargs: Any) -> Any:
        revalidate = self.identified(method, *args, **kwargs).revalidate
        assert revalidate is not None
        return self.run(revalidate(snapshot.validators)())

    def following(self) -> dict[str, Any]:
        return {"follow_redirects": True} if self.library == "httpx" else {}


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result


@pytest.fixture(params=["httpx-sync", "httpx-async", "httpx-module", "requests-session", "requests-module"])
def way(request: pytest.FixtureRequest) -> Iterator[Way]:
    with Way(request.param).opened() as way:
        yield way


def test_what_still_holds_is_renewed_from_a_304(server: VersionedServer, way: Way) -> None:
    url = f"{server.url}/x"
    server.headers = {"Cache-Control": "max-age=5", "X-Round": "1"}
    stored = way.snapshot("get", url)
    assert (stored.lifetime, stored.validators) == (5, (("etag", '"v1"'), ("last-modified", MODIFIED)))
    server.headers = {"Cache-Control": "private, max-age=60", "X-Round": "2", "Content-Type": "image/png"}
    response = way.revalidated(stored, "get", url)
    assert way.adapter.not_modified(response)
    asked = server.seen[1][2]
    assert (asked["if-none-match"], asked["if-modified-since"]) == ('"v1"', MODIFIED)

    renewed = way.adapter.renewed(stored.data, response)
    assert (renewed.lifetime, renewed.private, renewed.refusal) == (60, True, None)
    assert renewed.validators == stored.validators
    replayed = way.adapter.replay(decode(encode(renewed.data)), None)
    assert (replayed.status_code, replayed.text) == (200, "v1")
    assert replayed.headers["x-round"] == "2"
    assert replayed.headers["content-type"] == "text/plain; charset=utf-8"
    assert replayed.headers["content-length"] == "2"
    assert dict(stored.data["headers"])["X-Round"] == "1"


def test_what_has_changed_comes_as_an_ordinary_answer(server: VersionedServer, way: Way) -> None:
    url = f"{server.url}/x"
    stored = way.snapshot("get", url)
    server.version = "v2"
    response = way.revalidated(stored, "get", url)
    assert not way.adapter.not_modified(response)
    assert (response.status_code, response.text) == (200, "v2")
    assert way.adapter.snapshot(response).validators[0] == ("etag", '"v2"')
    with pytest.raises(UnstorableError, match="no 304"):
        way.adapter.renewed(stored.data, response)


def test_the_request_that_asks_is_the_identified_one(server: VersionedServer, way: Way) -> None:
    headers = {"X-One": "1", "Authorization": "Bearer b"}
    params = {"q": ["a", "b"]}
    given: dict[str, Any] = {"headers": headers, "params": params, "timeout": 3}
    stored = way.snapshot("get", f"{server.url}/x?p=1", **given)
    revalidate = way.identified("get", f"{server.url}/x?p=1", **given).revalidate
    assert revalidate is not None
    headers["X-One"] = "changed"
    params["q"].append("c")
    assert way.adapter.not_modified(way.run(revalidate(stored.validators)()))
    (method, path, sent, body), (method_asking, path_asking, asking, body_asking) = server.seen
    assert (method_asking, path_asking, body_asking) == (method, path, body)
    assert {k: v for k, v in asking.items() if not k.startswith("if-")} == sent


def test_the_identified_request_itself_stays_unconditional(server: VersionedServer, way: Way) -> None:
    identified = way.identified("get", f"{server.url}/x")
    assert identified.revalidate is not None
    way.run(identified.revalidate((("etag", '"v1"'),))())
    assert "if-none-match" not in {name.lower() for name in identified.context.headers}
    way.run(identified.revalidate(())())
    assert [sent.get("if-none-match") for _, _, sent, _ in server.seen] == ['"v1"', None]


def test_a_head_request_is_revalidated_as_one(server: VersionedServer, way: Way) -> None:
    stored = way.snapshot("head", f"{server.url}/x")
    assert way.adapter.not_modified(way.revalidated(stored, "head", f"{server.url}/x"))
    assert [method for method, *_ in server.seen] == ["HEAD", "HEAD"]


def test_basic_auth_and_a_body_are_sent_again(server: VersionedServer, way: Way) -> None:
    call = ("request", "GET", f"{server.url}/x")
    given: dict[str, Any] = {"auth": ("u", "p"), "json": {"q": 1}}
    way.revalidated(way.snapshot(*call, **given), *call, **given)
    (_, _, first, body), (_, _, second, body_again) = server.seen
    assert body == body_again != b""
    assert first["authorization"] == second["authorization"]


@pytest.mark.parametrize("method", ["post", "options"])
def test_calls_other_than_get_and_head_are_not_revalidated(server: VersionedServer, way: Way, method: str) -> None:
    server.headers = {"Cache-Control": "no-cache"}
    assert way.identified(method, f"{server.url}/x").revalidate is None
    snapshot = way.snapshot(method, f"{server.url}/x")
    assert (snapshot.validators, snapshot.forbidden) == ((), True)


@pytest.mark.parametrize(
    "headers",
    [
        {"If-None-Match": '"mine"'},
        {"if-modified-since": MODIFIED},
        {"If-Range": '"mine"', "Range": "bytes=0-1"},
        {"Range": "bytes=0-1"},
        {"Cache-Control": "no-cache"},
    ],
    ids=lambda headers: next(iter(headers)),
)
def test_a_callers_own_condition_or_range_makes_the_call_unidentifiable(
    server: VersionedServer, way: Way, headers: Mapping[str, str]
) -> None:
    with pytest.raises(UnidentifiableError, match="its request"):
        way.identified("get", f"{server.url}/x", headers=headers)
    if way.style != "module":
        way.owner.headers.update(headers)
        with pytest.raises(UnidentifiableError, match="its request"):
            way.identified("get", f"{server.url}/x")


def test_what_needs_revalidating_each_time_is_kept_with_its_validators(server: VersionedServer, way: Way) -> None:
    server.headers = {"Cache-Control": "no-cache, stale-if-error=9"}
    snapshot = way.snapshot("get", f"{server.url}/x")
    assert (snapshot.lifetime, snapshot.forbidden, snapshot.must_revalidate) == (0, False, True)
    assert snapshot.stale_if_error == 9
    server.headers = {"Cache-Control": "no-cache", "ETag": "*", "Last-Modified": "never"}
    snapshot = way.snapshot("get", f"{server.url}/x")
    assert (snapshot.lifetime, snapshot.forbidden, snapshot.validators) == (0, True, ())


def test_an_answer_reached_by_a_redirect_has_no_validators(server: VersionedServer, way: Way) -> None:
    snapshot = way.snapshot("get", f"{server.url}/moved", **way.following())
    assert len(snapshot.data["history"]) == 1
    assert (snapshot.validators, snapshot.refusal, snapshot.forbidden) == ((), None, False)


def test_a_304_reached_by_a_redirect_says_nothing_of_what_is_stored(server: VersionedServer, way: Way) -> None:
    stored = way.snapshot("get", f"{server.url}/x")
    response = way.revalidated(stored, "get", f"{server.url}/moved", **way.following())
    assert way.adapter.not_modified(response)
    with pytest.raises(UnstorableError, match="to the call itself"):
        way.adapter.renewed(stored.data, response)


def test_a_304_about_another_version_is_refused(server: VersionedServer, way: Way) -> None:
    stored = way.snapshot("get", f"{server.url}/x")
    server.headers = {"ETag": '"v9"'}
    response = way.revalidated(stored, "get", f"{server.url}/x")
    assert way.adapter.not_modified(response)
    with pytest.raises(UnstorableError, match="another version"):
        way.adapter.renewed(stored.data, response)


def test_a_304s_credentials_and_cookies_stay_out_of_the_store(server: VersionedServer, way: Way) -> None:
    stored = way.snapshot("get", f"{server.url}/x")
    server.headers = {"X-Auth-Token": "s3cret", "Set-Cookie": "session=s3cret", "X-Plain": "1"}
    renewed = way.adapter.renewed(stored.data, way.revalidated(stored, "get", f"{server.url}/x"))
    assert b"s3cret" not in encode(renewed.data)
    assert renewed.refusal == "it sets a cookie, which a hit would not set"
    assert "X-Plain" in dict(renewed.data["headers"])


@pytest.mark.parametrize(("status", "negative"), [(404, "status 404"), (410, "status 410"), (500, None), (403, None)])
def test_errors_that_may_be_kept_are_told_from_the_others(
    server: VersionedServer, way: Way, status: int, negative: str | None
) -> None:
    snapshot = way.snapshot("get", f"{server.url}/status/{status}")
    assert (snapshot.negative, snapshot.refusal) == (negative, None if negative else f"status {status}")
    assert snapshot.status == status
    assert snapshot.validators == ()


def test_vary_is_honoured_because_every_header_is_part_of_the_identity(server: VersionedServer, way: Way) -> None:
    server.headers = {"Vary": "Accept-Language, X-Anything"}
    snapshot = way.snapshot("get", f"{server.url}/x")
    assert (snapshot.refusal, snapshot.forbidden) == (None, False)
    calls = [{"Accept-Language": "de"}, {"Accept-Language": "en"}, {"X-Anything": "1"}, {}, {"Authorization": "a"}]
    identities = set()
    for headers in calls:
        identified = way.identified("get", f"{server.url}/x", headers=headers)
        identities.add(canonical([identified.parameters, identified.credentials]))
    assert len(identities) == len(calls)
    again = way.identified("get", f"{server.url}/x", headers=calls[0])
    assert canonical([again.parameters, again.credentials]) in identities


@pytest.mark.parametrize(
    ("path", "given", "carries"),
    [
        ("/x", {}, False),
        ("/x?q=1", {"headers": {"Accept": "text/csv"}}, False),
        ("/x", {"headers": {"Cookie": "__cf_bm=1"}}, False),
        ("/x", {"headers": {"Cookie": "session=1"}}, True),
        ("/x", {"headers": {"Authorization": "Bearer a"}}, True),
        ("/x", {"headers": {"X-Api-Key": "a"}}, True),
        ("/x", {"auth": ("u", "p")}, True),
        ("/x", {"params": {"api_key": "a"}}, True),
        ("/x?access_token=a", {}, True),
    ],
)
def test_whether_a_call_carries_a_credential_is_seen(
    server: VersionedServer, way: Way, path: str, given: Any, carries: bool
) -> None:
    assert way.identified("get", server.url + path, **given).carries_credentials is carries


def test_user_info_and_client_wide_credentials_count(server: VersionedServer, way: Way) -> None:
    assert way.identified("get", server.url.replace("//", "//u:p@") + "/x").carries_credentials
    if way.style != "module":
        way.owner.headers["Authorization"] = "Bearer a"
        assert way.identified("get", f"{server.url}/x").carries_credentials


def test_a_client_certificate_counts(server: VersionedServer) -> None:
    identified = requests_adapter.identify(requests.get, (f"{server.url}/x",), {"cert": "client.pem"})
    assert identified is not None
    assert identified.carries_credentials


def test_cookies_given_to_httpx_itself_are_not_sent_by_other_means(server: VersionedServer) -> None:
    identified = httpx_adapter.identify(httpx.get, (f"{server.url}/x",), {"cookies": {"session": "1"}})
    assert identified is not None
    assert identified.revalidate is None
    assert identified.carries_credentials


def test_openai_calls_are_never_revalidated() -> None:
    with openai.OpenAI(api_key="k", base_url="http://127.0.0.1:9/v1") as client:
        given = {"model": "e-1", "input": ["a"]}
        identified = openai_adapter.identify(client.embeddings.create, (), given)
        assert identified is not None
        assert identified.revalidate is None
        assert identified.carries_credentials
    model = CreateEmbeddingResponse.construct(object="list", model="e-1", data=[{}], usage={})
    model._request_id = None
    snapshot = openai_adapter.snapshot(model)
    assert snapshot is not None
    assert (snapshot.validators, snapshot.lifetime, snapshot.negative) == ((), None, None)
    assert not {"not_modified", "renewed"} & vars(openai_adapter).keys()


@pytest.mark.parametrize("given", [None, b"x", {"status_code": 304}])
def test_what_is_no_response_is_never_a_304(way: Way, given: Any) -> None:
    assert not way.adapter.not_modified(given)
    with pytest.raises(UnstorableError):
        way.adapter.renewed({}, given)


@pytest.mark.parametrize(
    ("url", "carries"),
    [
        ("https://a.example/x", False),
        ("https://a.example/x?q=1&page=2", False),
        ("https://a.example/x?keyword=cats&key_words=a&author=me", False),
        ("https://a.example/items/550e8400-e29b-41d4-a716-446655440000", False),
        ("https://a.example/x@y", False),
        ("https://user:pass@a.example/x", True),
        ("https://a.example/x?api_key=1", True),
        ("https://a.example/x?q=1&X-Amz-Signature=abc", True),
        ("https://a.example/x?token=", True),
        ("https://a.example/x?access%5Ftoken=1", True),
    ],
)
def test_a_credential_in_a_url_is_seen(url: str, carries: bool) -> None:
    assert url_carries_credential(url) is carries
