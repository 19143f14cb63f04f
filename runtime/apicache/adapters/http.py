"""The adapter of the standard library's `http.client.HTTPResponse`, which `urllib.request` returns.

It identifies no calls; https://docs.python.org/3/library/http.client.html.
"""

from collections.abc import Callable, Mapping
from typing import Any

from apicache.adapter import Identified
from apicache.http import client_responses as http_client_responses

snapshot = http_client_responses.snapshot
replay = http_client_responses.replay
not_modified = http_client_responses.not_modified
renewed = http_client_responses.renewed


def identify(function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Identified | None:  # noqa: ARG001 - the adapter's shape
    """None: a connection's request and response are two calls, neither of which is a whole one."""
    return None
