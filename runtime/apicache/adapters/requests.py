"""The adapter of requests, https://requests.readthedocs.io."""

import functools
import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final
from urllib.parse import urlsplit

import requests
import requests.adapters
import requests.auth
import requests.structures
import urllib3

from apicache.adapter import Identified, Snapshot, check_repeatable
from apicache.credentials import jar_cookies, split_headers, storable_headers, storable_url, url_carries_credential
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.http.semantics import (
    NOT_MODIFIED,
    REVALIDATABLE_METHODS,
    Validators,
    check_read_like,
    check_unconditional,
    conditions,
)
from apicache.http.snapshots import http_snapshot, renewed_snapshot

_VERBS: Final = ("get", "options", "head", "post", "put", "patch", "delete")
_METHODS: Final[dict[Any, str | None]] = {
    requests.request: None,
    requests.Session.request: None,
    **{getattr(requests, verb): verb.upper() for verb in _VERBS},
    **{getattr(requests.Session, verb): verb.upper() for verb in _VERBS},
}
_REQUEST_FIELDS: Final = frozenset({"params", "data", "json", "headers", "cookies", "auth"})


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:
    """The request that would be sent, with the session's settings merged in."""
    plain = getattr(function, "__func__", function)
    if plain not in _METHODS:
        return None
    owner = getattr(function, "__self__", None)
    session = requests.Session() if owner is None else owner
    bound = _signature(plain).bind(*(() if owner is None else (owner,)), *args, **kwargs).arguments
    given = {**bound, **bound.get("kwargs", {})}
    method = (_METHODS[plain] or str(given["method"])).upper()
    check_read_like(method)
    _check_session(session)
    _check_call(session, given)
    prepared = session.prepare_request(
        requests.Request(method, given["url"], **{name: given[name] for name in _REQUEST_FIELDS & given.keys()})
    )
    redirects = given.get("allow_redirects", plain not in _WITHOUT_REDIRECTS)
    # As the session does it: proxies and CA bundles may come from the environment.
    settings = session.merge_environment_settings(
        str(prepared.url), dict(given.get("proxies") or {}), given.get("stream"), given.get("verify"), given.get("cert")
    )
    sending = {"timeout": given.get("timeout"), "allow_redirects": redirects, **settings}
    return _identified(prepared, sending, session.max_redirects, owner)


_WITHOUT_REDIRECTS: Final = frozenset({requests.head, requests.Session.head})


def _identified(
    prepared: requests.PreparedRequest, sending: dict[str, Any], max_redirects: int, session: requests.Session | None
) -> Identified:
    url = str(prepared.url)
    headers, secret_headers = split_headers((str(k), _text(v)) for k, v in prepared.headers.items())
    check_unconditional(headers)
    # The session's and the call's own: a redirect is sent those that go to its target.
    cookies = jar_cookies(prepared._cookies or ())  # type: ignore[attr-defined]  # noqa: SLF001 - no public reader
    return Identified(
        label=f"{prepared.method} {urlsplit(url).hostname}",
        parameters={
            "library": "requests",
            "method": prepared.method,
            "url": storable_url(url),
            "headers": headers,
            "body": prepared.body,
            "settings": {
                "verify": sending["verify"],
                "redirects": sending["allow_redirects"],
                "max_redirects": max_redirects,
                "proxies": dict(sending["proxies"]),
            },
        },
        credentials=[url, secret_headers, sending["cert"], cookies],
        context=prepared,
        carries_credentials=bool(secret_headers or sending["cert"] or cookies) or url_carries_credential(url),
        revalidate=_revalidation(prepared, sending, session) if prepared.method in REVALIDATABLE_METHODS else None,
    )


def _revalidation(
    prepared: requests.PreparedRequest, sending: dict[str, Any], session: requests.Session | None
) -> Callable[[Validators], Callable[[], Any]]:
    """The same request, asking whether what has the validators still holds."""

    def revalidate(validators: Validators) -> Callable[[], Any]:
        conditional = prepared.copy()
        conditional.headers.update(conditions(validators))
        if session is not None:
            return functools.partial(session.send, conditional, **sending)
        return functools.partial(_send_bare, conditional, sending)

    return revalidate


def _send_bare(prepared: requests.PreparedRequest, sending: dict[str, Any]) -> requests.Response:
    """As the module's own functions do it."""
    with requests.Session() as session:
        return session.send(prepared, **sending)


@functools.cache
def _signature(function: Callable[..., Any]) -> inspect.Signature:
    return inspect.signature(function)


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value


