"""Endpoints: what is known of method and URL, normalised."""

import pytest

from apicache_codemods.endpoints import endpoint_of, means_something
from apicache_codemods.llm_endpoints import llm_operation
from apicache_codemods.values import UNKNOWN, Text, literal

HOLE = UNKNOWN

URLS = [
    # literal URLs
    ('"https://api.example.com/users"', "GET api.example.com/users"),
    ('"https://api.example.com/users/"', "GET api.example.com/users/"),
    ('"https://api.example.com"', "GET api.example.com"),
    ('"http://API.Example.com:80/Users"', "GET api.example.com/Users"),
    ('"https://api.example.com:443/users"', "GET api.example.com/users"),
    ('"http://api.example.com:443/users"', "GET api.example.com:443/users"),
    ('"https://api.example.com:8443/users"', "GET api.example.com:8443/users"),
    ('"https://user:secret@api.example.com/users"', "GET api.example.com/users"),
    ('"https://api.example.com/users?page=1&q=a/b#top"', "GET api.example.com/users"),
    ('"https://api.example.com#top"', "GET api.example.com"),
    ('" https://api.example.com/users "', "GET api.example.com/users"),
    ('"http://[::1]:8000/users"', "GET [::1]:8000/users"),
    ('"//api.example.com/users"', "GET api.example.com/users"),
    ('"/users"', "GET {}/users"),
    ('"users"', "GET {}/users"),
    # constants
    ("URL", "GET api.example.com/v1"),
    ('URL + "/users"', "GET api.example.com/v1/users"),
    ('URL + "/" + "users" + "/all"', "GET api.example.com/v1/users/all"),
    ("Settings.USERS", "GET api.example.com/v1/users"),
    ('PATHS["users"]', "GET api.example.com/users"),
    ("PAIR[0]", "GET api.example.com/first"),
    ("Endpoint.USERS.value", "GET api.example.com/enum"),
    # f-strings
    ('f"{URL}/users"', "GET api.example.com/v1/users"),
    ('f"{URL}/users/{user_id}"', "GET api.example.com/v1/users/{}"),
    ('f"{URL}/users/{user_id}-{name}"', "GET api.example.com/v1/users/{}-{}"),
    ('f"{URL}/users/{user_id}{name}"', "GET api.example.com/v1/users/{}"),
    ('f"{URL}/users/{user_id!r}"', "GET api.example.com/v1/users/{}"),
    ('f"https://{HOST}:{PORT}/users"', "GET internal:8000/users"),
    ('f"https://{host}/users"', "GET {}/users"),
    ('f"https://{tenant}.example.com/users"', "GET {}.example.com/users"),
    ('f"http{s}://api.example.com/users"', "GET api.example.com/users"),
    ('f"{scheme}://api.example.com/users"', "GET api.example.com/users"),
    ('f"{base}/v1/chat"', "GET {}/v1/chat"),
    ('f"{base}users"', "GET {}/users"),
    ('f"{URL}/users?page={page}"', "GET api.example.com/v1/users"),
    ('f"{URL}/users{suffix}"', "GET api.example.com/v1/users{}"),
    # concatenation, formatting, trimming
    ('base + "/v1/chat"', "GET {}/v1/chat"),
    ('URL + "/users/" + str(3)', "GET api.example.com/v1/users/3"),
    ('URL + "/users/" + str(user_id)', "GET api.example.com/v1/users/{}"),
    ('"https://api.example.com/users/%s" % user_id', "GET api.example.com/users/{}"),
    ('"https://api.example.com/%s/%d" % ("users", 3)', "GET api.example.com/users/3"),
    ('"https://api.example.com/%(kind)s" % {"kind": "users"}', "GET api.example.com/users"),
    ('"https://api.example.com/100%%/%s" % user_id', "GET api.example.com/100%/{}"),
    ('"https://api.example.com/%s" % pair', "GET api.example.com/{}"),
    ('"https://api.example.com/{}/{}".format("users", user_id)', "GET api.example.com/users/{}"),
    ('"https://api.example.com/{0}/{kind}".format(user_id, kind="all")', "GET api.example.com/{}/all"),
    ('"https://api.example.com/{0.id}".format(user)', "GET api.example.com/{}"),
    ('"https://api.example.com/{id}"', "GET api.example.com/{}"),
    ('(URL + "/").rstrip("/") + "/users"', "GET api.example.com/v1/users"),
    ('base.rstrip("/") + "/users"', "GET {}/users"),
    # nothing is known
    ("url", None),
    ('f"{base}"', None),
    ('f"{base}/{path}"', None),
    ("base + path", None),
    ("make_url()", None),
    ("URLS[name]", None),
    ("3", "GET {}/3"),
    ("None", None),
]

