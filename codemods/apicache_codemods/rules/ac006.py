"""AC006: a home-made cache around a call that only grows and never forgets."""

from collections.abc import Iterator

from apicache_codemods.analysis import ResolvedSite
from apicache_codemods.home_caches import has_no_bound, home_caches, is_unbounded, memoised, takes_parameters, varies
from apicache_codemods.requests_made import Function
from apicache_codemods.rule import Context, Documentation, Hit, Rule


def check(context: Context) -> Iterator[Hit]:
    """One hit at each call whose answers a plain dictionary keeps, or `functools.cache` or `lru_cache(maxsize=None)`.

    A dictionary that its module empties, measures or replaces is none; nor one with a single key, nor a memoised
    function without parameters.
    """
    for function in context.functions.all:
        for cache in home_caches(function):
            if varies(cache) and is_unbounded(cache):
                yield _hit(
                    function, cache.resolved, f"{cache.written} keeps every answer of {cache.resolved.site.call}"
                )
        decorator = memoised(function, context.analysis)
        if decorator is not None and has_no_bound(decorator) and takes_parameters(function):
            for made in function.made:
                if made.site is not None:
                    yield _hit(function, made.site, f"{function.name} keeps every answer of {made.site.site.call}")


def _hit(function: Function, resolved: ResolvedSite, what: str) -> Hit:
    return Hit(
        function.module, resolved.node, function.name, f"unbounded home-made cache: {what} until the process ends"
    )


RULE = Rule(
    code="AC006",
    name="unbounded-cache",
    summary="a home-made cache around a call that only grows",
    severity="warning",
    documentation=Documentation(
        why="A dictionary around a call keeps every answer until the process ends: memory grows with the keys, answers "
        "never become stale, two threads load the same key twice, and no other process profits.",
        bad="""
_cache = {}

def user(number):
    if number in _cache:
        return _cache[number]
    _cache[number] = requests.get(f"https://api.example.com/users/{number}").json()
    return _cache[number]
""",
        good="""
@cached(prefix="user", ttl="10m")
def user(number):
    return requests.get(f"https://api.example.com/users/{number}").json()
""",
        fix="Replace it by `@cached(prefix=..., ttl=...)`, which is bounded and forgets.",
    ),
    check=check,
    invalid=(
        """
        import requests
        _cache = {}
        def user(number):
            if number in _cache:
                return _cache[number]
            _cache[number] = requests.get(f"https://api.example.com/users/{number}").json()  # here
            return _cache[number]
        """,
        """
        import httpx
        class Api:
            def __init__(self):
                self.http = httpx.AsyncClient()
                self._users: dict[int, dict] = {}
            async def user(self, number):
                try:
                    return self._users[number]
                except KeyError:
                    response = await self.http.get(f"https://api.example.com/users/{number}")  # here
                    self._users[number] = response.json()
                    return self._users[number]
        """,
        """
        from functools import lru_cache
        import requests
        @lru_cache(maxsize=None)
        def user(number):
            return requests.get(f"https://api.example.com/users/{number}").json()  # here
        """,
        """
        import functools
        import requests
        @functools.cache
        def user(number):
            return requests.get(f"https://api.example.com/users/{number}").json()  # here
        """,
    ),
    valid=(
        """
        import requests
        _cache = {}
        def user(number):
            if number in _cache:
                return _cache[number]
            if len(_cache) > 100:
                _cache.clear()
            _cache[number] = requests.get(f"https://api.example.com/users/{number}").json()
            return _cache[number]
        """,
        """
        import requests
        from cachetools import TTLCache
        _cache = TTLCache(100, 60)
        def user(number):
            if number not in _cache:
                _cache[number] = requests.get(f"https://api.example.com/users/{number}").json()
            return _cache[number]
        """,
        """
        from functools import lru_cache
        import requests
        @lru_cache
        def user(number):
            return requests.get(f"https://api.example.com/users/{number}").json()
        """,
        """
        import functools
        import requests
        @functools.cache
        def settings():
            return requests.get("https://api.example.com/settings").json()
        """,
        """
        import requests
        def users(numbers):
            found = {}
            for number in numbers:
                if number not in found:
                    found[number] = requests.get(f"https://api.example.com/users/{number}").json()
            return found
        """,
        """
        import requests
        RESULTS = {}
        def record(number):
            RESULTS[number] = requests.get(f"https://api.example.com/users/{number}").json()
        """,
        """
        import requests
        from anyio import cache
        @cache
        def user(number):
            return requests.get(f"https://api.example.com/users/{number}").json()
        """,
    ),
)
