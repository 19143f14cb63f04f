"""urllib3: pool managers, connection pools, the module's `request`; https://urllib3.readthedocs.io/en/stable/reference/.

A connection pool belongs to one host, and the calls give paths below it. A proxy's address is no part of the endpoint.
"""

from apicache_codemods.detector import Address, Argument, Constructor, Detector, Request

_METHOD, _URL = Argument("method", 0), Argument("url", 1)
_REQUEST = Request(method=_METHOD, url=_URL, payload=(Argument("body", 2), Argument("fields", 3), Argument("json")))
_FIELDS = Request(method=_METHOD, url=_URL, payload=(Argument("fields", 2),))
_URLOPEN = Request(method=_METHOD, url=_URL, payload=(Argument("body"),))
_FUNCTION = Request(method=_METHOD, url=_URL, payload=(Argument("body"), Argument("fields"), Argument("json")))
_POOL = "urllib3.HTTPConnectionPool"
_OPENS = {"connection_from_host": _POOL, "connection_from_url": "urllib3.connection_from_url"}
_MANAGER = Constructor(opens=_OPENS)
_MANAGERS = (
    "urllib3.PoolManager",
    "urllib3.ProxyManager",
    "urllib3.proxy_from_url",
    "urllib3.poolmanager.PoolManager",
    "urllib3.poolmanager.ProxyManager",
)


def _pool(scheme: str) -> Constructor:
    return Constructor(address=Address(Argument("host", 0), Argument("port", 1), scheme))


DETECTOR = Detector(
    documentation="https://urllib3.readthedocs.io/en/stable/reference/",
    constructors={
        **dict.fromkeys(_MANAGERS, _MANAGER),
        **dict.fromkeys((_POOL, "urllib3.connectionpool.HTTPConnectionPool"), _pool("http://")),
        **dict.fromkeys(
            ("urllib3.HTTPSConnectionPool", "urllib3.connectionpool.HTTPSConnectionPool"), _pool("https://")
        ),
        "urllib3.connection_from_url": Constructor(address=Address(Argument("url", 0)), joining="resolve"),
    },
    calls={
        "request": _REQUEST,
        "request_encode_url": _FIELDS,
        "request_encode_body": _FIELDS,
        "urlopen": _URLOPEN,
    },
    functions={"urllib3.request": _FUNCTION},
)
