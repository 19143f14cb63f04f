"""Constants, settings and the environment."""

import os
from enum import Enum

from pydantic_settings import BaseSettings

BASE = "https://api.example.com"
USERS = BASE + "/users"
VERSIONED = f"{BASE}/v2"
ORDERS = "%s/orders" % BASE
ITEM = "{}/items/{{}}".format(BASE)
URLS = {"users": USERS, "orders": ORDERS, "health": f"{BASE}/health"}
PARTS = ("https://cdn.example.com", "files")
FROM_ENV = os.environ["PARTNER_URL"]
WITH_DEFAULT = os.getenv("MIRROR_URL", "https://mirror.example.com")


class Hosts(Enum):
    MAIN = "https://main.example.com"


class Settings(BaseSettings):
    search_url: str = "https://search.example.com"
    billing_url: str


settings = Settings()
