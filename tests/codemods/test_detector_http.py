"""The http.client detector: the host is the constructor's, the path the call's."""

import http.client

import pytest

HOSTS = [
    ('HTTPSConnection("api.example.com")', "api.example.com"),
    ('HTTPSConnection("api.example.com", 443)', "api.example.com"),
    ('HTTPConnection("localhost", 8080)', "localhost:8080"),
    ('HTTPConnection("localhost:8080")', "localhost:8080"),
    ('HTTPConnection(host="api.example.com", port=80, timeout=3)', "api.example.com"),
    ('HTTPConnection("api.example.com", None)', "api.example.com"),
    ("HTTPConnection(host)", "{}"),
    ("HTTPSConnection(*where)", "{}"),
]


@pytest.mark.parametrize(("constructor", "host"), HOSTS)
def test_the_host_is_the_constructors(project, constructor, host):
    source = f"import http.client\nconnection = http.client.{constructor}\nconnection.request('GET', '/users?page=1')\n"
    (site,) = project.scan(source).call_sites
    assert site.endpoint == f"GET {host}/users"


def test_a_host_with_its_port_is_what_http_client_takes_it_for():
    connection = http.client.HTTPConnection("localhost:8080")
    assert (connection.host, connection.port) == ("localhost", 8080)


def test_connections_are_found_in_every_shape(check):
    check("""
        import http.client
        import http.client as httplib
        from http import client
        from http.client import HTTPSConnection

        def load(path):
            connection = HTTPSConnection("api.example.com")
            connection.request("GET", f"/users/{path}", headers={})  # -> GET api.example.com/users/{}
            response = connection.getresponse()
            return response.status, response.read()

        class Api:
            def __init__(self):
                self.connection = httplib.HTTPConnection("localhost", 80)

            def send(self, body):
                self.connection.putrequest("POST", "/items")  # -> POST localhost/items
                self.connection.putheader("A", "b")
                self.connection.endheaders()
                self.connection.send(body)

        def typed(connection: client.HTTPConnection):
            connection.request(method="PUT", url="/items")  # -> PUT {}/items
    """)


def test_what_sends_no_request_is_none(check):
    check("""
        import http.client
        import http.server
        from http import HTTPStatus, cookies
        from http.client import HTTPConnection, HTTPException

        jar = cookies.SimpleCookie()
        jar.get("a")
        HTTPStatus.OK.phrase.lower()
        http.client.responses.get(200)
        connection = HTTPConnection("api.example.com")
        connection.connect()
        connection.getresponse().getheader("a")
        connection.close()

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.headers.get("a")
                self.request.send(b"")
    """)
