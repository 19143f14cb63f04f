"""httpx2, the continuation of httpx: clients and the module's functions; https://github.com/pydantic/httpx2.

`sse` makes one request and reads its events; `websocket` is no call of an endpoint.
"""

from apicache_codemods.detector import Argument, Constructor, Detector, Request, Verb
from apicache_codemods.httpx_family import ANY_VERB, BODY, SENT, VERBS, functions

_FUNCTIONS = functions(*VERBS, "QUERY")
_SSE = Request(method=Verb(argument=Argument("method")), url=Argument("url", 0), payload=BODY)

DETECTOR = Detector(
    documentation="https://github.com/pydantic/httpx2",
    constructors={
        "httpx2.Client": Constructor(base_urls={"base_url": ""}),
        "httpx2.AsyncClient": Constructor(is_async=True, base_urls={"base_url": ""}),
    },
    calls={**_FUNCTIONS, "send": SENT, "sse": _SSE},
    functions={f"httpx2.{name}": request for name, request in _FUNCTIONS.items()},
    requests={"httpx2.Request": ANY_VERB, "build_request": ANY_VERB},
)
