"""aiohttp: sessions and the module's `request`; https://docs.aiohttp.org/en/stable/client_reference.html.

`ws_connect` opens a websocket, whose frames are no calls of an endpoint: it is no call site.
"""

from apicache_codemods.detector import Address, Argument, Constructor, Detector, Request

_BODY = (Argument("params"), Argument("json"), Argument("data"))
_CALLS = {
    verb.lower(): Request(method=verb, url=Argument("url", 0), payload=_BODY)
    for verb in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
}
_ANY_VERB = Request(method=Argument("method", 0), url=Argument("url", 1), payload=_BODY)
_FUNCTION = Request(method=Argument("method", 0), url=Argument("url", 1), payload=_BODY, is_async=True)
_SESSION = Constructor(is_async=True, address=Address(Argument("base_url", 0)), joining="resolve")

DETECTOR = Detector(
    documentation="https://docs.aiohttp.org/en/stable/client_reference.html",
    constructors={"aiohttp.ClientSession": _SESSION, "aiohttp.client.ClientSession": _SESSION},
    calls={**_CALLS, "request": _ANY_VERB},
    functions={"aiohttp.request": _FUNCTION, "aiohttp.client.request": _FUNCTION},
)
