"""Wrapper calls: calls of the project's own functions whose arguments decide where a call site goes."""

API = """
import httpx

BASE = "https://api.example.com"

class Api:
    def __init__(self):
        self._client = httpx.Client()

    def _request(self, method, path, **options):
        return self._client.request(method, f"{BASE}{path}", **options)

    def users(self):
        return self._request("GET", "/users")

    def user(self, user_id):
        return self._request("GET", f"/users/{user_id}")
"""


def rows(report):
    return [(call.path, call.line, call.via, call.endpoint) for call in report.wrapper_calls]


def test_a_wrapper_call_gets_the_endpoint_that_its_arguments_make(project):
    report = project.scan(API)
    assert [site.endpoint for site in report.call_sites] == ["{} api.example.com{}"]
    assert rows(report) == [
        ("app.py", 14, "Api._request", "GET api.example.com/users"),
        ("app.py", 17, "Api._request", "GET api.example.com/users/{}"),
    ]


def test_a_wrapper_of_a_wrapper_is_one_too_also_across_modules(project):
    report = project.scan(
        {
            "api.py": API.lstrip("\n"),
            "use.py": "from api import Api\napi = Api()\napi.user('me')\napi.users()\n",
        }
    )
    assert ("use.py", 3, "Api.user", "GET api.example.com/users/me") in rows(report)
    assert [row for row in rows(report) if row[0] == "use.py" and row[1] == 4] == []


def test_a_wrapper_in_a_function_is_followed_by_name_import_and_keyword(project):
    report = project.scan(
        {
            "http.py": "import requests\ndef fetch(url, verb='get'):\n    return requests.request(verb, url)\n",
            "use.py": """
            import http
            from http import fetch as load
            load("https://api.example.com/a")
            load(verb="post", url="https://api.example.com/b")
            http.fetch("https://api.example.com/c")
            load(*arguments)
        """,
        }
    )
    assert rows(report) == [
        ("use.py", 4, "fetch", "GET api.example.com/a"),
        ("use.py", 5, "fetch", "POST api.example.com/b"),
        ("use.py", 6, "fetch", "GET api.example.com/c"),
        ("use.py", 7, "fetch", None),
    ]


def test_a_wrapper_call_belongs_to_the_group_of_its_endpoint(project):
    report = project.scan("""
        import requests
        def fetch(path):
            return requests.get("https://api.example.com" + path)
        requests.get("https://api.example.com/users")
        requests.get("https://api.example.com/users")
        fetch("/users")
        fetch("/other")
    """)
    assert [call.group for call in report.wrapper_calls] == ["G1", None]


def test_a_function_whose_url_is_fixed_is_no_wrapper(project):
    report = project.scan("""
        import requests
        def ask(prompt):
            return requests.post("https://api.example.com/ask", json={"prompt": prompt})
        ask("a")
    """)
    assert report.wrapper_calls == ()


def test_another_function_of_the_wrappers_name_is_none(project):
    report = project.scan("""
        import requests
        class One:
            def fetch(self, url):
                return requests.get(url)
        class Two:
            def fetch(self, url):
                return url
        def use(one: One, two: Two, three):
            one.fetch("https://api.example.com/a")
            two.fetch("https://api.example.com/b")
            three.fetch("https://api.example.com/c")
    """)
    assert [call.endpoint for call in report.wrapper_calls] == ["GET api.example.com/a"]


def test_a_wrapper_with_two_ways_has_no_one_endpoint(project):
    report = project.scan("""
        import requests
        def send(url, body=None):
            if body is None:
                return requests.get(url)
            return requests.post(url, json=body)
        send("https://api.example.com/a")
    """)
    assert [call.endpoint for call in report.wrapper_calls] == [None]


def test_a_recursive_wrapper_ends(project):
    report = project.scan("""
        import requests
        def fetch(url, page=0):
            requests.get(url)
            return fetch(url + "/next", page + 1)
        fetch("https://api.example.com/a")
    """)
    assert len(report.wrapper_calls) == 2
