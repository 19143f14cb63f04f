"""httpx: sync and async clients and the module's functions; https://www.python-httpx.org/api/."""

from apicache_codemods.detector import Argument, Constructor, Detector, Request

_BODY = (Argument("params"), Argument("json"), Argument("data"), Argument("content"), Argument("files"))
_VERBS = {
    verb.lower(): Request(method=verb, url=Argument("url", 0), payload=_BODY)
    for verb in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
}
_ANY_VERB = Request(method=Argument("method", 0), url=Argument("url", 1), payload=_BODY)
_PREPARED = Argument("request", 0)
_SENT = Request(method=Argument("method"), url=Argument("url"), prepared=_PREPARED, payload=(_PREPARED,))
_FUNCTIONS = {**_VERBS, "request": _ANY_VERB, "stream": _ANY_VERB}

DETECTOR = Detector(
    documentation="https://www.python-httpx.org/api/",
    constructors={
        "httpx.Client": Constructor(base_urls={"base_url": ""}),
        "httpx.AsyncClient": Constructor(is_async=True, base_urls={"base_url": ""}),
    },
    calls={**_FUNCTIONS, "send": _SENT},
    functions={f"httpx.{name}": request for name, request in _FUNCTIONS.items()},
    requests={"httpx.Request": _ANY_VERB, "build_request": _ANY_VERB},
)
