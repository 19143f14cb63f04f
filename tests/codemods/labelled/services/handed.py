"""Methods handed to calls as values."""

import asyncio
import functools
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Thread

import httpx
import requests
from openai import AsyncOpenAI
from tenacity import Retrying
from unittest.mock import Mock

client = httpx.Client(base_url="https://api.example.com")
llm = AsyncOpenAI()
URLS = ["https://api.example.com/g/1", "https://api.example.com/g/2"]


async def retry(call, *args, **kwargs):
    for _ in range(3):
        return await call(*args, **kwargs)


def register(call):
    TABLE.append(call)


def decorate(call):
    def inner(*args):
        return call(*args)

    return inner


TABLE = [client.get]  # none
HANDLERS = {"get": client.get}  # none
TABLE.append(client.post)  # none


async def handed(url):
    await retry(llm.chat.completions.create, model="m", messages=[])  # site: POST api.openai.com/v1/chat/completions
    await asyncio.to_thread(client.get, "/threads")  # site: GET api.example.com/threads
    await asyncio.to_thread(requests.get, "https://api.example.com/threads")  # site: GET api.example.com/threads
    loop = asyncio.get_running_loop()
    await loop.run_in_executor(None, requests.get, "https://api.example.com/executor")  # site: GET api.example.com/executor
    await loop.run_in_executor(None, partial(requests.get, "https://api.example.com/executor", timeout=3))  # site: GET api.example.com/executor
    await loop.run_in_executor(None, lambda: requests.get("https://api.example.com/executor"))  # site: GET api.example.com/executor
    await loop.run_in_executor(None, URLS.append, url)  # none
    with ThreadPoolExecutor() as pool:
        pool.submit(client.get, "/pool")  # site: GET api.example.com/pool
        list(pool.map(requests.get, URLS))  # site: GET api.example.com/g/1 | GET api.example.com/g/2
        pool.submit(len, URLS)  # none
    list(map(requests.get, ["https://api.example.com/mapped"]))  # site: GET api.example.com/mapped
    Thread(target=client.post, args=("/thread",), kwargs={"json": {}}).start()  # site: POST api.example.com/thread
    Retrying()(client.get, "/retried")  # site: GET api.example.com/retried
    somewhere(client.get, "/elsewhere")  # site: GET api.example.com/elsewhere


async def gathered(urls):
    async with httpx.AsyncClient() as c:
        await asyncio.gather(*[c.get("https://api.example.com/gathered") for _ in urls])  # site: GET api.example.com/gathered
        await asyncio.gather(c.get("https://api.example.com/h/1"), c.get("https://api.example.com/h/2"))  # site: GET api.example.com/h/1 ; GET api.example.com/h/2
        task = asyncio.create_task(c.get("https://api.example.com/h/3"))  # site: GET api.example.com/h/3
        await asyncio.wait_for(task, 3)  # none


def refused():
    register(client.get)  # none
    decorate(client.get)  # none
    functools.partial(client.get, "/x")  # none
    isinstance(client.get, object)  # none
    print(client.get)  # none
    Mock(spec=client.get)  # none
    callbacks.register("get", client.get)  # none
    setattr(object(), "get", client.get)  # none
    client.get  # none
    return client.get  # none
