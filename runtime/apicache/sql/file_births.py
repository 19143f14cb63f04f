"""When a file was made: what tells a file from one that had its place, and its inode, before.

`os.stat` does not say it on Linux; statx(2) does, https://man7.org/linux/man-pages/man2/statx.2.html. The file is never
opened here: closing it would end the locks that SQLite holds on it in this process (https://sqlite.org/howtocorrupt.html).
"""

import ctypes
import os
import struct
import sys
from typing import Any, Final

_HERE: Final = -100
"""AT_FDCWD."""
_BIRTH: Final = 0x800
"""STATX_BTIME, in the mask that says what was told."""
_MASK: Final = struct.Struct("=I")
_TIME: Final = struct.Struct("=qI")
_TIME_OFFSET: Final = 80
_SIZE: Final = 256
_C: Final = ctypes.CDLL(None) if sys.platform == "linux" else None


def birth_of(path: str, status: os.stat_result) -> list[Any]:
    """What two files of one inode differ in.

    Where the file system does not tell when a file was made, it is the time and size of its latest change: then the
    file is another one after each change.
    """
    made = getattr(status, "st_birthtime", None)
    told = _birth_on_linux(path) if made is None else [made]
    if told is None and sys.platform == "win32":
        told = [status.st_ctime_ns]
    return ["changed", status.st_ctime_ns, status.st_mtime_ns, status.st_size] if told is None else ["made", *told]


def _birth_on_linux(path: str) -> list[int] | None:
    """Seconds and nanoseconds; None where they are not told."""
    if _C is None or not hasattr(_C, "statx"):
        return None
    found = ctypes.create_string_buffer(_SIZE)
    if _C.statx(_HERE, os.fsencode(path), 0, _BIRTH, found) != 0 or not _MASK.unpack_from(found)[0] & _BIRTH:
        return None
    return list(_TIME.unpack_from(found, _TIME_OFFSET))
