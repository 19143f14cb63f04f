"""Finding a project's Python files and reading them: what cannot be read is named with its reason, the rest goes on."""

import errno
import os
import re
import stat
import tokenize
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path

from apicache.errors import InputError
from apicache_codemods.model import SkippedFile

EXCLUDED = {
    "__pycache__",  # compiled files
    "node_modules",  # JavaScript packages, some of which ship Python
    "site-packages",  # installed libraries
}
BUILT = {"build", "dist"}  # copies of the sources, unless the folder is itself a package
_LOOP = errno.ELOOP
_COOKIE = re.compile(rb"^[ \t\f]*#.*?coding[:=]", re.ASCII | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file that was read: `path` relative to the root with forward slashes, `absolute` likewise but absolute.

    `text` has its byte order mark removed and line feeds for every line end, as Python's tokenizer counts lines.
    """

    path: str
    absolute: str
    text: str = field(repr=False)

    @property
    def lines(self) -> int:
        """How many lines the file has; a last line without a line end counts."""
        return self.text.count("\n") + (not self.text.endswith("\n"))


@dataclass(slots=True)
class Listing:
    """The Python files found below some paths, and what was passed over with a reason."""

    files: dict[str, str] = field(default_factory=dict)
    """Absolute path -> path relative to the root, in the order of relative paths."""
    skipped: list[SkippedFile] = field(default_factory=list)


def find_files(paths: Sequence[Path], root: Path) -> Listing:
    """The `.py` files below `paths`, named relative to `root`. A file given by name is taken whatever its suffix.

    Links to directories are not followed: their targets are scanned where they lie, or given by name.
    Raises InputError for a path that does not exist.
    """
    walk = _Walk(root)
    for path in paths:
        walk.take(path)
    found = dict(sorted(walk.found.items(), key=lambda item: item[1]))
    return Listing(found, sorted(walk.skipped, key=lambda skipped: (skipped.path, skipped.reason)))


class _Walk:
    def __init__(self, root: Path) -> None:
        self.root = root.absolute()
        self.found: dict[str, str] = {}
        self.skipped: list[SkippedFile] = []
        self.real: dict[str, str] = {}

    def relative(self, path: str) -> str:
        return Path(os.path.relpath(path, self.root)).as_posix()

    def skip(self, path: str, reason: str) -> None:
        skipped = SkippedFile(path=self.relative(path), reason=reason)
        if skipped not in self.skipped:
            self.skipped.append(skipped)

    def take(self, path: Path) -> None:
        absolute = os.path.normpath(self.root / path)
        try:
            mode = Path(absolute).stat().st_mode
        except OSError as error:
            if not os.path.lexists(absolute):
                raise InputError(
                    f"no such file or directory: {path} (looked in {self.root}); give a file or folder that exists"
                ) from error
            self.skip(absolute, _reason(error))
            return
        if not stat.S_ISDIR(mode):
            self.add(absolute)
            return
        before = len(self.found) + len(self.skipped)
        self.directory(absolute)
        if len(self.found) + len(self.skipped) == before:
            self.skip(absolute, "no Python files")

    def directory(self, top: str) -> None:
        waiting = [top]
        while waiting:
            folder = waiting.pop()
            try:
                with os.scandir(folder) as entries:
                    listed = sorted(entries, key=lambda entry: entry.name)
            except OSError as error:
                self.skip(folder, _reason(error))
                continue
            waiting.extend(self.sort_out(listed))

    def sort_out(self, entries: Sequence[os.DirEntry[str]]) -> Iterator[str]:
        """Add a folder's files; gives its subfolders that are to be entered."""
        for entry in entries:
            path = Path(entry.path).as_posix()
            if entry.is_symlink() and not entry.name.startswith("."):
                self.link(path)
            elif entry.is_dir(follow_symlinks=False):
                if not _excluded(entry):
                    yield path
            elif entry.name.endswith(".py"):
                self.add(path)

    def link(self, path: str) -> None:
        """A symbolic link: one to a file is read, one to a directory or to nowhere is named."""
        try:
            mode = Path(path).stat().st_mode
        except OSError as error:
            if path.endswith(".py") or error.errno == _LOOP:
                self.skip(path, _reason(error))
            return
        if not stat.S_ISDIR(mode):
            if path.endswith(".py"):
                self.add(path)
        elif Path(os.path.realpath(path)) in Path(os.path.realpath(Path(path).parent)).parents or os.path.realpath(
            path
        ) == os.path.realpath(Path(path).parent):
            self.skip(path, "symbolic link loop: it points to a folder that holds it")
        else:
            self.skip(path, "symbolic link to a folder: not followed; give its target as a path to scan it")

    def add(self, path: str) -> None:
        path = Path(path).as_posix()
        real = os.path.realpath(path)
        known = self.real.setdefault(real, path)
        if known == path:
            self.found[path] = self.relative(path)
        else:
            self.skip(path, f"same file as {self.relative(known)}")


def read_file(absolute: str, path: str) -> SourceFile | SkippedFile:
    """Read and decode one file, honouring a byte order mark and a PEP 263 coding cookie."""
    try:
        if not stat.S_ISREG(os.stat(absolute).st_mode):  # noqa: PTH116 - one call per file; Path costs more than stat
            return SkippedFile(path=path, reason="not a regular file")
        with open(absolute, "rb") as stream:  # noqa: PTH123 - same
            data = stream.read()
    except OSError as error:
        return SkippedFile(path=path, reason=_reason(error))
    if not data.strip():
        return SkippedFile(path=path, reason="empty")
    try:
        text = _decode(data)
    except (SyntaxError, LookupError, UnicodeDecodeError) as error:
        return SkippedFile(path=path, reason=f"cannot be decoded: {error}")
    return SourceFile(path=path, absolute=absolute, text=text)


def _decode(data: bytes) -> str:
    encoding = "utf-8-sig"
    if _COOKIE.search(data, 0, data.find(b"\n", data.find(b"\n") + 1) + 1 or len(data)):
        encoding = tokenize.detect_encoding(BytesIO(data).readline)[0]
    text = data.decode(encoding)
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def _excluded(entry: os.DirEntry[str]) -> bool:
    name = entry.name
    if name.startswith(".") or name in EXCLUDED:
        return True
    if name in BUILT:
        return not Path(entry.path, "__init__.py").exists()
    return Path(entry.path, "pyvenv.cfg").exists()


def _reason(error: OSError) -> str:
    if error.errno == _LOOP:
        return "symbolic link loop"
    if isinstance(error, PermissionError):
        return "no permission"
    return (error.strerror or type(error).__name__).lower()
