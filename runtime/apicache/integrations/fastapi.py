"""FastAPI: the cache's dashboard, statistics and metrics as a router, warming at the start.

https://fastapi.tiangolo.com/reference/apirouter/.
"""

from collections.abc import Callable

from apicache.integrations import StatsSource
from apicache.web.pages import CachePages, PageName, places
from apicache.web.warming import warming

try:
    from fastapi import APIRouter, Request, Response
except ImportError as error:
    raise ImportError(
        f"the FastAPI integration needs fastapi ({error}); type: pip install 'apicache-toolkit[fastapi]'"
    ) from error

__all__ = ["cache_router", "warming"]


def cache_router(
    cache: StatsSource | None = None,
    *,
    path: str = "/cache",
    metrics: str | None = "/metrics",
    token: str | None = None,
    cost_per_call: float = 0.0,
) -> APIRouter:
    """A router of a cache, else of the process-wide one: the dashboard, its statistics below (`/cache/stats`), metrics.

    `metrics` is None for none; without prometheus-client they are answered with 501. `token`, else the variable
    APICACHE_WEB_TOKEN, guards statistics and metrics; dependencies of `app.include_router` hold for all three.
    `cost_per_call`, in US dollars, is for operations that tell no cost. Raises InputError for a path or token that is
    none.
    """
    pages = CachePages(cache, token=token, cost_per_call=cost_per_call)
    router = APIRouter(tags=["cache"])
    for place, name in places(path, metrics).items():
        # No `Route` of Starlette's: FastAPI's dependencies would pass it by.
        router.add_api_route(
            place,
            _endpoint(pages, name),
            methods=["GET", "HEAD"],
            name=f"apicache-{name or 'dashboard'}",
            response_class=Response,
            include_in_schema=False,
        )
    return router


def _endpoint(pages: CachePages, name: PageName) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:  # sync: FastAPI runs it in a thread
        given = pages.answer(name, request.headers.get("authorization"), request.headers.get("accept"))
        return Response(given.body, given.status, given.headers)

    return answer