PROGRAM = """
import enum
import requests

URL = "https://api.example.com/v1"
HOST, PORT = "internal", 8000
PATHS = {{"users": "https://api.example.com/users"}}
PAIR = ("https://api.example.com/first", "https://api.example.com/second")

class Settings:
    USERS = URL + "/users"

class Endpoint(enum.Enum):
    USERS = "https://api.example.com/enum"

def load(url, base, path, user_id, user, name, host, tenant, s, scheme, page, suffix, pair):
    return requests.get({url})
"""


@pytest.mark.parametrize(("url", "endpoint"), URLS)
def test_a_url_is_normalised_as_far_as_it_is_known(project, url, endpoint):
    report = project.scan(PROGRAM.format(url=url))
    assert [site.endpoint for site in report.call_sites] == [endpoint]


def test_a_url_may_stand_in_a_keyword(project):
    report = project.scan("import requests\nrequests.get(timeout=3, url='https://api.example.com/users')\n")
    assert [site.endpoint for site in report.call_sites] == ["GET api.example.com/users"]


@pytest.mark.parametrize("call", ["requests.get(*arguments)", "requests.get(**arguments)", "requests.get()"])
def test_a_url_that_is_unpacked_from_somewhere_is_not_known(project, call):
    (site,) = project.scan(f"import requests\n{call}\n").call_sites
    assert (site.method, site.endpoint) == ("GET", None)


METHODS = [
    ('client.request("GET", URL)', "GET", "GET api.example.com/users"),
    ('client.request("post", URL)', "POST", "POST api.example.com/users"),
    ("client.request(VERB, URL)", "PATCH", "PATCH api.example.com/users"),
    ("client.request(method, URL)", None, "{} api.example.com/users"),
    ('client.request(method="PUT", url=URL)', "PUT", "PUT api.example.com/users"),
    ("client.request(method, url)", None, None),
    ('client.stream("GET", URL)', "GET", "GET api.example.com/users"),
    ("client.delete(URL)", "DELETE", "DELETE api.example.com/users"),
    ("client.options(URL)", "OPTIONS", "OPTIONS api.example.com/users"),
]


@pytest.mark.parametrize(("call", "method", "endpoint"), METHODS)
def test_the_method_comes_from_the_attribute_or_the_first_argument(project, call, method, endpoint):
    source = f"""
        import httpx
        URL, VERB = "https://api.example.com/users", "PATCH"
        client = httpx.Client()
        def load(method, url):
            {call}
    """
    (site,) = project.scan(source).call_sites
    assert (site.method, site.endpoint) == (method, endpoint)


BASE_URLS = [
    ('base_url="https://api.example.com/v1"', '"/users"', "GET api.example.com/v1/users"),
    ('base_url="https://api.example.com/v1/"', '"users"', "GET api.example.com/v1/users"),
    ('base_url="https://api.example.com/v1/"', '"/users/"', "GET api.example.com/v1/users/"),
    ('base_url="https://api.example.com/v1"', '""', "GET api.example.com/v1/"),
    ('base_url="https://api.example.com/v1"', '"https://other.example.com/x"', "GET other.example.com/x"),
    ('base_url="https://api.example.com/v1"', "path", "GET api.example.com/v1/{}"),
    ("base_url=BASE", 'f"/users/{user_id}"', "GET api.example.com/users/{}"),
    ("base_url=unknown", '"/users"', "GET {}/users"),
    ("**options", '"/users"', "GET {}/users"),
    ("base_url=None", '"/users"', "GET {}/users"),
    ("", '"/users"', "GET {}/users"),
]


