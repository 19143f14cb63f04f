"""cx_Oracle, oracledb's predecessor: connections, cursors and pools; https://cx-oracle.readthedocs.io/en/latest/api_manual/module.html."""

from apicache_codemods.db_api import driver, pool, statement
from apicache_codemods.detector import Argument, Detector, Request

_CALLS = {
    "execute": statement("statement", "parameters"),
    "executemany": statement("statement", "parameters"),
    "callproc": Request(method="CALL", url=Argument("name", 0), payload=(Argument("parameters", 1),)),
    "callfunc": Request(method="CALL", url=Argument("name", 0), payload=(Argument("parameters", 2),)),
}
_POOL = pool("cx_Oracle.Connection", "acquire")

DETECTOR = Detector(
    library="cx_Oracle",
    modules=("cx_Oracle",),
    documentation="https://cx-oracle.readthedocs.io/en/latest/api_manual/module.html",
    constructors={
        **driver(
            ("cx_Oracle.connect", "cx_Oracle.Connection"),
            ("cx_Oracle.Cursor",),
            cursor_calls=_CALLS,
        ),
        "cx_Oracle.SessionPool": _POOL,
    },
    kind="db",
)
