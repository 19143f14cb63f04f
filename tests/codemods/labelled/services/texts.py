"""How URLs come about."""

import os
import posixpath
from urllib.parse import urljoin

import requests
from django.conf import settings

API = "https://api.example.com"


def built(user, page, params):
    requests.get(API + "/users/" + str(user))  # site: GET api.example.com/users/{}
    requests.get(f"{API}/users/{user}")  # site: GET api.example.com/users/{}
    requests.get("%s/users/%s" % (API, user))  # site: GET api.example.com/users/{}
    requests.get("{}/users/{}".format(API, user))  # site: GET api.example.com/users/{}
    requests.get("{api}/users/{user}".format(api=API, user=user))  # site: GET api.example.com/users/{}
    requests.get("/".join([API, "users", user]))  # site: GET api.example.com/users/{}
    requests.get(urljoin(API, f"/users/{user}"))  # site: GET api.example.com/users/{}
    requests.get(urljoin(API + "/v1/", "users"))  # site: GET api.example.com/v1/users
    requests.get(urljoin(API + "/v1/x", "users"))  # site: GET api.example.com/v1/users
    requests.get(posixpath.join(API, "users", "all"))  # site: GET api.example.com/users/all
    requests.get(API.rstrip("/") + "/trimmed/")  # site: GET api.example.com/trimmed/
    requests.get(f"{API}/query?page={page}&size=3")  # site: GET api.example.com/query
    requests.get(API.replace("api.", "www.") + "/replaced")  # site: GET www.example.com/replaced
    url = API
    url += "/added"
    url += f"/{page}"
    requests.get(url, params=params)  # site: GET api.example.com/added/{}


def conditional(flag, kind, base=None):
    url = f"{API}/one" if flag else f"{API}/two"
    requests.get(url)  # site: GET api.example.com/one | GET api.example.com/two
    if kind == "a":
        path = "alpha"
    elif kind == "b":
        path = "beta"
    else:
        path = ""
    requests.get(f"{API}/{path}")  # site: GET api.example.com/alpha | GET api.example.com/beta
    requests.get((base or "https://fallback.example.com") + "/x")  # site: GET fallback.example.com/x
    host = {"eu": "eu.example.com", "us": "us.example.com"}[kind]
    requests.get(f"https://{host}/status")  # site: GET eu.example.com/status | GET us.example.com/status
    for name in ("p", "q"):
        requests.get(f"{API}/{name}")  # site: GET api.example.com/p | GET api.example.com/q
    page = 1
    while True:
        requests.get(f"{API}/page/{page}")  # site: GET api.example.com/page/{}
        page += 1


def environment():
    requests.get(os.environ["API_URL"] + "/a")  # site: GET {API_URL}/a
    requests.get(os.getenv("API_URL") + "/a")  # site: GET {API_URL}/a
    requests.get(os.environ.get("API_URL", API) + "/a")  # site: GET {API_URL}/a | GET api.example.com/a
    requests.get(f"https://{os.environ['API_HOST']}/a")  # site: GET {API_HOST}/a
    requests.get(settings.REMOTE_URL + "/a")  # site: GET {REMOTE_URL}/a
    os.environ.get("API_URL")  # none
    settings.get("REMOTE_URL")  # none


class Client:
    def __init__(self, base_url="https://client.example.com"):
        self.base_url = base_url
        self.session = requests.Session()

    def get(self, path):
        return self.session.get(self.base_url + path)  # site: GET client.example.com{}

    def users(self):
        return self.get("/users")  # none

    def orders(self):
        return self.session.get(f"{self.base_url}/orders")  # site: GET client.example.com/orders
