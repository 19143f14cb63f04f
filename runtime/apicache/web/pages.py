"""What a cache shows over the web, for any framework: the dashboard page, its statistics, metrics for Prometheus."""

import base64
import functools
import hashlib
import json
import re
from pathlib import Path
from typing import Final, Literal, NamedTuple

from apicache.cache import UnifiedAPICache
from apicache.errors import InputError
from apicache.integrations import StatsSource
from apicache.web.stats import stats_document
from apicache.web.token import WebToken

PageName = Literal["", "stats", "metrics"]
"""The dashboard itself, and what there is beside it."""

_TEXT: Final = "text/plain; charset=utf-8"
_ALWAYS: Final = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}
_INLINE: Final = re.compile(rb"<(style|script)>(.*?)</\1>", re.DOTALL)
_NO_TOKEN: Final = b'data-token="none"'


class WebAnswer(NamedTuple):
    """What a framework is to answer."""

    status: int
    headers: dict[str, str]
    body: bytes


class CachePages:
    """The pages of a cache, else of the process-wide one.

    `token`, else the variable APICACHE_WEB_TOKEN, guards statistics and metrics; the page itself holds no figures and
    asks for it. `cost_per_call` is as in `stats_document`. Raises InputError for a token that no header can carry.
    Answering may set the cache's tiers up, on its first use: call it outside the event loop.
    """

    def __init__(
        self, cache: StatsSource | None = None, *, token: str | None = None, cost_per_call: float = 0.0
    ) -> None:
        self._cache = cache
        self._token = WebToken(token)
        self._cost_per_call = cost_per_call

    def answer(self, name: str, authorization: str | None = None, accept: str | None = None) -> WebAnswer:
        """Answer a request for a page with its Authorization and Accept headers: 200, 401, 404, or 501."""
        if name == "":
            return self._page()
        if name not in {"stats", "metrics"}:
            return _answer(404, f"there is no page {name!r}; known: stats, metrics\n")
        if not self._token.admits(authorization):
            refused = _answer(401, "a token is needed, as Authorization: Bearer ...\n")
            return refused._replace(headers={**refused.headers, "WWW-Authenticate": 'Bearer realm="apicache"'})
        return self._stats() if name == "stats" else self._metrics(accept or "")

    def _page(self) -> WebAnswer:
        page, policy = _dashboard()
        if self._token.is_required:
            page = page.replace(_NO_TOKEN, b'data-token="required"', 1)
        answer = _answer(200, page, "text/html; charset=utf-8")
        return answer._replace(headers={**answer.headers, "Content-Security-Policy": policy})

    def _stats(self) -> WebAnswer:
        document = stats_document(self._source().get_stats(), self._cost_per_call)
        return _answer(200, json.dumps(document, default=str), "application/json")

    def _metrics(self, accept: str) -> WebAnswer:
        try:
            from apicache.web.prometheus_collector import exposition  # noqa: PLC0415 - its library is optional
        except ImportError as error:
            return _answer(501, f"{error}\n")
        text, content_type = exposition(self._source(), accept)
        return _answer(200, text, content_type)

    def _source(self) -> StatsSource:
        return UnifiedAPICache() if self._cache is None else self._cache


def places(path: str, metrics: str | None) -> dict[str, PageName]:
    """Which page is at which path: the dashboard at `path`, what belongs to it below, metrics at theirs unless None.

    Raises InputError for a path that no framework would route.
    """
    for name, given in (("path", path), ("metrics", metrics)):
        if given is not None and not (given.startswith("/") and (given == "/" or not given.endswith("/"))):
            raise InputError(f"{name}={given!r} is no path; write one as {'/' + given.strip('/')!r}")
    below: dict[str, PageName] = {path: "", f"{path.rstrip('/')}/stats": "stats"}
    if metrics in below:
        raise InputError(f"metrics={metrics!r} is where the dashboard is; give another path, or None")
    return below if metrics is None else {**below, metrics: "metrics"}


def _answer(status: int, body: bytes | str, content_type: str = _TEXT) -> WebAnswer:
    content = body.encode("utf-8", "backslashreplace") if isinstance(body, str) else body
    return WebAnswer(status, {"Content-Type": content_type, **_ALWAYS}, content)


@functools.cache
def _dashboard() -> tuple[bytes, str]:
    """The page, and a policy that lets its own style and script run and nothing else.

    https://www.w3.org/TR/CSP3/, https://www.w3.org/TR/trusted-types/.
    """
    page = Path(__file__).with_name("dashboard.html").read_bytes().replace(b"\r\n", b"\n")  # as browsers hash it
    allowed = {name.decode(): _hash(content) for name, content in _INLINE.findall(page)}
    policy = (
        "default-src 'none'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; "
        f"frame-ancestors 'none'; style-src {allowed['style']}; script-src {allowed['script']}; "
        "require-trusted-types-for 'script'; trusted-types 'none'"
    )
    return page, policy


def _hash(content: bytes) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content).digest()).decode()}'"
