"""What of a MySQL or MariaDB session changes the answers to a query, asked of the server.

Reading variables begins no transaction, so it can be asked at any time. A temporary table, which may hide another of
its name, is in no list: a session that has made one is told by its own count of such statements.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from apicache.errors import UnidentifiableError

_VARIABLES: Final = (
    "sql_mode",
    "time_zone",
    "system_time_zone",
    "character_set_client",
    "character_set_results",
    "character_set_connection",
    "collation_connection",
    "group_concat_max_len",
    "div_precision_increment",
    "sql_select_limit",
    "sql_auto_is_null",
    "lc_time_names",
    "default_week_format",
    "version",
)
_STATE: Final = f"SELECT DATABASE(), CURRENT_USER(), CURRENT_ROLE(), {', '.join(f'@@{each}' for each in _VARIABLES)}"
_MADE: Final = "SHOW SESSION STATUS WHERE Variable_name IN ('Com_create_table', 'Com_create_temporary_table')"


def state_of(ask: Callable[[str], Sequence[Sequence[Any]]]) -> list[Any]:
    """What identifies a session; `ask` gives the rows of a statement.

    Raises UnidentifiableError for one that has made a table, which may be a temporary one: MySQL counts them together.
    """
    (row,) = ask(_STATE)
    counts = {str(name).lower(): int(count) for name, count in ask(_MADE)}
    made = counts.get("com_create_temporary_table", counts.get("com_create_table", 0))
    if made:
        raise UnidentifiableError("its connection has made a table, which may be a temporary one that hides another")
    return list(row)
