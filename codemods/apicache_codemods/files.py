"""Finding a project's Python files and reading them: what cannot be read is named with its reason, the rest goes on."""

import errno
import os
import re
import stat
import tokenize
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import msgspec

from apicache.errors import InputError
from apicache_codemods.model import SkippedFile

# Folders not entered, beside hidden ones and virtual environments (those that hold a pyvenv.cfg):
EXCLUDED = {
    "__pycache__",  # compiled files
    "node_modules",  # JavaScript packages, some of which ship Python
    "site-packages",  # installed libraries
}
BUILT = {"build", "dist"}  # copies of the sources, unless the folder is itself a package
EMPTY = "empty"
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=]", re.ASCII | re.MULTILINE)


class SourceFile(msgspec.Struct, frozen=True):
    """A file that was read: `path` relative to the root with forward slashes, `absolute` likewise but absolute.

    `text` has its byte order mark removed and line feeds for every line end, as Python's tokenizer counts lines.
    """

    path: str
    absolute: str
    text: str

    @property
    def lines(self) -> int:
        """How many lines the file has; a last line without a line end counts."""
        return self.text.count("\n") + (not self.text.endswith("\n"))


class Listing(msgspec.Struct):
    """The Python files found below some paths, and what was passed over with a reason."""

    files: dict[str, str] = msgspec.field(default_factory=dict)
    """Absolute path -> path relative to the root, in the order of relative paths."""
    skipped: list[SkippedFile] = msgspec.field(default_factory=list)


def find_files(paths: Sequence[Path], root: Path) -> Listing:
    """The `.py` files below `paths`, named relative to `root`. A file given by name is taken whatever its suffix.

    Links to directories are not followed: their targets are scanned where they lie, or given by name.
    Raises InputError for a path that does not exist.
    """
    walk = _Walk(root)
    for path in paths:
        walk.take(path)
    walk.follow_links()
    found = dict(sorted(walk.found.items(), key=lambda item: item[1]))
    return Listing(found, sorted(walk.skipped, key=lambda skipped: (skipped.path, skipped.reason)))


class _Walk:
    """Strings, not Path objects: on ten thousand files those cost more than reading them."""

    def __init__(self, root: Path) -> None:
        self.root = os.path.abspath(root)  # noqa: PTH100 - as above
        self.found: dict[str, str] = {}
        self.skipped: dict[SkippedFile, None] = {}
        self.real: dict[str, str] = {}
        self.links: list[str] = []

    def relative(self, path: str) -> str:
        inside = f"{self.root}{os.sep}"
        named = path.removeprefix(inside) if path.startswith(inside) else os.path.relpath(path, self.root)
        return named.replace(os.sep, "/")

    def skip(self, path: str, reason: str) -> None:
        self.skipped[SkippedFile(path=self.relative(path), reason=reason)] = None

    def take(self, path: Path) -> None:
        absolute = os.path.normpath(os.path.join(self.root, path))  # noqa: PTH118 - as above
        try:
            mode = os.stat(absolute).st_mode  # noqa: PTH116 - as above
        except OSError as error:
            if not os.path.lexists(absolute):
                raise InputError(
                    f"no such file or directory: {path} (looked in {self.root}); give a file or folder that exists"
                ) from error
            self.skip(absolute, _reason(error))
            return
        if not stat.S_ISDIR(mode):
            self.add(absolute, os.path.realpath(absolute))
            return
        before = len(self.found) + len(self.skipped) + len(self.links)
        self.directory(absolute)
        if len(self.found) + len(self.skipped) + len(self.links) == before:
            self.skip(absolute, "no Python files")

    def directory(self, top: str) -> None:
        real_top = os.path.realpath(top)
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    listed = list(entries)
            except OSError as error:
                self.skip(folder, _reason(error))
                continue
            for entry in listed:
                if entry.name.startswith("."):
                    continue
                if entry.is_symlink():
                    self.links.append(entry.path)
                elif entry.is_dir():
                    if not _excluded(entry):
                        waiting.append(entry.path)
                elif entry.name.endswith(".py"):
                    self.add(entry.path, f"{real_top}{entry.path[len(top) :]}")

    def follow_links(self) -> None:
        """Add the files that symbolic links lead to, unless they were found where they lie; name the other links."""
        for path in sorted(self.links):
            real = os.path.realpath(path)
            try:
                mode = os.stat(path).st_mode  # noqa: PTH116 - as above
            except OSError as error:
                if path.endswith(".py") or error.errno == errno.ELOOP:
                    self.skip(path, _reason(error))
                continue
            if not stat.S_ISDIR(mode):
                if path.endswith(".py"):
                    self.add(path, real)
            elif f"{os.path.realpath(os.path.dirname(path))}{os.sep}".startswith(f"{real}{os.sep}"):  # noqa: PTH120
                self.skip(path, "symbolic link loop: it points to a folder that holds it")
            else:
                self.skip(path, "symbolic link to a folder: not followed; give its target as a path to scan it")

    def add(self, path: str, real: str) -> None:
        known = self.real.setdefault(real, path)
        if known == path:
            self.found[path.replace(os.sep, "/")] = self.relative(path)
        else:
            self.skip(path, f"same file as {self.relative(known)}")


def read_file(absolute: str, path: str) -> SourceFile | SkippedFile:
    """Read and decode one file, honouring a byte order mark and a PEP 263 coding cookie."""
    try:
        data = open_file(absolute)
    except OSError as error:
        return SkippedFile(path=path, reason=_reason(error))
    if data is None:
        return SkippedFile(path=path, reason="not a regular file")
    if not data.strip():
        return SkippedFile(path=path, reason=EMPTY)
    try:
        text = _decode(data)
    except (SyntaxError, LookupError, UnicodeDecodeError) as error:
        return SkippedFile(path=path, reason=f"cannot be decoded: {error}")
    return SourceFile(path=path, absolute=absolute, text=text)


def open_file(absolute: str) -> bytes | None:
    """A file's bytes; None for what is no regular file and might never end, such as a pipe."""
    if not stat.S_ISREG(os.stat(absolute).st_mode):  # noqa: PTH116 - strings, as above
        return None
    with open(absolute, "rb") as stream:  # noqa: PTH123 - as above
        return stream.read()


def _decode(data: bytes) -> str:
    encoding = "utf-8-sig"
    if _COOKIE.search(data, 0, data.find(b"\n", data.find(b"\n") + 1) + 1 or len(data)):
        encoding = tokenize.detect_encoding(BytesIO(data).readline)[0]
    text = data.decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _excluded(entry: os.DirEntry[str]) -> bool:
    if entry.name in EXCLUDED:
        return True
    if entry.name in BUILT:
        return not os.path.lexists(f"{entry.path}/__init__.py")
    return os.path.lexists(f"{entry.path}/pyvenv.cfg")


def _reason(error: OSError) -> str:
    if error.errno == errno.ELOOP:
        return "symbolic link loop"
    if isinstance(error, PermissionError):
        return "no permission"
    return (error.strerror or type(error).__name__).lower()
