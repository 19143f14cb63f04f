"""Hands clients to functions of a module that imports no library."""

import requests

from shop.helpers import Loader, load, pick


def main():
    session = requests.Session()
    load(session, 1)  # none
    pick({"a": 1}, "a")  # none
    Loader(session).run()  # none
