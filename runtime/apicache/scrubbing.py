"""Other people's error texts, for a log: without what is, or may be, a credential."""

import os
import re
from typing import Final

from apicache.credentials import REDACTED, is_credential, storable_url
from apicache.errors import ApicacheError

_LENGTH_MAX: Final = 300
_VALUE_MIN: Final = 6
"""A variable's value that is shorter stands in texts by chance."""
_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s'\"<>]+", re.IGNORECASE)
_SCHEME: Final = re.compile(r"\b(bearer|basic|digest|token)\s+[^\s'\",;]+", re.IGNORECASE)
_NAMED: Final = re.compile(
    r"\b((?:[\w-]*(?:auth|key|token|secret|passw|pwd|credential|cookie|session|signature|bearer|jwt)[\w-]*"
    r"|sig|sid|pass|otp|pat))(['\"]?\s*[=:]\s*['\"]?)([^\s'\",;&?)}\]]+)",
    re.IGNORECASE,
)
"""A name that `credentials.is_credential` has for one, and its value."""
_TOKEN: Final = re.compile(
    r"\b(?:(?:sk|pk|rk|gh[opusr]|xox[a-z])[-_][\w*-]{6,}|(?=[\w.~+-]*\d)(?=[\w.~+-]*[A-Za-z])[\w.~+-]{24,})"
)
"""What begins as vendors' keys do, or is long and of letters and digits."""


def told(error: BaseException) -> str:
    """An error's class and its scrubbed text; our own errors' texts hold no credential anyway."""
    kind = type(error).__name__
    text = str(error) if isinstance(error, ApicacheError) else scrubbed(str(error))
    return f"{kind}: {text}" if text else kind


def scrubbed(text: str) -> str:
    """A text without credentials, as far as they can be recognised, cut to 300 characters.

    Gone are what URLs hold besides scheme, host and path, the values of environment variables and of `name=value` pairs
    whose names are credentials', what follows `Bearer`, and words that look like keys.
    """
    for value in _values():
        text = text.replace(value, REDACTED)
    text = _URL.sub(_cut_down, text)
    text = _SCHEME.sub(rf"\1 {REDACTED}", text)
    text = _NAMED.sub(_without_value, text)
    text = _TOKEN.sub(REDACTED, text)
    return text if len(text) <= _LENGTH_MAX else f"{text[:_LENGTH_MAX]}..."


def _values() -> list[str]:
    """What environment variables with credentials' names hold, the longest first: one may lie in another."""
    found = (value for name, value in os.environ.items() if is_credential(name))
    return sorted((value for value in found if len(value) >= _VALUE_MIN), key=len, reverse=True)


def _cut_down(url: "re.Match[str]") -> str:
    try:
        return storable_url(url[0])
    except ValueError:  # urlsplit refuses some malformed hosts
        return REDACTED


def _without_value(pair: "re.Match[str]") -> str:
    is_kind = pair[1].endswith(("Error", "Exception"))  # `KeyError: 'name'`
    return pair[0] if is_kind else f"{pair[1]}{pair[2]}{REDACTED}"
