"""http.client: connections; https://docs.python.org/3/library/http.client.html.

`request` and `putrequest` send; the host is the constructor's, the path the call's. `getresponse` only reads what comes
back.
"""

from apicache_codemods.detector import Address, Argument, Constructor, Detector, Request

_CALL = Request(method=Argument("method", 0), url=Argument("url", 1), payload=(Argument("body", 2),))
_BEGUN = Request(method=Argument("method", 0), url=Argument("url", 1))


def _connection(scheme: str) -> Constructor:
    return Constructor(address=Address(Argument("host", 0), Argument("port", 1), scheme))


DETECTOR = Detector(
    documentation="https://docs.python.org/3/library/http.client.html",
    modules=("http.client",),
    constructors={
        "http.client.HTTPConnection": _connection("http://"),
        "http.client.HTTPSConnection": _connection("https://"),
    },
    calls={"request": _CALL, "putrequest": _BEGUN},
)
