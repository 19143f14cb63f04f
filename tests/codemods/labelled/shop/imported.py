"""Clients and constants of other modules."""

import httpx
import requests

import shop.clients
from shop import clients as c, config, http, shared_session
from shop.base import Base
from shop.clients import ApiSession, Gateway, Proxy, cached_client, current, fetch, lazy_client, make_session, ping, thread_session
from shop.config import ITEM, ORDERS, PARTS, URLS, USERS, WITH_DEFAULT, Hosts, settings


def through_imports():
    http.get("/users")  # site: GET api.example.com/users
    shared_session.get(USERS)  # site: GET api.example.com/users
    c.session.post(ORDERS, json={"item": 1})  # site: POST api.example.com/orders
    shop.clients.http.delete("/users/1")  # site: DELETE api.example.com/users/1
    fetch(USERS)  # site: GET api.example.com/users
    ping()  # site: GET status.example.com/ping
    c.http.headers.get("x")  # none
    config.URLS.get("users")  # none


def through_factories():
    make_session().get(URLS["orders"])  # site: GET api.example.com/orders
    cached_client().get("/health")  # site: GET api.example.com/health
    thread_session().put(ITEM.format(3))  # site: PUT api.example.com/items/3
    with make_session() as s:
        s.head(URLS["health"])  # site: HEAD api.example.com/health


async def through_state():
    await lazy_client().get(f"{PARTS[0]}/{PARTS[1]}")  # site: GET cdn.example.com/files
    await current.get().get("https://api.example.com/current")  # site: GET api.example.com/current


def through_objects():
    gateway = Gateway()
    gateway.http.get("/orders")  # site: GET api.example.com/orders
    Gateway().http.patch("/orders/1")  # site: PATCH api.example.com/orders/1
    proxy = Proxy(httpx.Client())
    proxy.get("https://proxied.example.com/a")  # site: GET proxied.example.com/a
    api = ApiSession()
    api.get(config.VERSIONED + "/users")  # site: GET api.example.com/v2/users
    gateway.users()  # none
    api.whoami()  # none


def by_name(name, region):
    c.clients[region].get("/status")  # site: GET main.example.com/status | GET cdn.example.com/status
    c.clients["cdn"].get("/a.js")  # site: GET cdn.example.com/a.js
    requests.get(URLS[name])  # site: GET api.example.com/users | GET api.example.com/orders | GET api.example.com/health
    c.clients.get(region)  # none


def from_settings():
    requests.get(config.FROM_ENV + "/rates")  # site: GET {PARTNER_URL}/rates
    requests.get(f"{WITH_DEFAULT}/rates")  # site: GET {MIRROR_URL}/rates | GET mirror.example.com/rates
    requests.get(f"{Hosts.MAIN.value}/rates")  # site: GET main.example.com/rates
    requests.get(settings.search_url + "/find")  # site: GET search.example.com/find
    requests.get(f"{settings.billing_url}/invoices")  # site: GET {BILLING_URL}/invoices


class Things(Base):
    def __init__(self):
        super().__init__(requests.Session())

    def all(self):
        return self.http.get(self.base_url + "/things")  # site: GET api.example.com/things
