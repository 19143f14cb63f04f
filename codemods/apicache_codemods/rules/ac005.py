"""AC005: two different calls share one cache key, so one gets the other's answer."""

import ast
from collections.abc import Iterator

from apicache_codemods.cache_keys import (
    changed_attributes,
    keyed_calls,
    listed,
    omitted_by_decorator,
    omitted_from,
    omitted_from_key,
)
from apicache_codemods.home_caches import home_caches, memoised
from apicache_codemods.requests_made import Function
from apicache_codemods.rule import Context, Documentation, Hit, Rule


def check(context: Context) -> Iterator[Hit]:
    """One hit at each call whose cache key is made of less than what the call is made of.

    Home-made dictionary caches, `using(key=...)`, `key=lambda ...` of a caching decorator, and `lru_cache` on a method
    whose request holds attributes that another method changes. Connections, timeouts and headers handed in are not
    counted.
    """
    for function in context.functions.all:
        yield from _in_dictionaries(function)
        yield from _in_keyed_calls(function)
        yield from _in_decorators(function, context)


def _in_dictionaries(function: Function) -> Iterator[Hit]:
    for cache in home_caches(function):
        omitted = omitted_from(cache)
        if omitted:
            key = ast.unparse(cache.key)
            yield _hit(function, cache.resolved.node, f"the key {key} of {cache.written} omits {listed(omitted)}")


def _in_keyed_calls(function: Function) -> Iterator[Hit]:
    for call, key in keyed_calls(function):
        omitted = omitted_from_key(call, key, function.flow)
        if omitted:
            yield _hit(function, call, f"key={ast.unparse(key)} omits {listed(omitted)}")


def _in_decorators(function: Function, context: Context) -> Iterator[Hit]:
    is_memoised = memoised(function, context.analysis) is not None
    for made in function.made:
        if made.site is None:
            continue
        omitted = omitted_by_decorator(function, made.site)
        changed = changed_attributes(function, made.site) if is_memoised else frozenset()
        if omitted:
            yield _hit(function, made.call, f"the key function of its decorator omits {listed(omitted)}")
        elif changed:
            yield _hit(function, made.call, f"lru_cache does not see {listed(changed, 'self.')} change")


def _hit(function: Function, call: ast.Call, what: str) -> Hit:
    return Hit(function.module, call, function.name, f"cache key omits a parameter: {what}, which the call uses")


RULE = Rule(
    code="AC005",
    name="key-omits-parameter",
    summary="a cache key that leaves out what the call depends on",
    severity="error",
    documentation=Documentation(
        why="A key that leaves out what the call depends on gives one caller another's answer. No error shows it.",
        bad="""
def rates(base, day):
    if base not in _cache:
        _cache[base] = requests.get("https://api.example.com/rates", params={"base": base, "day": day}).json()
    return _cache[base]
""",
        good="""
def rates(base, day):
    url = "https://api.example.com/rates"
    return cached_api_call_sync(requests.get, url, params={"base": base, "day": day}).json()
""",
        fix="Put it into the key, or let apicache make the key of the whole call.",
    ),
    check=check,
    invalid=(
        """
        import requests
        _cache = {}
        def rates(base, day):
            if base not in _cache:
                _cache[base] = requests.get(f"https://api.example.com/rates/{base}?day={day}").json()  # here
            return _cache[base]
        """,
        """
        import requests
        class Api:
            def __init__(self):
                self._seen = {}
            def user(self, number, language="en"):
                key = f"user:{number}"
                found = self._seen.get(key)
                if found is None:
                    url = f"https://api.example.com/users/{number}?lang={language}"
                    response = requests.get(url)  # here
                    found = self._seen[key] = response.json()
                return found
        """,
        """
        import httpx
        from apicache import api_cache
        client = httpx.AsyncClient()
        async def user(number, fields):
            await client.get("https://api.example.com/state")
            return await api_cache.using(key=f"user:{number}").cached_api_call(  # here
                client.get, f"https://api.example.com/users/{number}", params={"fields": fields}
            )
        """,
        """
        import requests
        from cachetools import TTLCache, cached
        @cached(TTLCache(100, 60), key=lambda base, day: base)
        def rates(base, day):
            return requests.get(f"https://api.example.com/rates/{base}/{day}").json()  # here
        """,
        """
        import functools
        import requests
        class Api:
            def __init__(self):
                self.region = "eu"
            def move(self, region):
                self.region = region
            @functools.lru_cache
            def user(self, number):
                return requests.get(f"https://{self.region}.example.com/users/{number}").json()  # here
        """,
    ),
    valid=(
        """
        import requests
        import os
        def set_key(name, value):
            if name not in os.environ:
                os.environ[name] = requests.get(f"https://api.example.com/keys/{value}").text
        _cache = {}
        def rates(base, day, timeout=5):
            key = (base, day)
            if key not in _cache:
                params = {"base": base, "day": day}
                _cache[key] = requests.get("https://api.example.com/rates", params=params, timeout=timeout).json()
            return _cache[key]
        """,
        """
        import requests
        def users(numbers, language):
            found = {}
            for number in numbers:
                if number not in found:
                    found[number] = requests.get(f"https://api.example.com/{language}/users/{number}").json()
            return found
        """,
        """
        import requests
        _cache = {}
        def fetch(session: requests.Session, url, headers=None):
            if url not in _cache:
                _cache[url] = session.get(url, headers=headers).text
            return _cache[url]
        """,
        """
        import functools
        import requests
        class Api:
            def __init__(self, region):
                self.region = region
            @functools.lru_cache(maxsize=100)
            def user(self, number):
                return requests.get(f"https://{self.region}.example.com/users/{number}").json()
        """,
        """
        import requests
        from apicache import api_cache
        def user(number):
            requests.get("https://api.example.com/state")
            cached = api_cache.using(key=f"user:{number}").cached_api_call_sync
            return api_cache.using(key=f"user:{number}").cached_api_call_sync(
                requests.get, f"https://api.example.com/users/{number}"
            )
        """,
        """
        import requests
        from cachetools import TTLCache, cached
        @cached(TTLCache(100, 60), key=lambda base, *rest: (base, rest))
        def rates(base, day):
            return requests.get(f"https://api.example.com/rates/{base}/{day}").json()
        """,
        """
        import requests
        _cache = {}
        def rates(base, day):
            key = make_key(base=base, day=day)
            if key in _cache:
                return _cache[key]
            _cache[key] = requests.get("https://api.example.com/rates", params={"base": base, "day": day}).json()
            return _cache[key]
        """,
    ),
)
