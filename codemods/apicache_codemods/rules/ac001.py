"""AC001: one endpoint is called from several places, none of which shares its answers."""

from collections.abc import Iterator

from apicache_codemods.model import open_groups_among
from apicache_codemods.rule import Context, Documentation, Hit, Rule

_NAMED = 5


def check(context: Context) -> Iterator[Hit]:
    """One hit at each uncached call site of a group in which two or more are uncached."""
    groups = {group.id: group for group in open_groups_among(context.groups, [each.site for each in context.sites])}
    for resolved in context.sites:
        site = resolved.site
        group = groups.get(site.group or "")
        if group is None or site.cached:
            continue
        others = list(group.sites)
        others.remove((site.path, site.line))
        named = ", ".join(f"{path}:{line}" for path, line in others[:_NAMED])
        more = f" and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
        message = (
            f"duplicate call: {group.endpoint} is called from {len(group.sites)} places, also {named}{more} "
            f"(group {group.id}); whether their payloads repeat is not known"
        )
        yield context.at(resolved, message)


RULE = Rule(
    code="AC001",
    name="duplicate-call",
    summary="one endpoint called from several places",
    severity="warning",
    documentation=Documentation(
        why="The same endpoint is called from several places, each written anew. Every place pays for its own calls, "
        "and none profits from an answer that another has had.",
        bad="""
def price(symbol):
    return requests.get(f"https://api.example.com/prices/{symbol}").json()

def is_dear(symbol):
    return requests.get(f"https://api.example.com/prices/{symbol}").json()["price"] > 1000
""",
        good="""
@api_cache.operation("price", ttl="1m")
def load_price(symbol):
    return requests.get(f"https://api.example.com/prices/{symbol}").json()

def price(symbol):
    return api_cache.cached_api_call_sync(operation="price", symbol=symbol)
""",
        fix="Run `apicache migrate`: it makes one cached operation of the group.",
    ),
    check=check,
    invalid=(
        """
        import requests
        def one():
            return requests.get("https://api.example.com/users")  # here
        def two():
            return requests.get("https://api.example.com/users")  # here
        """,
        {
            "a.py": """
            import httpx
            def load(number):
                return httpx.get(f"https://api.example.com/users/{number}")  # here
            """,
            "b.py": """
            import requests
            def fetch(user):
                return requests.get("https://api.example.com/users/%s" % user)  # here
            """,
        },
    ),
    valid=(
        """
        import requests
        requests.get("https://api.example.com/users")
        requests.post("https://api.example.com/users")
        """,
        """
        import requests
        def load(url):
            requests.get(url)
            requests.get(url)
        """,
        """
        import requests
        from apicache import api_cache
        @api_cache.operation("users")
        def users():
            return requests.get("https://api.example.com/users")
        def others():
            return requests.get("https://api.example.com/users")
        """,
    ),
)
