"""What a reviewer of the diff would not accept: imports that begin to fail, stale reads, a client for each item."""

import subprocess
import sys

KEYED = """
import os
import requests

API_KEY = os.environ["LLM_KEY"]


def ask(prompt):
    return requests.post(
        "https://api.openai.com/v1/chat/completions",
        headers={"Authorization": f"Bearer {API_KEY}"},
        json={"prompt": prompt},
    ).json()
"""
SDK = """
from openai import OpenAI

ai = OpenAI()


def reply(message):
    return ai.chat.completions.create(model="m", messages=[{"role": "user", "content": message}])
"""
PLAIN = """
import requests


def first(prompt):
    return requests.post("https://api.openai.com/v1/embeddings", json={"input": prompt}).json()
"""


def test_a_module_that_needs_no_key_can_still_be_imported_without_one(project):
    """What is read once, when its module is imported, stays there: the operations module is imported by others too."""
    project.put({"keyed.py": KEYED})
    project.put({"sdk.py": SDK})
    project.put({"plain.py": PLAIN})
    sites = {site.path: site for site in project.migrate().sites}
    assert {path: (site.style, site.code) for path, site in sites.items()} == {
        "keyed.py": ("wrap", "M004"),
        "plain.py": ("operation", "M002"),
        "sdk.py": ("wrap", "M004"),
    }
    assert "would need sdk.py, which plain.py does not import" in sites["sdk.py"].reason
    assert "credentials must not become parameters" in sites["keyed.py"].reason
    done = subprocess.run(
        [sys.executable, "-c", "import plain; print(plain.first.__name__)"],
        cwd=project.folder,
        env={"PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "first\n"), done.stderr


RESOURCE = """
import requests
URL = "https://api.example.com/articles"


def article(number):
    return requests.get(f"{URL}/{number}", timeout=5).json()


def publish(number):
    return requests.post(f"{URL}/{number}/publish", timeout=5).status_code


def authors():
    return requests.get("https://api.example.com/authors", timeout=5).json()
"""


def test_a_read_of_what_the_project_writes_is_left_alone_and_says_which_write(project):
    project.put({"site.py": RESOURCE})
    sites = {site.line: site for site in project.plan().sites}
    assert (sites[6].code, sites[6].safety) == ("M121", "unsafe")
    assert "POST api.example.com/articles/{}/publish in site.py:10" in sites[6].reason
    assert sites[14].decision == "rewritten"


MANY = """
import asyncio
import httpx


async def all_of(ids):
    async with httpx.AsyncClient() as client:
        one = await client.get("https://api.example.com/a")
        return await asyncio.gather(*(client.get(f"https://api.example.com/items/{i}") for i in ids))


async def again(ids):
    async with httpx.AsyncClient() as client:
        return [await client.get(f"https://api.example.com/items/{i}") for i in ids]
"""


def test_a_client_opened_once_for_many_calls_is_not_opened_by_each(project):
    project.put({"site.py": MANY})
    assert {site.style for site in project.plan().sites} == {"wrap"}