@pytest.mark.parametrize(("arguments", "url", "endpoint"), BASE_URLS)
def test_a_relative_url_is_joined_with_the_clients_base_url(project, arguments, url, endpoint):
    source = f"""
        import httpx
        BASE = "https://api.example.com"
        client = httpx.Client({arguments})
        def load(path, user_id):
            client.get({url})
    """
    assert [site.endpoint for site in project.scan(source).call_sites] == [endpoint]


SDK = [
    ("OpenAI()", "chat.completions.create", "POST api.openai.com/v1/chat/completions"),
    ('OpenAI(base_url="https://llm.example.com/v1")', "embeddings.create", "POST llm.example.com/v1/embeddings"),
    ("OpenAI(base_url=unknown)", "responses.create", "POST {}/responses"),
    ("OpenAI(base_url=None)", "completions.create", "POST api.openai.com/v1/completions"),
    ("OpenAI(**options)", "images.generate", "POST {}/images/generations"),
    (
        'AzureOpenAI(azure_endpoint="https://x.openai.azure.com")',
        "chat.completions.create",
        "POST x.openai.azure.com/openai/deployments/{}/chat/completions",
    ),
    ("AzureOpenAI()", "embeddings.create", "POST {}/openai/deployments/{}/embeddings"),
]


@pytest.mark.parametrize(("constructor", "call", "endpoint"), SDK)
def test_an_sdk_call_has_the_endpoint_of_its_client(project, constructor, call, endpoint):
    source = f"from openai import OpenAI, AzureOpenAI\nclient = {constructor}\nclient.{call}(model='m')\n"
    (site,) = project.scan(source).call_sites
    assert (site.endpoint, site.kind, site.library) == (endpoint, "llm", "openai")


def test_a_constant_of_another_module_is_followed(project):
    report = project.scan(
        {
            "pkg/__init__.py": "",
            "pkg/const.py": "BASE = 'https://api.example.com'\nUSERS = f'{BASE}/users'\n",
            "pkg/use.py": "import requests\nfrom .const import USERS\nfrom . import const\n"
            "requests.get(USERS)\nrequests.get(const.BASE + '/all')\n",
        }
    )
    endpoints = [site.endpoint for site in report.call_sites]
    assert endpoints == ["GET api.example.com/users", "GET api.example.com/all"]


def test_an_attribute_set_in_the_constructor_is_followed(project):
    source = """
        import requests
        class Service:
            path = "/users"
            def __init__(self):
                self.base = "https://api.example.com"
            def load(self):
                url = f"{self.base}{self.path}"
                return requests.get(url)
    """
    assert [site.endpoint for site in project.scan(source).call_sites] == ["GET api.example.com/users"]


def test_a_url_built_by_a_method_is_followed_with_its_arguments(project):
    source = """
        import requests
        BASE = "https://api.example.com"
        def url_of(kind, key="all"):
            return f"{BASE}/{kind}/{key}"
        requests.get(url_of("users"))
        requests.get(url_of("users", key=name))
    """
    endpoints = [site.endpoint for site in project.scan(source).call_sites]
    assert endpoints == ["GET api.example.com/users/all", "GET api.example.com/users/{}"]


def test_a_name_with_two_texts_has_alternatives_and_the_last_of_two_in_a_row_counts(project):
    source = """
        import requests
        def load(flag):
            if flag:
                path = "a"
            else:
                path = "b"
            requests.get(f"https://api.example.com/{path}")
            path = "c"
            path += "/d"
            requests.get(f"https://api.example.com/{path}")
    """
    endpoints = [site.endpoint for site in project.scan(source).call_sites]
    assert endpoints == ["GET api.example.com/a", "GET api.example.com/c/d"]


def test_two_texts_that_differ_in_what_fills_them_are_one(project):
    source = """
        import requests
        def load(secure, one, other):
            if secure:
                url = "https://" + one + "/users"
            else:
                url = "https://" + other + "/users"
            requests.get(url)
    """
    assert [site.endpoint for site in project.scan(source).call_sites] == ["GET {}/users"]


