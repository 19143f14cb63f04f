"""The journal of a run: which calls have begun and which have ended, so that a later run goes on where this one ended.

One line of JSON for each, written before the call and after it, in a file that only its owner may read. It survives the
process, not the machine. A call that has begun and not ended may have been paid for: it is not made again unasked.
"""

import hashlib
import os
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Final, Literal, Self

import msgspec

from apicache.errors import InputError

_FOLDER: Final = "warming"
_encoder = msgspec.json.Encoder()


class Line(msgspec.Struct, frozen=True, omit_defaults=True):
    """What happened to a key: `begun`, or how its call ended."""

    key: str
    state: Literal["begun", "warmed", "failed"]
    cost: float = 0.0


_decode = msgspec.json.Decoder(Line).decode


class Journal:
    """One run's journal; entered for as long as the run takes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file: int | None = None
        self._ended: dict[str, Line] = {}
        self._begun: set[str] = set()

    @classmethod
    def of(cls, directory: Path, files: Iterable[Path]) -> Self:
        """The journal of runs over these files as they are now; one of changed files is another one."""
        digest = hashlib.sha256()
        for file in files:
            digest.update(file.resolve().as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
        return cls(directory / _FOLDER / f"{digest.hexdigest()[:32]}.jsonl")

    @property
    def is_resumed(self) -> bool:
        """Whether an earlier run over the same files did not come to its end."""
        return bool(self._ended or self._begun)

    def ended(self, key: str) -> Line | None:
        """How the key's call ended in the run that this one goes on with; None when it did not."""
        return self._ended.get(key)

    def is_uncertain(self, key: str) -> bool:
        """Whether the key's call had begun when that run ended: it may have been paid for."""
        return key in self._begun

    def begin(self, key: str) -> None:
        """Write down that the key's call is about to be made."""
        self._write(Line(key, "begun"))

    def end(self, key: str, state: Literal["warmed", "failed"], cost: float) -> None:
        """Write down how the key's call ended, and what it did cost in US dollars."""
        self._write(Line(key, state, cost))

    def discard(self) -> None:
        """Forget the run: it has come to its end, or is to be made anew."""
        self._ended, self._begun = {}, set()
        self._close()
        self.path.unlink(missing_ok=True)

    def _close(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def read(self) -> None:
        """Read what an earlier run left."""
        written = self.path.read_bytes() if self.path.is_file() else b""
        for line in written.splitlines():
            self._take(line)

    def __enter__(self) -> Self:
        """Read what an earlier run left, and open the file; raises InputError when it cannot be written."""
        try:
            self.read()
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            (self.path.parent / ".gitignore").write_text("*\n")
            self._file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
            if os.fstat(self._file).st_size:
                os.write(self._file, b"\n")  # ends a line that was cut short
        except OSError as error:
            raise InputError(
                f"the journal {self.path} cannot be written: {error.strerror or error}; "
                "set APICACHE_DIR to a folder that can be"
            ) from error
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the file; it stays."""
        self._close()

    def _take(self, written: bytes) -> None:
        try:
            line = _decode(written)
        except msgspec.MsgspecError:  # cut short by the end of the process that wrote it
            return
        if line.state == "begun":
            self._begun.add(line.key)
        else:
            self._begun.discard(line.key)
            self._ended[line.key] = line

    def _write(self, line: Line) -> None:
        if self._file is not None:
            os.write(self._file, _encoder.encode(line) + b"\n")
