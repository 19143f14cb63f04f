"""Clients that come from another module. Each source names its call sites in comments; nothing else may be found."""

import pytest

ACROSS_MODULES = {
    "a client imported from another module": {
        "pkg/__init__.py": "",
        "pkg/clients.py": "import httpx\nhttp = httpx.Client()\n",
        "pkg/use.py": """
            from pkg.clients import http
            http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a client imported relatively, under another name": {
        "pkg/__init__.py": "",
        "pkg/clients.py": "import httpx\nhttp = httpx.Client()\n",
        "pkg/sub/__init__.py": "",
        "pkg/sub/use.py": """
            from ..clients import http as api
            api.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a client reached through its module": {
        "clients.py": "import httpx\nhttp = httpx.Client()\n",
        "use.py": """
            import clients
            clients.http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a client reached through a dotted module": {
        "pkg/__init__.py": "",
        "pkg/clients.py": "import httpx\nhttp = httpx.Client()\n",
        "use.py": """
            import pkg.clients
            def load():
                return pkg.clients.http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a module imported from its package": {
        "pkg/__init__.py": "",
        "pkg/clients.py": "import httpx\nhttp = httpx.Client()\n",
        "pkg/use.py": """
            from . import clients
            clients.http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a client re-exported by two packages": {
        "pkg/__init__.py": "from .inner import http\n",
        "pkg/inner/__init__.py": "from pkg.inner.clients import http as http\n",
        "pkg/inner/clients.py": "import httpx\nhttp = httpx.Client()\n",
        "use.py": """
            from pkg import http
            http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a client re-exported by a star import": {
        "pkg/__init__.py": "from .clients import *\n",
        "pkg/clients.py": "import httpx\nhttp = httpx.Client()\n",
        "use.py": """
            from pkg import http
            http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a factory of another module": {
        "factory.py": "import requests\ndef make():\n    return requests.Session()\n",
        "use.py": """
            from factory import make
            session = make()
            def load():
                return session.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a base class of another module": {
        "base.py": "import requests\nclass Base:\n    def __init__(self):\n        self.http = requests.Session()\n",
        "use.py": """
            from base import Base
            class Service(Base):
                def load(self):
                    return self.http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "an instance made in a module between": {
        "base.py": "import requests\nclass Clients:\n    def __init__(self):\n        self.http = requests.Session()\n",
        "between.py": "from base import Clients\nclients = Clients()\n",
        "use.py": """
            from between import clients
            clients.http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a library re-exported by a module of the project": {
        "compat.py": "try:\n    import httpx\nexcept ImportError:\n    httpx = None\n",
        "use.py": """
            from compat import httpx
            httpx.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "a function re-exported under another name": {
        "compat.py": "from requests import get as fetch\n",
        "use.py": """
            from compat import fetch
            fetch("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "sources in a src folder, tests beside it": {
        "src/pkg/__init__.py": "",
        "src/pkg/clients.py": "import httpx\nhttp = httpx.Client()\n",
        "tests/test_clients.py": """
            from pkg.clients import http
            def test_it():
                http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "packages without __init__": {
        "pkg/clients/shared.py": "import httpx\nhttp = httpx.Client()\n",
        "pkg/use.py": """
            from pkg.clients.shared import http
            http.get("https://api.example.com/users")  # -> GET api.example.com/users
        """,
    },
    "two modules that import each other": {
        "a.py": """
            import httpx
            import b
            http = httpx.Client()
            def load():
                return b.other.get("https://api.example.com/a")  # -> GET api.example.com/a
        """,
        "b.py": """
            import httpx
            from a import http
            other = httpx.Client()
            def load():
                return http.get("https://api.example.com/b")  # -> GET api.example.com/b
        """,
    },
    "a folder named like the library": {
        "providers/openai/__init__.py": "",
        "providers/openai/client.py": """
            import openai
            def ask():
                openai.embeddings.create()  # -> POST api.openai.com/v1/embeddings
        """,
        "providers/ask.py": """
            import openai
            openai.embeddings.create()  # -> POST api.openai.com/v1/embeddings
        """,
    },
}


@pytest.mark.parametrize("sources", ACROSS_MODULES.values(), ids=ACROSS_MODULES.keys())
def test_a_client_is_followed_across_modules(check, sources):
    check(sources)
