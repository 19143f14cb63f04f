"""Duplicate groups, operation names, findings: what sites of one endpoint share."""

import pytest
from msgspec import structs

from apicache_codemods.analysis import analyse
from apicache_codemods.call_structures import structures
from apicache_codemods.estimates import estimate
from apicache_codemods.model import Adoption, CallSite
from apicache_codemods.near_duplicates import near_duplicates
from apicache_codemods.operation_names import distinct, suggested

RAW_AND_SDK = {
    "raw.py": """
        import httpx
        client = httpx.AsyncClient()
        async def get_completion(prompt: str):
            response = await client.post(
                "https://api.openai.com/v1/chat/completions",
                json={"prompt": prompt}
            )
            return response.json()
    """,
    "sdk.py": """
        from openai import OpenAI
        def ask(text):
            return OpenAI().chat.completions.create(model="m", messages=[])
    """,
    "old.py": """
        import requests
        requests.post("https://api.openai.com:443/v1/chat/completions?x=1", json={})
        requests.get("https://api.example.com/users")
    """,
}


def test_calls_of_one_endpoint_are_a_group_whatever_library_makes_them(project):
    report = project.scan(RAW_AND_SDK)
    (group,) = report.duplicate_groups
    assert group.id == "G1"
    assert group.endpoint == "POST api.openai.com/v1/chat/completions"
    assert group.operation == "completion"
    assert group.sites == (("old.py", 3), ("raw.py", 5), ("sdk.py", 4))
    assert [(site.path, site.group, site.operation) for site in report.call_sites] == [
        ("old.py", "G1", "completion"),
        ("old.py", None, "get_users"),
        ("raw.py", "G1", "completion"),
        ("sdk.py", "G1", "completion"),
    ]


def test_the_facts_of_a_site_are_those_of_its_source(project):
    report = project.scan(RAW_AND_SDK)
    site = next(site for site in report.call_sites if site.path == "raw.py")
    assert (site.line, site.column, site.end_line, site.end_column) == (5, 21, 8, 5)
    assert (site.function, site.library, site.kind, site.call) == ("get_completion", "httpx", "llm", "client.post")
    assert (site.is_async, site.method, site.client_origin) == (True, "POST", "raw.py:3")
    old = next(site for site in report.call_sites if site.path == "old.py")
    assert (old.function, old.library, old.is_async, old.client_origin) == (None, "requests", False, "requests")


def test_each_place_of_a_group_has_a_finding_that_names_the_others(project):
    report = project.scan(RAW_AND_SDK)
    findings = [finding for finding in report.findings if finding.rule == "AC001"]
    assert [(finding.path, finding.line) for finding in findings] == [("old.py", 3), ("raw.py", 5), ("sdk.py", 4)]
    assert "POST api.openai.com/v1/chat/completions is called from 3 places" in findings[0].message
    assert "raw.py:5, sdk.py:4" in findings[0].message


def test_groups_are_numbered_by_size_then_endpoint(project):
    calls = ["b"] * 2 + ["a"] * 2 + ["c"] * 3
    source = "import requests\n" + "".join(f"requests.get('https://x.example.com/{name}')\n" for name in calls)
    groups = project.scan(source).duplicate_groups
    assert [(group.id, group.endpoint, len(group.sites)) for group in groups] == [
        ("G1", "GET x.example.com/c", 3),
        ("G2", "GET x.example.com/a", 2),
        ("G3", "GET x.example.com/b", 2),
    ]


@pytest.mark.parametrize(
    "url",
    ["url", "f'https://x.example.com/{path}'", "f'{base}/{path}'", "f'https://{host}/{path}'"],
)
def test_coincidence_makes_no_group(project, url):
    source = f"import requests\ndef load(url, base, host, path):\n    requests.get({url})\n    requests.get({url})\n"
    assert project.scan(source).duplicate_groups == ()


def test_different_methods_are_different_endpoints(project):
    source = "import requests\nU = 'https://x.example.com/a'\nrequests.get(U)\nrequests.put(U)\n"
    assert project.scan(source).duplicate_groups == ()


