"""The errors apicache raises itself; what a wrapped call raises passes through untouched."""

from collections.abc import Iterable


class ApicacheError(Exception):
    """Base of every error that apicache raises."""


class InputError(ApicacheError, ValueError):
    """What the user gave is not usable: the message says what was given, what is known, what to type next."""


class ParameterError(InputError, TypeError):
    """An operation does not take the parameters that it was given; a TypeError, as of the function called itself."""


class UnencodableError(ApicacheError):
    """A value that the type-tagged encoding cannot carry; the message names its place and type, never its content."""


class UnidentifiableError(ApicacheError):
    """A call that cannot be told apart from others with certainty, so it must not share an answer."""


class UnstorableError(ApicacheError):
    """A result that cannot be stored and replayed faithfully."""


class LoadTimeoutError(ApicacheError, TimeoutError):
    """A load that took longer than its policy's `hard_timeout`, with no entry that could be served in its place."""


def did_you_mean(given: str, known: Iterable[str]) -> str:
    """A phrase for an error message: the close names, else the known ones; empty when there are none."""
    import difflib  # noqa: PLC0415 - for error messages only; `import apicache` does not pay for it

    names = sorted(known)
    close = difflib.get_close_matches(given, names, n=3)
    if close:
        return "did you mean " + " or ".join(repr(name) for name in close) + "?"
    return "known: " + ", ".join(names) if names else ""