def _check_session(session: requests.Session) -> None:
    """A session that sends in its own way, or to somewhere else, cannot be read off its request."""
    kind = type(session)
    for name in ("request", "send", "prepare_request", "get_adapter", "merge_environment_settings"):
        if getattr(kind, name) is not getattr(requests.Session, name) or name in vars(session):
            raise UnidentifiableError(f"{kind.__name__} has its own {name}()")
    for mounted in session.adapters.values():
        if type(mounted) is not requests.adapters.HTTPAdapter:
            raise UnidentifiableError(f"its session mounts a {type(mounted).__name__}, which may answer from anywhere")
        send = type(mounted).send
        if "send" in vars(mounted) or send.__module__ != requests.adapters.__name__:
            raise UnidentifiableError("its session's HTTPAdapter.send() has been replaced")


def _check_call(session: requests.Session, given: Mapping[str, Any]) -> None:
    if given.get("stream", session.stream):
        raise UnidentifiableError("its response is streamed")
    if given.get("files"):
        raise UnidentifiableError("it uploads files")
    for name in ("params", "headers", "cookies", "data"):
        check_repeatable(given.get(name))
    if any(session.hooks.values()) or any((given.get("hooks") or {}).values()):
        raise UnidentifiableError("it has response hooks, which a hit would not run")
    if not isinstance(given.get("data"), type(None) | str | bytes | dict | list | tuple):
        raise UnidentifiableError("its body is an iterator, which can be read only once")
    for auth in (given.get("auth"), session.auth):
        if not (auth is None or isinstance(auth, tuple) or type(auth) is requests.auth.HTTPBasicAuth):
            raise UnidentifiableError(
                f"its auth is a {type(auth).__name__}; name whose answer it is with using(scope=...)"
            )


def snapshot(response: Any) -> Snapshot | None:
    """Status, headers, decoded body and history; the request stays behind."""
    if type(response) is not requests.Response:
        return None
    if not isinstance(response._content, bytes):  # noqa: SLF001 - `.content` would read it
        raise UnstorableError("a response whose body has not been read")
    chain = [*response.history, response]
    set_cookies = [value for each in chain for value in _set_cookies(each)]
    return http_snapshot(_response_data(response), [each.headers.items() for each in chain], set_cookies)


def not_modified(response: Any) -> bool:
    """Whether it is a 304."""
    return type(response) is requests.Response and response.status_code == NOT_MODIFIED


def renewed(data: Any, response: Any) -> Snapshot:
    """The stored data with its headers updated; raises UnstorableError for a 304 that is not about it."""
    if not not_modified(response) or response.history:
        raise UnstorableError("a response that is no 304 to the call itself")
    return renewed_snapshot(data, response.headers.items(), _set_cookies(response))


def _set_cookies(response: requests.Response) -> Iterable[str]:
    # response.headers joins repeated headers; urllib3's own still tells them apart.
    headers = getattr(response.raw, "headers", None)
    if isinstance(headers, urllib3.HTTPHeaderDict):
        return headers.getlist("set-cookie")
    joined = response.headers.get("set-cookie")
    return [] if joined is None else [joined]


def _response_data(response: requests.Response) -> dict[str, Any]:
    return {
        "status": response.status_code,
        "reason": response.reason,
        "headers": storable_headers(response.headers.items()),
        "content": response.content,
        "encoding": response.encoding,
        "method": response.request.method,
        "url": storable_url(str(response.url)),
        "elapsed": response.elapsed,
        "version": getattr(response.raw, "version", 11),
        "history": [_response_data(earlier) for earlier in response.history],
    }


def replay(data: Any, context: requests.PreparedRequest | None) -> requests.Response:
    """A new response; its request is the caller's own, or one with the stored method and URL."""
    direct = context is not None and not data["history"]
    response = requests.Response()
    response.status_code = data["status"]
    response.reason = data["reason"]
    response.headers = requests.structures.CaseInsensitiveDict(dict(data["headers"]))
    response._content = data["content"]  # noqa: SLF001 - how the library itself marks a read body
    response._content_consumed = True  # type: ignore[attr-defined]  # noqa: SLF001 - same
    response.encoding = data["encoding"]
    response.elapsed = data["elapsed"]
    response.history = [replay(earlier, None) for earlier in data["history"]]
    response.request = context if direct and context is not None else _bare_request(data)
    response.url = str(response.request.url) if direct else data["url"]
    response.raw = urllib3.HTTPResponse(
        body=b"",
        headers=dict(data["headers"]),
        status=data["status"],
        reason=data["reason"],
        version=data["version"],
        preload_content=False,
    )
    return response


def _bare_request(data: Mapping[str, Any]) -> requests.PreparedRequest:
    return requests.Request(data["method"], data["url"]).prepare()
