"""Which code in a PostgreSQL database may answer otherwise by who asks, or by what is set for the session.

A view, a function or an operator is in no query's text. Whether there is any that speaks of the session is asked once
for each state of the database's code.
"""

from collections.abc import Callable
from typing import Any, Final

_FIRST_OWN: Final = 16384
"""The first number of what the server itself does not bring (FirstNormalObjectId)."""
_ROWS: Final = " UNION ALL ".join(
    f"SELECT xmin::text::bigint AS changed FROM pg_catalog.{table} WHERE oid >= {_FIRST_OWN}"  # noqa: S608 - our own
    for table in ("pg_proc", "pg_rewrite", "pg_operator", "pg_cast")
)
CODE: Final = (
    "(SELECT pg_catalog.concat_ws(' ', pg_catalog.current_database(),"  # noqa: S608 - names of our own
    " EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()), pg_catalog.count(*), pg_catalog.sum(changed))"
    f" FROM ({_ROWS}) AS own)"
)
"""Names the state of a server's, and a database's, code: another one after each change of it.

What is changed has the number of the transaction that did it, which is higher than any before.
"""
_SPEAKS: Final = (
    r"\y(current_setting|current_user|session_user|current_role|system_user|pg_settings|getpgusername|current_query"
    r"|pg_has_role|has_\w+_privilege|row_security_active|pg_backend_pid|inet_client_\w+)\y"
)
_USER: Final = r"""(^|[^"'\w.])user($|[^"'\w])"""
"""The keyword, not a column of that name."""
_USER_OR_SHOW: Final = rf"{_USER}|\yshow\y"
"""That, or the statement; neither in a comment."""
_COMMENTS: Final = r"(^|\s)(--[^\n]*|/\*([^*]|\*+[^*/])*\*+/)"
_REACHED: Final = (
    "(EXISTS (SELECT FROM pg_catalog.pg_operator o WHERE o.oprcode = p.oid)"
    " OR EXISTS (SELECT FROM pg_catalog.pg_cast k WHERE k.castfunc = p.oid)"
    " OR EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.refclassid = 'pg_catalog.pg_proc'::regclass"
    " AND d.refobjid = p.oid AND d.classid = 'pg_catalog.pg_rewrite'::regclass))"
)
"""Whether an operator, a cast or a view calls the function: no query calls one whose name is not known to be pure."""
_OF_EXTENSION: Final = (
    "EXISTS (SELECT FROM pg_catalog.pg_depend e WHERE e.classid = 'pg_catalog.pg_proc'::regclass AND e.objid = p.oid"
    " AND e.deptype = 'e')"
)


def _speaks(text: str, words: str) -> str:
    bare = f"pg_catalog.regexp_replace({text}, {_quoted(_COMMENTS)}, '', 'g')"
    return f"({text} ~* {_quoted(_SPEAKS)} OR {bare} ~* {_quoted(words)})"


def _quoted(text: str) -> str:
    return "E'" + text.replace("\\", r"\\").replace("'", "''") + "'"


_QUESTION: Final = (
    "SELECT (EXISTS (SELECT FROM pg_catalog.pg_class c"  # noqa: S608 - names of our own
    f" WHERE CASE WHEN c.relkind = 'v' AND c.oid >= {_FIRST_OWN}"
    f" THEN {_speaks('pg_catalog.pg_get_viewdef(c.oid)', _USER)} END)"
    " OR EXISTS (SELECT FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_language l ON l.oid = p.prolang"
    f" WHERE CASE WHEN p.oid < {_FIRST_OWN} OR p.prokind = 'a'"  # a CASE is evaluated in its order
    " OR p.prorettype IN ('pg_catalog.trigger'::regtype, 'pg_catalog.event_trigger'::regtype) THEN false"
    f" WHEN l.lanname = 'c' THEN p.provolatile <> 'i' AND {_REACHED}"
    f" ELSE {_speaks('pg_catalog.pg_get_functiondef(p.oid)', _USER_OR_SHOW)}"
    f" AND ({_REACHED} OR NOT {_OF_EXTENSION}) END))::text"
)
_KNOWN_MAX: Final = 256
_known: dict[str, bool] = {}


def goes_by_session(code: str, ask: Callable[[str], Any]) -> bool:
    """Whether there is code that may; `code` is the value of CODE, `ask` gives the one value of a query."""
    found = _known.get(code)
    if found is None:
        if len(_known) >= _KNOWN_MAX:
            _known.clear()
        found = _known[code] = ask(_QUESTION) != "false"
    return found
