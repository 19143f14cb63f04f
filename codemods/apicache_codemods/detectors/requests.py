"""requests: sessions and the module's functions; https://requests.readthedocs.io/en/latest/api/."""

from apicache_codemods.detector import Argument, Constructor, Detector, Request

_BODY = (Argument("params"), Argument("data"), Argument("json"), Argument("files"))
_SECOND = {"GET": "params", "POST": "data", "PUT": "data", "PATCH": "data"}
_VERBS = {
    verb.lower(): Request(
        method=verb,
        url=Argument("url", 0),
        payload=tuple(Argument(body.keyword, 1 if body.keyword == _SECOND.get(verb) else None) for body in _BODY),
    )
    for verb in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
}
_ANY_VERB = Request(method=Argument("method", 0), url=Argument("url", 1), payload=_BODY)
_PREPARED = Argument("request", 0)
_SENT = Request(method=Argument("method"), url=Argument("url"), prepared=_PREPARED, payload=(_PREPARED,))
_FUNCTIONS = {**_VERBS, "request": _ANY_VERB}

DETECTOR = Detector(
    documentation="https://requests.readthedocs.io/en/latest/api/",
    constructors={
        "requests.Session": Constructor(),
        "requests.session": Constructor(),
        "requests.sessions.Session": Constructor(),
        "requests.sessions.session": Constructor(),
    },
    calls={**_FUNCTIONS, "send": _SENT},
    functions={
        f"{module}.{name}": request for module in ("requests", "requests.api") for name, request in _FUNCTIONS.items()
    },
    requests={"requests.Request": _ANY_VERB, "requests.models.Request": _ANY_VERB},
)
