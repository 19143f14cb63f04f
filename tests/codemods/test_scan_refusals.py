"""What looks like a call of a client and is none: as many as there are shapes that are one."""

import pytest

NOT_CALL_SITES = {
    "a dictionary": """
        import requests
        data = {"a": 1}
        data.get("a")
        dict(a=1).get("a")
    """,
    "a name that was never imported": """
        requests.get("https://api.example.com/users")
        client.get("https://api.example.com/users")
    """,
    "a parameter named like the library": """
        import requests
        def load(requests):
            return requests.get("https://api.example.com/users")
    """,
    "a local named like the global client": """
        import httpx
        client = httpx.Client()
        def load():
            client = {}
            return client.get("a")
    """,
    "a parameter named like the global client": """
        import httpx
        client = httpx.Client()
        def load(client):
            return client.get("a")
    """,
    "a loop target named like the global client": """
        import httpx
        client = httpx.Client()
        def load(clients):
            for client in clients:
                client.get("a")
            return [client.get("a") for client in clients]
    """,
    "a lambda's parameter": """
        import httpx
        client = httpx.Client()
        pick = lambda client: client.get("a")
    """,
    "an exception named like the client": """
        import httpx
        client = httpx.Client()
        def load():
            try:
                pass
            except ValueError as client:
                client.get("a")
    """,
    "a class attribute is no name inside its methods": """
        import httpx
        class Service:
            client = httpx.Client()
            def load(self):
                return client.get("a")
    """,
    "a name bound in another function": """
        import httpx
        def connect():
            client = httpx.Client()
        def load():
            return client.get("a")
    """,
    "a name bound after a definition hides the global": """
        import httpx
        client = httpx.Client()
        def load():
            value = client.get("a")
            client = {}
            return value
    """,
    "a deleted import's place taken by a function": """
        import requests
        def requests(): ...
        requests.get("a")
    """,
    "another class's attribute of that name": """
        import httpx
        class One:
            def __init__(self):
                self.client = httpx.Client()
        class Two:
            def __init__(self, client):
                self.client = client
            def load(self):
                return self.client.get("a")
    """,
    "a static method's first parameter": """
        import httpx
        class One:
            client = httpx.Client()
            @staticmethod
            def load(self):
                return self.client.get("a")
    """,
    "a method of the project's own on a subclass": """
        import requests
        class Api(requests.Session):
            def get(self, key):
                return self.cache[key]
        Api().get("a")
    """,
    "constructing clients and requests": """
        import httpx, requests
        from openai import OpenAI
        httpx.Client(base_url="https://api.example.com")
        requests.Session()
        requests.Request("GET", "https://api.example.com")
        httpx.Request("GET", "https://api.example.com")
        httpx.Client().build_request("GET", "https://api.example.com")
        OpenAI(api_key="k")
    """,
    "methods of responses": """
        import httpx
        client = httpx.Client()
        def load():
            response = client.get("https://api.example.com")  # -> GET api.example.com
            response.json().get("a")
            response.headers.get("a")
            response.raise_for_status()
            response.get("a")
            with client.stream("GET", "https://api.example.com/x") as stream:  # -> GET api.example.com/x
                stream.read()
    """,
    "other methods and attributes of clients": """
        import httpx, requests
        client, session = httpx.Client(), requests.Session()
        client.close()
        client.headers.get("a")
        session.headers.update({})
        session.cookies.get("a")
        session.mount("https://", adapter)
    """,
    "routes": """
        from fastapi import FastAPI
        import httpx
        app = FastAPI()
        @app.get("/users")
        async def users():
            return []
        @app.post("/users")
        async def create():
            return {}
    """,
    "a test client of a web framework": """
        from fastapi.testclient import TestClient
        client = TestClient(app)
        def test_it():
            client.get("/users")
    """,
    "sessions of an ORM": """
        from sqlalchemy.orm import Session
        def load(session: Session):
            return session.get(User, 1)
    """,
    "a client of a library that is not known": """
        import redis
        client = redis.Redis()
        client.get("a")
    """,
    "exceptions, types and helpers of the libraries": """
        import httpx, requests, openai
        httpx.HTTPStatusError("x", request=None, response=None)
        httpx.Timeout(5)
        requests.exceptions.HTTPError()
        requests.utils.quote("a")
        openai.RateLimitError
        openai.resources.chat.Completions
    """,
    "a module of the project named like a library's function": {
        "get.py": "def get(url):\n    return url\n",
        "use.py": "from get import get\nget('https://api.example.com')\n",
    },
    "a relative module named like the library": {
        "pkg/__init__.py": "",
        "pkg/requests.py": "def get(url):\n    return url\n",
        "pkg/use.py": "from . import requests\nrequests.get('https://api.example.com')\n",
    },
    "the project's own wrapper": {
        "api.py": """
            import httpx
            class Api:
                def __init__(self):
                    self.client = httpx.Client()
                def get(self, key):
                    return self.client.get(f"https://api.example.com/{key}")  # -> GET api.example.com/{}
        """,
        "use.py": "from api import Api\nApi().get('users')\n",
    },
    "text that looks like code": '''
        """requests.get("https://api.example.com")"""
        import requests  # requests.get("a")
        text = "requests.get('https://api.example.com')"
    ''',
    "a method that is stored is not called": """
        import httpx
        client = httpx.Client()
        TABLE.append(client.get)
        register("get", client.get)
        HANDLERS = {"get": client.get}
        def keep(call):
            TABLE.append(call)
        keep(client.get)
    """,
    "an awaitable or callable of the same name": """
        import httpx
        from other import client
        async def load():
            await client.get("a")
    """,
    "a class body's name is not its method's, a comprehension's not its function's": """
        import httpx
        def load():
            [client for client in [httpx.Client()]]
            client.get("a")
    """,
    "a match capture": """
        import httpx
        client = httpx.Client()
        def load(value):
            match value:
                case {"client": client}:
                    client.get("a")
    """,
    "a set, a list and an unpacked value": """
        import httpx
        clients = [httpx.Client()]
        first, *rest = load()
        first.get("a")
        rest.get("a")
    """,
    "an SDK's path that makes no request": """
        from openai import OpenAI
        client = OpenAI()
        client.chat.completions.get("a")
        client.create(model="m")
        client.api_key.get("a")
    """,
    "getattr by a name that is not known, of what is no client": """
        import requests
        getattr(requests.Response(), method)("https://api.example.com")
    """,
    "an annotation of something else": """
        import httpx
        def load(response: httpx.Response, clients: list[httpx.Client], kind: type[httpx.Client]):
            response.get("a")
            clients.get("a")
            kind.get("a")
    """,
    "a nested class's self": """
        import httpx
        class Outer:
            def __init__(self):
                self.client = httpx.Client()
            class Inner:
                def load(self):
                    return self.client.get("a")
    """,
    "an attribute that another object of that name has": """
        import httpx
        class Service:
            def __init__(self, other):
                self.client = httpx.Client()
                other.http = self.client
            def load(self, other):
                other.client.get("a")
                self.http.get("a")
    """,
}


@pytest.mark.parametrize("sources", NOT_CALL_SITES.values(), ids=NOT_CALL_SITES.keys())
def test_what_is_no_call_of_a_client_is_not_reported(check, sources):
    check(sources)