def test_two_calls_on_one_line_are_two_sites(project):
    source = "import requests\nU = 'https://x.example.com/a'\nboth = requests.get(U), requests.get(U)\n"
    report = project.scan(source)
    assert [(site.line, site.column) for site in report.call_sites] == [(3, 7), (3, 24)]
    assert report.duplicate_groups[0].sites == (("app.py", 3), ("app.py", 3))


def test_two_scans_give_the_same_report(project):
    first = project.scan(RAW_AND_SDK)
    second = project.scan(RAW_AND_SDK)
    assert (first.call_sites, first.duplicate_groups, first.findings) == (
        second.call_sites,
        second.duplicate_groups,
        second.findings,
    )


@pytest.mark.parametrize(
    ("endpoint", "name"),
    [
        ("GET api.example.com/users", "get_users"),
        ("GET api.example.com/v1/users/{}", "get_users_by_id"),
        ("POST api.example.com/api/v2/users/{}/orders", "post_users_orders"),
        ("DELETE {}/user-groups/", "delete_user_groups"),
        ("GET api.example.com/getUserName", "get_get_user_name"),
        ("GET www.example.com", "get_example"),
        ("GET api.example.com/v1", "get_example"),
        ("GET api.example.com/x/list.json", "get_x_list_json"),
        ("HEAD {}/class", "head_class"),
        ("GET api.example.com/{}", None),
        ("{} api.example.com/users", None),
        ("GET api.example.com/ünï", "get_n"),
    ],
)
def test_an_operations_name_is_the_verb_and_the_last_static_parts(endpoint, name):
    assert suggested(endpoint) == name
    assert name is None or name.isidentifier()


def test_endpoints_that_ask_for_one_name_get_different_ones():
    ranked = [
        ("POST api.openai.com/v1/chat/completions", "completion"),
        ("POST api.anthropic.com/v1/messages", "completion"),
        ("POST {}/v1/chat/completions", "completion"),
        ("POST {}/chat/completions", "completion"),
        ("GET {}/{}", None),
    ]
    assert list(distinct(ranked).values()) == [
        "completion",
        "anthropic_completion",
        "completion_2",
        "completion_3",
        None,
    ]


def test_the_endpoint_with_the_most_sites_keeps_the_plain_name(project):
    source = """
        import requests
        requests.post("https://api.anthropic.com/v1/messages")
        requests.post("https://api.openai.com/v1/chat/completions")
        requests.post("https://api.openai.com/v1/chat/completions")
    """
    operations = {site.endpoint: site.operation for site in project.scan(source).call_sites}
    assert operations == {
        "POST api.openai.com/v1/chat/completions": "completion",
        "POST api.anthropic.com/v1/messages": "anthropic_completion",
    }


def _site(**facts) -> CallSite:
    plain = {
        "path": "app.py",
        "line": 1,
        "column": 0,
        "end_line": 1,
        "end_column": 9,
        "function": None,
        "library": "requests",
        "kind": "http",
        "call": "requests.get",
        "is_async": False,
        "method": "GET",
        "endpoint": "GET api.example.com/users",
        "client_origin": None,
        "operation": None,
        "group": None,
        "cacheable": True,
    }
    return CallSite(**{**plain, **facts})


def test_an_estimate_counts_sites_and_loops_and_says_what_it_assumes():
    saved = estimate([_site(), _site(loop=1)])
    assert saved.calls == pytest.approx((1_000 + 10_000) * 0.9)
    assert saved.usd is None
    assert (
        "2 uncached call sites make 11,000 calls in 1,000 runs, 1 of them in a loop (10 rounds assumed)" in saved.basis
    )
    assert "90% assumed to repeat" in saved.basis


@pytest.mark.parametrize(
    ("facts", "share"),
    [
        ({}, 0.9),
        ({"query": ("q",)}, 0.5),
        ({"endpoint": "GET api.example.com/users/{}"}, 0.5),
        ({"payload": ("q",)}, 0.3),
    ],
)
def test_what_varies_is_assumed_to_repeat_less(facts, share):
    assert estimate([_site(**facts), _site(**facts)]).calls == pytest.approx(2_000 * share)


