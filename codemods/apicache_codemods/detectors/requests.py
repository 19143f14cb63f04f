"""requests: sessions and the module's functions; https://requests.readthedocs.io/en/latest/api/.

Sessions of other packages that derive from `requests.Session` are its sessions.
"""

from apicache_codemods.detector import Address, Argument, Constructor, Detector, Request

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

_SESSION = Constructor()
_SESSIONS = (
    "requests.Session",
    "requests.session",
    "requests.sessions.Session",
    "requests.sessions.session",
    "authlib.integrations.requests_client.OAuth1Session",
    "authlib.integrations.requests_client.OAuth2Session",
    "cloudscraper.CloudScraper",
    "cloudscraper.create_scraper",
    "cloudscraper.session",
    "google.auth.transport.requests.AuthorizedSession",
    "requests_cache.CachedSession",
    "requests_cache.session.CachedSession",
    "requests_futures.sessions.FuturesSession",
    "requests_html.HTMLSession",
    "requests_oauthlib.OAuth1Session",
    "requests_oauthlib.OAuth2Session",
)

DETECTOR = Detector(
    documentation="https://requests.readthedocs.io/en/latest/api/",
    modules=(
        "requests",
        "authlib.integrations.requests_client",
        "cloudscraper",
        "google.auth.transport.requests",
        "requests_cache",
        "requests_futures",
        "requests_html",
        "requests_oauthlib",
        "requests_toolbelt",
    ),
    constructors={
        **dict.fromkeys(_SESSIONS, _SESSION),
        "requests_html.AsyncHTMLSession": Constructor(is_async=True),
        "requests_toolbelt.sessions.BaseUrlSession": Constructor(
            address=Address(Argument("base_url", 0)), joining="resolve"
        ),
    },
    calls={**_FUNCTIONS, "send": _SENT},
    functions={
        f"{module}.{name}": request for module in ("requests", "requests.api") for name, request in _FUNCTIONS.items()
    },
    requests={"requests.Request": _ANY_VERB, "requests.models.Request": _ANY_VERB},
)
