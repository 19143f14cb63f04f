"""What the database adapters share: stored rows, where a database lies, which parameters can be compared."""

import datetime as dt
import decimal
import os
import uuid
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from apicache.adapter import Loaded, Snapshot
from apicache.errors import UnidentifiableError, UnstorableError
from apicache.sql.file_births import birth_of

_PLAIN: Final = frozenset(
    {type(None), bool, int, float, str, bytes, decimal.Decimal, uuid.UUID, dt.date, dt.time, dt.datetime, dt.timedelta}
)
"""Types of parameters whose content says all; a subclass may be adapted in its own way."""
BY_FUNCTION: Final = "a parameter's value is given by a function, which may give another one each time"
_LOCAL_HOSTS: Final = frozenset({"", "localhost", "::1"})


def plain_snapshot(data: dict[str, Any]) -> Snapshot:
    """The snapshot of rows: nothing in them says how long they hold."""
    return Snapshot(data=data, refusal=None, lifetime=None)


def refused(result: Any, library: str, reason: str) -> Loaded:
    """A result that is not stored, for the reason."""
    return Loaded(result=result, library=library, snapshot=Snapshot(data=None, refusal=reason, lifetime=None))


def loaded(result: Any, library: str, data: dict[str, Any]) -> Loaded:
    """A result whose stored form is at hand: it is read once, so it is not read to be stored."""
    return Loaded(result=result, library=library, snapshot=plain_snapshot(data))


def check_unread(result: Any) -> None:
    """Refuse a result that was not loaded through the cache itself; raises UnstorableError."""
    raise UnstorableError(f"a {type(result).__name__} whose rows are still in the database")


def copied(given: Any) -> Any:
    """Parameters that their caller may change before the call is made."""
    if isinstance(given, Mapping):
        return {key: copied(value) for key, value in given.items()}
    return type(given)(map(copied, given)) if type(given) in {list, tuple} else given


def private(owner: Any, name: str) -> Any:
    """An attribute that has no public reader; raises UnidentifiableError where this version has no such one."""
    try:
        return getattr(owner, name)
    except AttributeError:
        library = type(owner).__module__.partition(".")[0]
        raise UnidentifiableError(f"this version of {library} has no {type(owner).__name__}.{name}") from None


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
    return [machine(), real, status.st_dev, status.st_ino, *birth_of(real, status)]


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