def test_an_llm_call_is_priced_by_its_model_and_the_basis_has_the_price():
    llm = {"kind": "llm", "method": "POST", "endpoint": "POST api.openai.com/v1/chat/completions"}
    known = estimate([_site(**llm, model="gpt-4o")])
    assert known.usd == pytest.approx(300 * (1_000 * 2.5 + 300 * 10) / 1_000_000)
    assert (
        "priced as gpt-4o at $2.5 and $10 a million tokens, 1,000 tokens in and 300 out a call assumed" in known.basis
    )
    unknown = estimate([_site(**llm, model="our-own")])
    assert unknown.usd is not None
    assert "model or price not known, priced as gpt-5-mini" in unknown.basis


def test_what_is_cached_or_may_write_saves_nothing_and_says_so():
    cached = estimate([_site(cached=True)])
    assert (cached.calls, cached.usd) == (0, None)
    assert "every call is cached already" in cached.basis
    assert "not known to only read" in estimate([_site(cacheable=False)]).basis


def test_groups_are_ranked_by_what_caching_them_would_save(project):
    source = """
        import requests
        from openai import OpenAI
        client = OpenAI()
        for _ in range(3):
            requests.post("https://x.example.com/orders")
            requests.post("https://x.example.com/orders")
            requests.post("https://x.example.com/orders")
        requests.get("https://x.example.com/a")
        requests.get("https://x.example.com/a")
        client.chat.completions.create(model="gpt-4o", messages=[])
        client.chat.completions.create(model="gpt-4o", messages=[])
    """
    groups = project.scan(source).duplicate_groups
    assert [group.endpoint for group in groups] == [
        "POST api.openai.com/v1/chat/completions",
        "GET x.example.com/a",
        "POST x.example.com/orders",
    ]
    assert [group.estimate.calls for group in groups] == [600, 1_800, 0]


def test_the_model_of_a_call_is_followed_through_constants_and_payloads(project):
    source = """
        import requests
        from openai import OpenAI
        MODEL = "gpt-4o-mini"
        def ask(name):
            OpenAI().chat.completions.create(model=MODEL, messages=[])
            body = {"model": MODEL, "messages": []}
            requests.post("https://api.openai.com/v1/chat/completions", json=body)
            OpenAI().chat.completions.create(model=name, messages=[])
            requests.get("https://api.example.com/models", params={"model": MODEL})
    """
    assert [site.model for site in project.scan(source).call_sites] == ["gpt-4o-mini", "gpt-4o-mini", None, None]


def _near(*sites: CallSite, structures=None):
    placed = [_numbered(site, line) for line, site in enumerate(sites, start=1)]
    return [(each.sites, each.differs) for each in near_duplicates(placed, structures or {})]


def _numbered(site: CallSite, line: int) -> CallSite:
    return structs.replace(site, line=line)


def test_one_endpoint_with_other_names_sent_is_a_near_duplicate_that_says_which():
    found = _near(_site(group="G1", query=("a",)), _site(group="G1", query=("a", "b")), _site(group="G1", query=("a",)))
    assert found == [((("app.py", 1), ("app.py", 2), ("app.py", 3)), "query name 'b' only at app.py:2")]


def test_names_that_are_not_known_differ_from_nothing():
    assert _near(_site(group="G1", query=("*", "a")), _site(group="G1", query=("a",))) == []
    assert _near(_site(group="G1", query=("a",)), _site(group="G1", query=("a",))) == []


def test_a_path_on_a_host_that_is_not_known_is_near_to_the_one_known_host():
    known, unknown = _site(), _site(endpoint="GET {}/users")
    ((places, differs),) = _near(known, unknown)
    assert places == (("app.py", 1), ("app.py", 2))
    assert differs == "the host is api.example.com or not known: not known at app.py:2"
    assert _near(known, unknown, _site(endpoint="GET b.example.com/users")) == []
    assert _near(known, _site(endpoint="GET {}/orders")) == []
    assert _near(unknown, unknown) == []


UNKNOWN = """
import requests
class Api:
    def one(self, name):
        return requests.post({first}, json={{"name": name, "kind": "a"}}, timeout=3)
    def two(self, label):
        return requests.post({second}, json={{"name": label, "kind": "b"}}, timeout=9)
"""


def _same_structures(project, first: str, second: str):
    project.write(UNKNOWN.format(first=first, second=second))
    resolved = [
        structs.replace(each, site=structs.replace(each.site, payload=("kind", "name")))
        for each in analyse([project.root], project.root).sites
    ]
    return near_duplicates([each.site for each in resolved], structures(resolved))


