"""The urllib detector against urllib.request itself: the method that is sent, and where the URL stands."""

import urllib.request

import pytest

REQUESTS = [
    ('Request("https://api.example.com/a")', urllib.request.Request("https://api.example.com/a")),
    ('Request("https://api.example.com/a", b"x")', urllib.request.Request("https://api.example.com/a", b"x")),
    ('Request("https://api.example.com/a", data=None)', urllib.request.Request("https://api.example.com/a", data=None)),
    (
        'Request("https://api.example.com/a", data=b"", method="PUT")',
        urllib.request.Request("https://api.example.com/a", data=b"", method="PUT"),
    ),
    (
        'Request(url="https://api.example.com/a?b=1", headers={})',
        urllib.request.Request(url="https://api.example.com/a?b=1", headers={}),
    ),
]


@pytest.mark.parametrize(("written", "request_"), REQUESTS)
def test_the_endpoint_is_the_requests_own(project, written, request_):
    source = f"from urllib.request import Request, urlopen\nurlopen({written})\n"
    (site,) = project.scan(source).call_sites
    path = request_.selector.partition("?")[0]
    assert site.endpoint == f"{request_.get_method()} {request_.host}{path}"


def test_urlopen_is_found_in_every_shape(check):
    report = check("""
        import urllib.request
        import urllib.parse
        import json
        from urllib import request as r
        from urllib.request import Request, urlopen
        BASE = "https://api.example.com"

        urllib.request.urlopen(BASE + "/a", timeout=3)  # -> GET api.example.com/a
        r.urlopen(f"{BASE}/b").read()  # -> GET api.example.com/b
        urlopen("%s/c" % BASE, data=json.dumps({}).encode())  # -> POST api.example.com/c
        urllib.request.urlretrieve(BASE + "/d.zip", "d.zip")  # -> GET api.example.com/d.zip

        def load(path, body=None):
            request = Request(f"{BASE}/{path}", headers={})
            with urlopen(request) as response:  # -> GET api.example.com/{}
                return json.load(response)

        def send(body=None):
            urlopen(BASE + "/e", body)  # -> {} api.example.com/e
            request = urllib.request.Request(BASE + "/e")
            request.get_method = lambda: "DELETE"
            urllib.request.urlopen(request)  # -> {} api.example.com/e

        def opened():
            opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
            opener.addheaders = []
            opener.open(BASE + "/f")  # -> GET api.example.com/f
            opener.open(Request(BASE + "/f", method="HEAD"))  # -> HEAD api.example.com/f

        def any_url(url):
            return urlopen(url)  # -> ?

        def any_request(req):
            return urlopen(req)  # -> ?

        any_url(BASE + "/g")
    """)
    methods = {site.line: site.method for site in report.call_sites if site.endpoint is None}
    assert list(methods.values()) == ["GET", None]
    assert [call.endpoint for call in report.wrapper_calls] == ["GET api.example.com/g"]


def test_what_opens_no_url_is_none(check):
    check("""
        import urllib.parse
        import urllib.request
        import zipfile
        from urllib.parse import urljoin, urlencode
        from urllib.request import Request, install_opener, pathname2url

        urljoin("https://api.example.com", "/a")
        request = Request("https://api.example.com/a")
        request.add_header("A", "b")
        request.get_method()
        install_opener(urllib.request.build_opener())
        urllib.request.quote("a")
        open("file")
        zipfile.ZipFile("a").open("https://api.example.com/a")
        with urllib.request.urlopen("https://api.example.com/a") as response:  # -> GET api.example.com/a
            response.read()
            response.info().get("X")
            response.getheader("X")
    """)
