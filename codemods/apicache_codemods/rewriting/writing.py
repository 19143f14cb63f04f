"""File changes, and the check that what they write is Python."""

import warnings

import msgspec


class FileChange(msgspec.Struct, frozen=True, kw_only=True):
    """One file's new content; `before` is None for a file that is created, `after` for one that is deleted."""

    path: str
    """Relative to the working directory, with forward slashes."""
    absolute: str
    before: bytes | None
    after: bytes | None
    mode: int | None = None
    """The permissions of a file that is created; None for the usual ones."""

    @property
    def kind(self) -> str:
        """What happens to the file, in one word."""
        return "created" if self.before is None else "deleted" if self.after is None else "modified"


def compile_error(change: FileChange) -> str | None:
    """Why the new content does not compile; None when it does. Nothing is run."""
    if change.after is None:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the code as its author wrote it
            compile(change.after, change.absolute, "exec", dont_inherit=True)
    except (SyntaxError, ValueError) as error:
        return f"{type(error).__name__}: {error}"
    return None
