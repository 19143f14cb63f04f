"""The urllib3 detector: managers take whole URLs, pools of one host take paths."""


def test_managers_and_pools_are_found_in_every_shape(check):
    check("""
        import urllib3
        from urllib3 import HTTPSConnectionPool, PoolManager
        from urllib3.util import Retry

        http = urllib3.PoolManager(retries=Retry(3))
        http.request("GET", "https://api.example.com/a")  # -> GET api.example.com/a
        http.request(method="POST", url="https://api.example.com/a", json={})  # -> POST api.example.com/a
        http.urlopen("GET", "https://api.example.com/a")  # -> GET api.example.com/a
        http.request_encode_body("POST", "https://api.example.com/a", fields={})  # -> POST api.example.com/a
        urllib3.request("GET", "https://api.example.com/a")  # -> GET api.example.com/a
        urllib3.ProxyManager("http://proxy").request("GET", "https://api.example.com/a")  # -> GET api.example.com/a
        urllib3.proxy_from_url("http://proxy").request("GET", "https://api.example.com/a")  # -> GET api.example.com/a
        HTTPSConnectionPool("api.example.com", maxsize=2).request("GET", "/b")  # -> GET api.example.com/b
        urllib3.HTTPConnectionPool("localhost", port=8080).urlopen("GET", "/b")  # -> GET localhost:8080/b
        urllib3.connection_from_url("https://api.example.com/x").request("GET", "/b")  # -> GET api.example.com/b
        http.connection_from_host("localhost", 8080).request("GET", "/b")  # -> GET localhost:8080/b

        class Api:
            def __init__(self):
                self.pool = PoolManager()

            def load(self, verb, key):
                response = self.pool.request(verb, f"https://api.example.com/c/{key}")  # -> {} api.example.com/c/{}
                return response.json(), response.headers.get("X")
    """)


def test_what_sends_no_request_is_none(check):
    check("""
        import urllib3
        from urllib3.exceptions import HTTPError
        from urllib3.util import parse_url, Retry

        urllib3.disable_warnings()
        parse_url("https://api.example.com/a")
        http = urllib3.PoolManager()
        http.clear()
        http.connection_pool_kw.get("a")
        Retry(3).increment("GET", "https://api.example.com/a")
        response = urllib3.HTTPResponse(b"")
        response.read()
        response.headers.get("a")
        response.urlopen("GET", "https://api.example.com/a")
    """)