def test_a_default_is_not_taken_for_what_callers_pass(project):
    source = "import requests\ndef load(base='https://api.example.com'):\n    requests.get(f'{base}/users')\n"
    assert [site.endpoint for site in project.scan(source).call_sites] == ["GET {}/users"]


def test_a_concatenation_of_five_hundred_terms_is_read(project):
    terms = " + ".join(["'a'"] * 500)
    (site,) = project.scan(f"import requests\nrequests.get('https://x.example.com/' + {terms})\n").call_sites
    assert site.endpoint == f"GET x.example.com/{'a' * 500}"


def test_a_name_defined_by_itself_ends(project):
    source = "import requests\nurl = url + '/x'\ndef f():\n    return f()\nrequests.get(url)\nrequests.get(f())\n"
    assert [site.endpoint for site in project.scan(source).call_sites] == ["GET {}/x", None]


@pytest.mark.parametrize(
    ("endpoint", "operation"),
    [
        ("POST api.openai.com/v1/chat/completions", "completion"),
        ("POST {}/v1/chat/completions", "completion"),
        ("POST localhost:8000/v1/chat/completions", "completion"),
        ("POST {}/chat/completions", "completion"),
        ("POST api.groq.com/openai/v1/chat/completions", "completion"),
        ("POST api.mistral.ai/v1/chat/completions", "completion"),
        ("POST x.openai.azure.com/openai/deployments/{}/chat/completions", "completion"),
        ("POST api.openai.com/v1/completions", "completion"),
        ("POST api.openai.com/v1/responses", "completion"),
        ("POST api.anthropic.com/v1/messages", "completion"),
        ("POST api.cohere.com/v2/chat", "completion"),
        ("POST api.cohere.ai/v1/embed", "embedding"),
        ("POST generativelanguage.googleapis.com/v1beta/models/gemini-pro:generateContent", "completion"),
        ("POST generativelanguage.googleapis.com/v1beta/models/{}:embedContent", "embedding"),
        ("POST localhost:11434/api/generate", "completion"),
        ("POST localhost:11434/api/embeddings", "embedding"),
        ("POST api.openai.com/v1/embeddings", "embedding"),
        ("POST api.openai.com/v1/moderations", "moderation"),
        ("POST api.openai.com/v1/images/generations", "image"),
        ("POST api.openai.com/v1/audio/transcriptions", "transcription"),
        ("GET api.openai.com/v1/chat/completions", None),
        ("GET api.openai.com/v1/models", None),
        ("POST api.example.com/v1/messages", None),
        ("POST api.example.com/v1/users", None),
        ("POST api.anthropic.com/v1/messages/batches", None),
        ("POST {}/api/generate", None),
    ],
)
def test_known_llm_endpoints_name_their_operation(endpoint, operation):
    assert llm_operation(endpoint) == operation


@pytest.mark.parametrize(
    ("endpoint", "meaning"),
    [
        ("GET api.example.com/users", True),
        ("GET api.example.com", True),
        ("GET {}/users", True),
        ("GET {}/v1/{}", True),
        ("GET {}.example.com", True),
        ("GET api.example.com{}", False),
        ("GET api.example.com/{}", False),
        ("GET api.example.com/{}/{}", False),
        ("{} api.example.com/users", False),
        ("GET {}", False),
    ],
)
def test_an_endpoint_means_something_when_its_method_and_part_of_its_path_are_known(endpoint, meaning):
    assert means_something(endpoint) is meaning


@pytest.mark.parametrize(
    ("parts", "endpoint"),
    [
        ((HOLE, "://", HOLE, ":", HOLE, "/users"), "GET {}:{}/users"),
        ((HOLE, HOLE, "/users"), "GET {}/users"),
        (("https://", HOLE, ".example.com"), "GET {}.example.com"),
        (("https://",), None),
        (("https://", HOLE), None),
        (("https://", HOLE, ":", HOLE, "/", HOLE), None),
    ],
)
def test_holes_melt_and_a_url_of_holes_is_no_endpoint(parts, endpoint):
    assert endpoint_of(literal("GET"), Text(parts)) == endpoint
