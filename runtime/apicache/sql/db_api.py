"""What the database adapters share: stored rows, where a database lies, which parameters can be compared."""

import datetime as dt
import decimal
import os
import uuid
import weakref
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from apicache.adapter import Snapshot
from apicache.errors import UnidentifiableError, UnstorableError

_PLAIN: Final = frozenset(
    {type(None), bool, int, float, str, bytes, decimal.Decimal, uuid.UUID, dt.date, dt.time, dt.datetime, dt.timedelta}
)
"""Types of parameters whose content says all; a subclass may be adapted in its own way."""
_LOCAL_HOSTS: Final = frozenset({"", "localhost", "::1"})


_loaded: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()
"""What was fetched, by the result that stands for it: a cursor is read once, so it is not read to be stored."""


def hand_over(result: Any, data: dict[str, Any]) -> Any:
    """The result, whose `snapshot_of` is `data`."""
    _loaded[result] = data
    return result


def snapshot_of(result: Any) -> Snapshot:
    """The snapshot of a result that was handed over; raises UnstorableError for one that the library made itself."""
    data = _loaded.pop(result, None)
    if data is None:
        raise UnstorableError(f"a {type(result).__name__} whose rows are still in the database")
    return plain_snapshot(data)


_loaded_all: weakref.WeakKeyDictionary[Any, tuple[dict[str, Any], list[weakref.ref[Any]]]] = weakref.WeakKeyDictionary()
"""The same for lists, which have no weak references: by their first item, with all of their items."""


def hand_over_all(results: list[Any], data: dict[str, Any]) -> list[Any]:
    """The list, whose `snapshot_of_all` is `data` for as long as its items are the same."""
    if results:
        _loaded_all[results[0]] = (data, [weakref.ref(result) for result in results])
    return results


def snapshot_of_all(results: list[Any]) -> Snapshot:
    """The snapshot of a list that was handed over; raises UnstorableError for one that was put together otherwise."""
    data, items = _loaded_all.pop(results[0], (None, []))
    if data is None or [item() for item in items] != results:
        raise UnstorableError(f"a list of {type(results[0]).__name__} whose rows are still in the database")
    return plain_snapshot(data)


def plain_snapshot(data: dict[str, Any]) -> Snapshot:
    """The snapshot of rows: nothing in them says how long they hold."""
    return Snapshot(data=data, refusal=None, lifetime=None)


def stored(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> dict[str, Any]:
    """Rows in the form that is stored."""
    return {"content": {"columns": list(columns), "rows": [list(row) for row in rows]}}


def columns_of(data: Mapping[str, Any]) -> list[str]:
    """The columns' names of stored rows."""
    return list(data["content"]["columns"])


def rows_of(data: Mapping[str, Any]) -> list[list[Any]]:
    """The rows of stored rows."""
    return list(data["content"]["rows"])


def machine() -> str:
    """The name of this machine: files and local sockets of that name are other ones elsewhere."""
    return os.uname().nodename if hasattr(os, "uname") else os.environ.get("COMPUTERNAME", "")


def place_of(host: str | None) -> list[str]:
    """What identifies a database server's host for processes on other machines as well."""
    name = (host or "").lower()
    is_local = name in _LOCAL_HOSTS or name.startswith(("127.", "/", "@"))
    return [name, machine() if is_local else ""]


def file_of(path: str | os.PathLike[str]) -> list[Any]:
    """What identifies a database file: a file that takes another's place is another database.

    Raises UnidentifiableError for one that does not exist.
    """
    real = os.path.realpath(path)  # no pathlib here, as in `identity`
    try:
        status = os.stat(real)  # noqa: PTH116 - same
    except OSError:
        raise UnidentifiableError("its database file cannot be found") from None
    return [machine(), real, status.st_dev, status.st_ino]


def check_values(given: Any) -> None:
    """Refuse parameters whose content does not say all; raises UnidentifiableError naming the type."""
    if isinstance(given, Mapping):
        check_values(list(given.values()))
    elif type(given) in {list, tuple}:
        for value in given:
            check_values(value)
    elif type(given) not in _PLAIN:
        raise UnidentifiableError(f"it is given a {type(given).__name__}, which its driver may send in its own way")


def texts_in(given: Any) -> list[str]:
    """The texts among parameters, at any depth."""
    if isinstance(given, str):
        return [given]
    if isinstance(given, Mapping):
        return texts_in(list(given.values()))
    if isinstance(given, Sequence) and not isinstance(given, bytes):
        return [text for value in given for text in texts_in(value)]
    return []
