"""The process-wide cache and its functions, as `import apicache` offers them."""

import importlib
from typing import TYPE_CHECKING, Any

from apicache.cache import UnifiedAPICache
from apicache.errors import ApicacheError, InputError, LoadTimeoutError
from apicache.event_loops import per_event_loop
from apicache.hooks import CacheEvent
from apicache.warming import WarmOutcome

if TYPE_CHECKING:
    from apicache.batching.results import BatchResultError
    from apicache.chain.failures import AllProvidersFailedError
    from apicache.chain.routing import PROVIDER_CHAIN, APIProvider
    from apicache.provider import ProviderError
    from apicache.sql.queries import cached_db_query, cached_db_query_sync, use_database
else:
    _PLACES = {
        "BatchResultError": "batching.results",
        "cached_db_query": "sql.queries",
        "cached_db_query_sync": "sql.queries",
        "use_database": "sql.queries",
        "AllProvidersFailedError": "chain.failures",
        "ProviderError": "provider",
        "PROVIDER_CHAIN": "chain.routing",
        "APIProvider": "chain.routing",
    }

    def __getattr__(name: str) -> Any:
        """What only some applications ask for is loaded when they do."""
        if name not in _PLACES:
            raise AttributeError(name)
        return getattr(importlib.import_module(f"apicache.{_PLACES[name]}"), name)


_cache = UnifiedAPICache()
batched = _cache.batched
cached = _cache.cached
cached_api_call = _cache.cached_api_call
cached_api_call_sync = _cache.cached_api_call_sync
cached_api_calls = _cache.cached_api_calls
cached_api_calls_sync = _cache.cached_api_calls_sync
cached_stream = _cache.cached_stream
cached_stream_sync = _cache.cached_stream_sync
expire = _cache.expire
get_stats = _cache.get_stats
invalidate = _cache.invalidate
operation = _cache.operation
using = _cache.using
warm_cache = _cache.warm_cache

__all__ = [
    "PROVIDER_CHAIN",
    "APIProvider",
    "AllProvidersFailedError",
    "ApicacheError",
    "BatchResultError",
    "CacheEvent",
    "InputError",
    "LoadTimeoutError",
    "ProviderError",
    "UnifiedAPICache",
    "WarmOutcome",
    "batched",
    "cached",
    "cached_api_call",
    "cached_api_call_sync",
    "cached_api_calls",
    "cached_api_calls_sync",
    "cached_db_query",
    "cached_db_query_sync",
    "cached_stream",
    "cached_stream_sync",
    "expire",
    "get_stats",
    "invalidate",
    "operation",
    "per_event_loop",
    "use_database",
    "using",
    "warm_cache",
]
