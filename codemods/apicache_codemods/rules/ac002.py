"""AC002: a call that only reads is made anew each time."""

import re
from collections.abc import Iterator

from apicache_codemods.rule import Context, Documentation, Hit, Rule

_TEST = re.compile(r"(?:^|/)(?:tests?/|test_[^/]*\.py$|[^/]*_test\.py$|conftest\.py$)")
_STREAMING = frozenset({"stream"})


def check(context: Context) -> Iterator[Hit]:
    """One hit at each cacheable call site that apicache does not answer; tests and streams are passed over."""
    for resolved in context.sites:
        site = resolved.site
        streams = any(keyword.arg in _STREAMING for keyword in resolved.node.keywords)
        if site.cacheable and not site.cached and not streams and not _TEST.search(site.path):
            what = site.sql or site.endpoint or f"{site.method} through {site.call}"
            yield context.at(resolved, f"cacheable call not cached: {what} is known to only read")


RULE = Rule(
    code="AC002",
    name="cacheable-call-not-cached",
    summary="a call that only reads, made anew each time",
    severity="note",
    documentation=Documentation(
        why="A GET, a SELECT, a completion or an embedding changes nothing upstream, so an answer may serve again. "
        "Uncached, each run waits and pays for it. Whether a stale answer is acceptable is yours to say, by the ttl.",
        bad="""
def rates():
    return requests.get("https://api.example.com/rates").json()
""",
        good="""
def rates():
    return cached_api_call_sync(requests.get, "https://api.example.com/rates").json()
""",
        fix="Wrap it in `cached_api_call`, or run `apicache migrate`.",
    ),
    check=check,
    invalid=(
        """
        import requests
        def rates():
            return requests.get("https://api.example.com/rates").json()  # here
        """,
        """
        from openai import OpenAI
        client = OpenAI()
        def ask(prompt):
            return client.chat.completions.create(  # here
                model="gpt-5-mini", messages=[{"role": "user", "content": prompt}]
            )
        """,
    ),
    valid=(
        """
        import requests
        def order(item):
            return requests.post("https://api.example.com/orders", json={"item": item})
        """,
        """
        import requests
        def token():
            return requests.get("https://api.example.com/oauth/token")
        """,
        """
        import requests
        from apicache import cached
        @cached(prefix="rates", ttl="1h")
        def rates():
            return requests.get("https://api.example.com/rates").json()
        """,
        """
        import requests
        def download(name):
            return requests.get(f"https://files.example.com/{name}", stream=True)
        """,
        {"tests/test_rates.py": 'import requests\nrequests.get("https://api.example.com/rates")\n'},
    ),
)
