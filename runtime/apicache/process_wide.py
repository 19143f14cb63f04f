"""The process-wide cache and its functions, as `import apicache` offers them."""

from apicache.cache import UnifiedAPICache
from apicache.errors import ApicacheError, InputError, LoadTimeoutError
from apicache.event_loops import per_event_loop
from apicache.hooks import CacheEvent
from apicache.warming import WarmOutcome

_cache = UnifiedAPICache()
cached = _cache.cached
cached_api_call = _cache.cached_api_call
cached_api_call_sync = _cache.cached_api_call_sync
cached_api_calls = _cache.cached_api_calls
expire = _cache.expire
get_stats = _cache.get_stats
invalidate = _cache.invalidate
operation = _cache.operation
using = _cache.using
warm_cache = _cache.warm_cache

__all__ = [
    "ApicacheError",
    "CacheEvent",
    "InputError",
    "LoadTimeoutError",
    "UnifiedAPICache",
    "WarmOutcome",
    "cached",
    "cached_api_call",
    "cached_api_call_sync",
    "cached_api_calls",
    "expire",
    "get_stats",
    "invalidate",
    "operation",
    "per_event_loop",
    "using",
    "warm_cache",
]
