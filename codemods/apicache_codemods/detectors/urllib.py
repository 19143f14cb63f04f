"""urllib.request: `urlopen`, `urlretrieve`, openers; https://docs.python.org/3/library/urllib.request.html.

The method is POST when data is sent, else GET, unless a `Request` states it; `urlopen(Request(...))` is one call site,
what it sends is the `Request`'s.
"""

from apicache_codemods.detector import Argument, Constructor, Detector, Request, Verb

_DATA = Argument("data", 1)


def _opened(url: Argument, data: Argument = _DATA) -> Request:
    return Request(method=Verb(body=data), url=url, payload=(data,), prepared=url)


_RETRIEVED = Request(method=Verb(body=Argument("data", 3)), url=Argument("url", 0), payload=(Argument("data", 3),))

DETECTOR = Detector(
    documentation="https://docs.python.org/3/library/urllib.request.html",
    modules=("urllib.request",),
    constructors=dict.fromkeys(("urllib.request.build_opener", "urllib.request.OpenerDirector"), Constructor()),
    calls={"open": _opened(Argument("fullurl", 0))},
    functions={"urllib.request.urlopen": _opened(Argument("url", 0)), "urllib.request.urlretrieve": _RETRIEVED},
    requests={
        "urllib.request.Request": Request(
            method=Verb(body=_DATA, argument=Argument("method", 5)), url=Argument("url", 0), payload=(_DATA,)
        )
    },
)
