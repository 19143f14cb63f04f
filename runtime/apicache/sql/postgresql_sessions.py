"""What of a PostgreSQL session changes the answers to a query, asked of the server or read off its driver.

A role and a search_path are asked for in one statement. What is set under a name of the application's own
(`SET app.tenant`) no server lists. What a query shows may go by it where there is row-level security, or code that
speaks of the session (`apicache.sql.session_code`): such databases need a scope.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from apicache import identity
from apicache.errors import UnidentifiableError
from apicache.sql.session_code import CODE, goes_by_session
from apicache.sql.statements import Read

_SETTINGS: Final = (
    "search_path",
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
    "bytea_output",
    "extra_float_digits",
    "lc_monetary",
    "lc_numeric",
    "lc_time",
    "client_encoding",
    "default_text_search_config",
    "row_security",
    "xmlbinary",
    "xmloption",
    "array_nulls",
    "backslash_quote",
    "standard_conforming_strings",
    "transform_null_equals",
)
_ROW_SECURITY: Final = "EXISTS (SELECT FROM pg_catalog.pg_policy)::text"
"""Whether what a table shows may go by a setting: without a policy it shows all, or nothing."""
_TEMPORARY: Final = "(pg_catalog.pg_my_temp_schema() <> 0)::text"
"""Whether the session has, or has had, temporary tables."""
_LISTENS: Final = "EXISTS (SELECT FROM pg_catalog.pg_listening_channels())::text"
_TRUE: Final = "true"

ROLE_CHANGED: Final = f"SELECT current_user::text, session_user::text, NULL, {_TEMPORARY}, 'false', NULL"
"""What `change_in` tells of where a pool resets every setting before another caller has the connection."""
CHANGED: Final = (
    "SELECT current_user::text, session_user::text,"  # noqa: S608 - names of our own
    " (SELECT pg_catalog.string_agg(name, ', ' ORDER BY name) FROM pg_catalog.pg_settings"
    f" WHERE setting IS DISTINCT FROM reset_val AND name IN ({', '.join(map(repr, _SETTINGS))})),"
    f" {_TEMPORARY}, {_ROW_SECURITY}, {CODE}"
)
"""The same where it does not: asked of the connection that has just answered for a pool."""
STATE: Final = (
    "SELECT current_database()::text, current_user::text, session_user::text,"  # noqa: S608 - names of our own
    f" ARRAY(SELECT current_setting(name) FROM unnest('{{{','.join(_SETTINGS)}}}'::text[]) AS name)::text,"
    f" current_setting('standard_conforming_strings'), {_TEMPORARY}, {_LISTENS}, {_ROW_SECURITY}, {CODE}"
)
"""What `state_in` reads: asked of a connection whose own the answers are."""

REPORTED: Final = (
    "TimeZone",
    "DateStyle",
    "IntervalStyle",
    "search_path",
    "client_encoding",
    "session_authorization",
    "is_superuser",
    "server_version",
)
"""What a server tells its clients of, unasked; search_path from version 18 on."""
UNSEEN: Final = "its connection may have a role or a tenant set, which cannot be read off"
NOT_TOLD: Final = "one of its connections does not tell what was set"
NO_LOGIN: Final = "its URL names no user"
"""Why a pool needs a scope whose driver finds out by itself as whom it logs in."""
_BY_ROW: Final = "its database has row-level security, which may go by what was set for the session"
_BY_CODE: Final = "its database has views, functions or operators that may go by what was set for the session"


def change_in(row: Sequence[Any], login: Any, ask: Callable[[str], Any]) -> str | None:
    """How a session is another one than it was opened as, by the row of `CHANGED`; None where it is not.

    `login` is the user that it was opened for; `ask` gives the one value of a query.
    """
    role, user, settings, has_temporary, has_row_security, code = row
    if user != login:
        return f"one of its connections is that of {user}, not of {login}"
    if role != user:
        return f"one of its connections has the role {role} set"
    if settings:
        return f"one of its connections has {settings} set"
    if has_temporary == _TRUE:
        return "one of its connections has temporary tables"
    return _by_what(has_row_security, code, ask)


def _by_what(has_row_security: str, code: str | None, ask: Callable[[str], Any]) -> str | None:
    if has_row_security == _TRUE:
        return _BY_ROW
    return _BY_CODE if code is not None and goes_by_session(code, ask) else None


def state_in(row: Sequence[Any], ask: Callable[[str], Any]) -> tuple[list[Any], str | None]:
    """What identifies a session, by the row of `STATE`, and why it needs a scope; None where it does not.

    `ask` gives the one value of a query. Raises UnidentifiableError for a session with temporary tables, which may
    hide others of their names, and for one that listens: who asks it for rows takes in what it was notified of.
    """
    *state, standard_texts, has_temporary, listens, has_row_security, code = row
    if has_temporary == _TRUE:
        raise UnidentifiableError("its connection has temporary tables")
    if listens == _TRUE:
        raise UnidentifiableError("its connection listens (LISTEN): it would take in its notifications at other times")
    if standard_texts != "on":
        raise UnidentifiableError("its server reads backslashes in texts (standard_conforming_strings)")
    return state, _by_what(has_row_security, code, ask)


def reported_by(read_setting: Callable[[str], Any], read: Read) -> dict[str, Any]:
    """What a driver knows of its session without asking; raises UnidentifiableError where that is not enough.

    `read_setting` gives None for what the server does not report.
    """
    if (read_setting("standard_conforming_strings") or "on") != "on":
        raise UnidentifiableError("its server reads backslashes in texts (standard_conforming_strings)")
    reported = {name: read_setting(name) for name in REPORTED}
    if reported["search_path"] is None and is_unqualified(read):
        raise UnidentifiableError(
            "its server does not report search_path; name tables with their schema, or use a pool"
        )
    return reported


def is_unqualified(read: Read) -> bool:
    """Whether a table may be found by the session's search_path, or by its database."""
    return read.tables is None or any("." not in table for table in read.tables)


_changes: dict[bytes, str] = {}
_CHANGES_MAX: Final = 1024


def note_change(settings: Mapping[str, Any], change: str) -> None:
    """Remember what was seen of a pool's connections: from now on only a scope says whose its answers are.

    Pools of equal settings share their entries, so they share this, too. What was not told says nothing of the next.
    """
    if change == NOT_TOLD:
        return
    if len(_changes) < _CHANGES_MAX:
        _changes[identity.material_of(settings)] = change


def change_of(settings: Mapping[str, Any]) -> str | None:
    """What was seen of the connections of a pool with these settings."""
    return _changes.get(identity.material_of(settings)) if _changes else None
