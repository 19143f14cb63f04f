"""Nothing here is a request."""

import collections
import configparser
import os
import queue
import shelve

import httpx
import requests
from redis import Redis
from sqlalchemy.orm import Session, sessionmaker

from services.models import Repository, cache, http

client = httpx.Client()  # none
session = requests.Session()  # none
maker = sessionmaker()


def dictionaries(data: dict, options, headers):
    data.get("a")  # none
    options.get("b")  # none
    {"c": 1}.get("c")  # none
    dict(a=1).get("a")  # none
    collections.OrderedDict().get("a")  # none
    headers.get("authorization")  # none
    os.environ.get("HOME")  # none
    (data or {}).get("e")  # none
    [each.get("f") for each in data.values()]  # none
    data["client"].get("g")  # none
    data.setdefault("h", {}).get("i")  # none
    vars(data).get("j")  # none
    globals().get("k")  # none


def orm(db: Session, key):
    db.get(User, key)  # none
    with Session(engine) as inner:
        inner.get(User, key)  # none
        inner.delete(inner.get(User, key))  # none
    with maker() as made:
        made.get(User, key)  # none
    User.objects.get(pk=key)  # none
    User.query.get(key)  # none


def stores(repository: Repository, key):
    repository.get(key)  # none
    Repository().get(key)  # none
    cache.get(key)  # none
    http.get(key)  # none
    Redis().get(key)  # none
    queue.Queue().get()  # none
    configparser.ConfigParser().get("a", "b")  # none
    shelve.open("x").get("a")  # none


class Registry:
    session = {}

    def __init__(self):
        self.items = {}
        self.client = Repository()

    def get(self, key):
        return self.items.get(key)  # none

    def post(self, value):
        self.items["x"] = value

    def both(self):
        self.get("x")  # none
        self.post("y")  # none
        self.client.get("z")  # none
        self.session.get("w")  # none
        return super().get("v")  # none


def shadowed(requests):
    requests.get("a")  # none


def rebound(flag):
    client = httpx.Client()  # none
    client = {}
    client.get("b")  # none


def shadowing_loop(rows):
    for session in rows:
        session.get("c")  # none
    return [client.get("d") for client in rows]  # none


def other_methods():
    client.close()  # none
    client.build_request("GET", "https://api.example.com")  # none
    session.mount("https://", None)  # none
    session.headers.get("x")  # none
    session.cookies.get("x")  # none
    requests.Request("GET", "https://api.example.com").prepare()  # none
    requests.utils.quote("x")  # none
    requests.codes.get("ok")  # none
    httpx.URL("https://api.example.com")  # none
    httpx.Timeout(3)  # none


def exceptions():
    try:
        pass
    except requests.HTTPError as error:
        error.response.headers.get("x")  # none


def collections_of_other_things(names):
    tables = {"a": {}, "b": {}}
    tables["a"].get("x")  # none
    tables[names].get("x")  # none
    for name, table in tables.items():
        table.get(name)  # none
    getattr(names, "get")("x")  # none
    getattr(tables, names)("x")  # none
    pool = []
    pool.append({})
    pool[0].get("x")  # none


def stubs():
    class Fake:
        def get(self, url):
            return url

    Fake().get("https://api.example.com")  # none
    fake = Fake()
    fake.get("https://api.example.com")  # none
    lambda: None  # none