def test_the_same_call_of_an_unknown_endpoint_is_a_near_duplicate(project):
    (near,) = _same_structures(project, "self.url()", "self.url()")
    assert (near.id, near.endpoints) == ("N1", ("?",))
    assert near.sites == (("app.py", 5), ("app.py", 7))
    assert "not known" in near.differs


@pytest.mark.parametrize(
    ("first", "second"), [("self.url()", "self.other()"), ("'https://a.example.com/x'", "'https://b.example.com/y'")]
)
def test_calls_of_other_urls_are_not_near(project, first, second):
    assert _same_structures(project, first, second) == ()


@pytest.mark.parametrize("arguments", ["url", "url, timeout=3", "url, headers=headers", "url, **options", "*url"])
def test_everyday_calls_of_unknown_endpoints_are_coincidence(project, arguments):
    call = f"requests.get({arguments})"
    source = f"import requests\ndef load(url, headers, options):\n    {call}\n    {call}\n"
    assert project.scan(source).near_duplicates == ()


def test_adoption_is_how_many_of_the_cacheable_calls_are_cached(project):
    source = """
        import requests
        from app.operations import api_cache
        @api_cache.operation("users")
        def users():
            return requests.get("https://api.example.com/users")
        def orders():
            requests.get("https://api.example.com/orders")
            requests.post("https://api.example.com/orders")
            requests.get("https://api.example.com/oauth/token")
    """
    report = project.scan(source)
    assert report.adoption == Adoption(cacheable=2, cached=1)
    assert [site.cacheable for site in report.call_sites] == [True, True, False, False]


@pytest.mark.parametrize(
    "call",
    [
        "cached_api_call_sync(requests.get, URL)",
        "api_cache.using(ttl=60).cached_api_call_sync(requests.get, URL)",
        "cached_api_call_sync(lambda: requests.get(URL))",
        "cached_api_call_sync(partial(requests.get, URL))",
    ],
)
def test_what_cached_api_call_wraps_is_a_cached_site(project, call):
    source = f"""
        import requests
        from functools import partial
        from apicache import api_cache, cached_api_call_sync
        URL = "https://api.example.com/users"
        def users():
            return {call}
    """
    (site,) = project.scan(source).call_sites
    assert (site.endpoint, site.cached) == ("GET api.example.com/users", True)


def test_what_is_called_before_it_is_handed_to_cached_api_call_is_not_cached(project):
    source = """
        import requests
        from apicache import cached_api_call_sync
        def users():
            return cached_api_call_sync(show, requests.get("https://api.example.com/users"))
    """
    assert [site.cached for site in project.scan(source).call_sites] == [False]


def test_a_decorator_of_another_library_caches_nothing(project):
    source = """
        import requests
        from strawberry import operation
        @operation("users")
        def users():
            return requests.get("https://api.example.com/users")
    """
    assert [site.cached for site in project.scan(source).call_sites] == [False]


def test_statements_are_named_by_their_table(project):
    source = """
        import sqlite3
        connection = sqlite3.connect("x.db")
        connection.execute("SELECT * FROM users WHERE id = ?", (1,))
        connection.execute("SELECT * FROM users WHERE id = ?", (2,))
        connection.execute("SELECT name FROM users")
        connection.execute("UPDATE users SET name = ?", ("x",))
    """
    report = project.scan(source)
    names = [(site.operation, site.cacheable, site.group) for site in report.call_sites]
    assert names == [
        ("select_users", True, "G1"),
        ("select_users", True, "G1"),
        ("select_users_2", True, None),
        (None, False, None),
    ]


def test_loops_around_a_call_are_counted_inside_its_function(project):
    source = """
        import requests
        URL = "https://api.example.com/users"
        requests.get(URL)
        for _ in range(3):
            requests.get(URL)
            while True:
                requests.get(URL)
            def inner():
                requests.get(URL)
        else:
            requests.get(URL)
        found = [requests.get(URL) for _ in range(3) for _ in range(3)]
        first = [each for each in requests.get(URL).json()]
    """
    assert [site.loop for site in project.scan(source).call_sites] == [0, 1, 2, 0, 0, 2, 0]
