"""The token in front of the web pages: `Authorization: Bearer ...`. RFC 6750, section 2.1."""

import hashlib
import hmac
import os
import re
from typing import Final

from apicache.errors import InputError

VARIABLE: Final = "APICACHE_WEB_TOKEN"
_SENDABLE: Final = re.compile(r"[!-~]+")
"""Visible ASCII: what every client can put into a header as it is."""


class WebToken:
    """Knows whether a request may read. Keeps the token's digest alone, so that no dump or `repr` shows the token."""

    def __init__(self, token: str | None = None) -> None:
        """With `token`, else with what APICACHE_WEB_TOKEN holds, else open to everybody.

        Raises InputError for one that is empty (a variable that was never filled in must not open the page) or that
        no header can carry.
        """
        given, origin = (os.environ.get(VARIABLE), VARIABLE) if token is None else (token, "token=")
        self._digest = None if given is None else _digest(_checked(given, origin))

    @property
    def is_required(self) -> bool:
        """Whether there is one."""
        return self._digest is not None

    def admits(self, authorization: str | None) -> bool:
        """Whether a request with this Authorization header may read; the comparison takes the same time for all."""
        if self._digest is None:
            return True
        scheme, _, credentials = (authorization or "").partition(" ")
        return hmac.compare_digest(_digest(credentials.strip(" ")), self._digest) and scheme.lower() == "bearer"


def _checked(given: str, origin: str) -> str:
    if not given:
        raise InputError(f"{origin} is empty; give a token, or leave it out for pages that everybody may read")
    if not _SENDABLE.fullmatch(given):
        raise InputError(f"{origin} holds a space or what is not ASCII; give one of letters, digits and signs")
    return given


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
