"""Starlette: the cache's dashboard, statistics and metrics as routes, warming at the start. https://www.starlette.io/routing/."""

from collections.abc import Callable

from apicache.integrations import StatsSource
from apicache.web.pages import CachePages, PageName, places
from apicache.web.warming import warming

try:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import BaseRoute, Route
except ImportError as error:
    raise ImportError(
        f"the Starlette integration needs starlette ({error}); type: pip install 'apicache-toolkit[starlette]'"
    ) from error

__all__ = ["cache_app", "cache_routes", "warming"]


def cache_routes(
    cache: StatsSource | None = None,
    *,
    path: str = "/cache",
    metrics: str | None = "/metrics",
    token: str | None = None,
    cost_per_call: float = 0.0,
) -> list[BaseRoute]:
    """Routes of a cache, else of the process-wide one: the dashboard, its statistics below (`/cache/stats`), metrics.

    `metrics` is None for none; without prometheus-client they are answered with 501. `token`, else the variable
    APICACHE_WEB_TOKEN, guards statistics and metrics. `cost_per_call`, in US dollars, is for operations that tell no
    cost. Raises InputError for a path or token that is none.
    """
    pages = CachePages(cache, token=token, cost_per_call=cost_per_call)
    return [
        Route(place, _endpoint(pages, name), name=f"apicache-{name or 'dashboard'}", include_in_schema=False)
        for place, name in places(path, metrics).items()
    ]


def cache_app(cache: StatsSource | None = None, *, token: str | None = None, cost_per_call: float = 0.0) -> Starlette:
    """The same as an application of its own, to mount.

    `app.mount("/cache", cache_app())` serves `/cache/`, `/cache/stats` and `/cache/metrics`.
    """
    return Starlette(routes=cache_routes(cache, path="/", token=token, cost_per_call=cost_per_call))


def _endpoint(pages: CachePages, name: PageName) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:  # sync: Starlette runs it in a thread
        given = pages.answer(name, request.headers.get("authorization"), request.headers.get("accept"))
        return Response(given.body, given.status, given.headers)

    return answer
