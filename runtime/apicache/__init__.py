"""One trustworthy cache in front of a code base's external API calls.

The functions below act on the process-wide cache, `UnifiedAPICache()`.
"""

from apicache.cache import UnifiedAPICache
from apicache.errors import ApicacheError, InputError
from apicache.event_loops import per_event_loop
from apicache.warming import WarmOutcome

_process_wide = UnifiedAPICache()
cached = _process_wide.cached
cached_api_call = _process_wide.cached_api_call
cached_api_call_sync = _process_wide.cached_api_call_sync
operation = _process_wide.operation
get_stats = _process_wide.get_stats
using = _process_wide.using
warm_cache = _process_wide.warm_cache

__all__ = [
    "ApicacheError",
    "InputError",
    "UnifiedAPICache",
    "WarmOutcome",
    "cached",
    "cached_api_call",
    "cached_api_call_sync",
    "get_stats",
    "operation",
    "per_event_loop",
    "using",
    "warm_cache",
]
