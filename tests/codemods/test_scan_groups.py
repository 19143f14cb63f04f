"""Duplicate groups, operation names, findings: what sites of one endpoint share."""

import pytest

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


def test_one_finding_a_group_names_every_place(project):
    report = project.scan(RAW_AND_SDK)
    (finding,) = report.findings
    assert (finding.rule, finding.path, finding.line) == ("AC001", "old.py", 3)
    assert "POST api.openai.com/v1/chat/completions is called from 3 places" in finding.message
    assert "raw.py:5, sdk.py:4" in finding.message


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
