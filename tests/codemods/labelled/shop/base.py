"""Base classes whose clients come from elsewhere."""

import requests

from .config import BASE


class Base:
    base_url = BASE

    def __init__(self, http):
        self.http = http

    def load(self, key):
        return self.http.get(f"{self.base_url}/things/{key}")  # site: GET api.example.com/things/{}


class Abstract:
    def listing(self):
        return self.session.get("https://api.example.com/listing")  # site: GET api.example.com/listing

    def lookup(self, name):
        return self.names.get(name)  # none


class Concrete(Abstract):
    def __init__(self):
        self.session = requests.Session()
        self.names = {}
