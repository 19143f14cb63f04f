"""httpx: sync and async clients and the module's functions; https://www.python-httpx.org/api/.

Clients of other packages that derive from httpx's are its clients.
"""

from apicache_codemods.detector import Constructor, Detector
from apicache_codemods.httpx_family import ANY_VERB, SENT, VERBS, functions

_FUNCTIONS = functions(*VERBS)
_SYNC = Constructor(base_urls={"base_url": ""})
_ASYNC = Constructor(is_async=True, base_urls={"base_url": ""})

DETECTOR = Detector(
    documentation="https://www.python-httpx.org/api/",
    modules=("httpx", "httpx_aiohttp", "authlib.integrations.httpx_client"),
    constructors={
        "httpx.Client": _SYNC,
        "httpx.AsyncClient": _ASYNC,
        "httpx_aiohttp.HttpxAiohttpClient": _ASYNC,
        "authlib.integrations.httpx_client.OAuth1Client": _SYNC,
        "authlib.integrations.httpx_client.OAuth2Client": _SYNC,
        "authlib.integrations.httpx_client.AsyncOAuth1Client": _ASYNC,
        "authlib.integrations.httpx_client.AsyncOAuth2Client": _ASYNC,
    },
    calls={**_FUNCTIONS, "send": SENT},
    functions={f"httpx.{name}": request for name, request in _FUNCTIONS.items()},
    requests={"httpx.Request": ANY_VERB, "build_request": ANY_VERB},
)
