"""What the cards of httpx and of its continuation httpx2 share."""

from collections.abc import Mapping

from apicache_codemods.detector import Argument, Request

BODY = (Argument("params"), Argument("json"), Argument("data"), Argument("content"), Argument("files"))
VERBS = ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
ANY_VERB = Request(method=Argument("method", 0), url=Argument("url", 1), payload=BODY)
_PREPARED = Argument("request", 0)
SENT = Request(method=Argument("method"), url=Argument("url"), prepared=_PREPARED, payload=(_PREPARED,))


def functions(*verbs: str) -> Mapping[str, Request]:
    """The calls that a client and the module have in common, by name."""
    named = {verb.lower(): Request(method=verb, url=Argument("url", 0), payload=BODY) for verb in verbs}
    return {**named, "request": ANY_VERB, "stream": ANY_VERB}
