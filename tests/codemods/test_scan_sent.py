"""What a site sends: names in its query and payload, the loops around it, further endpoints of a conditional URL."""

import pytest

SENT = {
    "a query in the URL and one beside it": (
        'requests.get("https://a.example.com/x?page=1", params={"size": 2})',
        ("page", "size"),
        (),
    ),
    "a body": ('requests.post("https://a.example.com/x", json={"b": 1, "a": 2})', (), ("a", "b")),
    "a body with more in it": ('requests.post("https://a.example.com/x", json={"a": 1, **more})', (), ("*", "a")),
    "a body written as text": (
        'requests.post("https://a.example.com/x", data=json.dumps({"a": 1}))',
        (),
        ("a",),
    ),
    "a body that is no mapping": ('requests.post("https://a.example.com/x", data="text")', (), ("*",)),
    "pairs": ('requests.get("https://a.example.com/x", params=[("a", 1), ("b", 2)])', ("a", "b"), ()),
    "a mapping that is filled": ('requests.get("https://a.example.com/x", params=filled)', ("a", "b"), ()),
    "hidden keywords": ('requests.get("https://a.example.com/x", **more)', ("*",), ()),
    "an SDK's keywords": ('OpenAI().embeddings.create(model="m", input="x", timeout=3)', (), ("input", "model")),
    "a partial's keywords": ('partial(requests.post, json={"a": 1})("https://a.example.com/x")', (), ("a",)),
    "nothing": ('requests.get("https://a.example.com/x", params=None)', (), ()),
}


@pytest.mark.parametrize(("call", "query", "payload"), SENT.values(), ids=SENT.keys())
def test_the_names_of_what_is_sent_are_told(project, call, query, payload):
    source = f"""
        import json, requests
        from functools import partial
        from openai import OpenAI
        def load(more):
            filled = {{"a": 1}}
            filled["b"] = 2
            {call}
    """
    (site,) = project.scan(source).call_sites
    assert (site.query, site.payload) == (query, payload)


LOOPS = {
    "none": ("{}", 0),
    "a for": ("for n in names: {}", 1),
    "a while with a comprehension": ("while names: found = [{} for _ in names]", 2),
    "two in one comprehension": ("found = [{} for a in names for b in a]", 2),
    "what a loop goes over is evaluated once": ("for n in {}: pass", 0),
}


@pytest.mark.parametrize(("statement", "depth"), LOOPS.values(), ids=LOOPS.keys())
def test_the_loops_around_a_call_are_counted(project, statement, depth):
    written = statement.format('requests.get("https://a.example.com")')
    (site,) = project.scan(f"import requests\ndef load(names):\n    {written}\n").call_sites
    assert site.loop == depth


def test_map_is_a_loop(project):
    (site,) = project.scan("import requests\ndef load(urls):\n    return list(map(requests.get, urls))\n").call_sites
    assert site.loop == 1


ALTERNATIVES = {
    "two branches": 'url = A if flag else B\nrequests.get(url + "/x")',
    "two statements": 'if flag:\n    url = A\nelse:\n    url = B\nrequests.get(f"{url}/x")',
    "a table": 'requests.get({"a": A, "b": B}[flag] + "/x")',
    "a loop over texts": 'for url in (A, B):\n    requests.get(f"{url}/x")',
    "a default": 'requests.get((flag.url or A) + "/x") if flag else requests.get(B + "/x")',
    "two clients": 'client = httpx.Client(base_url=A) if flag else httpx.Client(base_url=B)\nclient.get("/x")',
}


@pytest.mark.parametrize("source", ALTERNATIVES.values(), ids=ALTERNATIVES.keys())
def test_a_conditional_url_has_every_endpoint_it_may_be(project, source):
    start = 'import httpx, requests\nA = "https://a.example.com"\nB = "https://b.example.com"\n'
    sites = project.scan(start + source).call_sites
    endpoints = [endpoint for site in sites for endpoint in (site.endpoint, *site.alternatives)]
    assert endpoints == ["GET a.example.com/x", "GET b.example.com/x"]


ENVIRONMENT = {
    "a look-up": ('os.environ["API_URL"] + "/x"', ("GET {API_URL}/x",)),
    "a look-up without default": ('os.getenv("API_URL") + "/x"', ("GET {API_URL}/x",)),
    "a look-up with a default": (
        'os.environ.get("API_URL", "https://a.example.com") + "/x"',
        ("GET {API_URL}/x", "GET a.example.com/x"),
    ),
    "a host": ("f\"https://{os.environ['API_HOST']}/x\"", ("GET {API_HOST}/x",)),
    "a settings module": ('settings.API_URL + "/x"', ("GET {API_URL}/x",)),
    "a number counts on": ('f"https://a.example.com/{page}"', ("GET a.example.com/{}",)),
    "a name in the path is no known text": (
        "f\"https://a.example.com/{os.environ['KEY']}\"",
        ("GET a.example.com/{KEY}",),
    ),
}


@pytest.mark.parametrize(("url", "endpoints"), ENVIRONMENT.values(), ids=ENVIRONMENT.keys())
def test_a_setting_stands_for_what_it_holds(project, url, endpoints):
    source = (
        "import os, requests\nfrom django.conf import settings\ndef load():\n    page = 1\n    while page:\n"
        f"        requests.get({url})\n        page += 1\n"
    )
    (site,) = project.scan(source).call_sites
    assert (site.endpoint, *site.alternatives) == endpoints


def test_two_sites_of_one_setting_are_duplicates_and_two_of_a_bare_hole_are_not(project):
    source = """
        import os, requests
        def load(url):
            requests.get(os.environ["API_URL"])
            requests.get(os.getenv("API_URL"))
            requests.get(url)
            requests.get(url)
    """
    (group,) = project.scan(source).duplicate_groups
    assert (group.endpoint, len(group.sites)) == ("GET {API_URL}", 2)
