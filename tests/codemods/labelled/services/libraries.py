"""Other libraries, each with what is not a request beside it."""

import http.client
import sqlite3
import urllib.request
from urllib.request import Request, urlopen

import aiohttp
import anthropic
import asyncpg
import cohere
import groq
import httpx
import instructor
import litellm
import ollama
import openai
import urllib3
from openai import OpenAI


async def through_aiohttp(session: aiohttp.ClientSession):
    async with session.get("https://api.example.com/aio") as response:  # site: GET api.example.com/aio
        await response.json()  # none
        response.headers.get("etag")  # none
    async with aiohttp.ClientSession("https://api.example.com") as own:  # none
        await own.post("/aio", json={"a": 1})  # site: POST api.example.com/aio
        async with own.ws_connect("/ws") as socket:
            await socket.send_json({})  # none
            await socket.receive()  # none
            await socket.close()  # none
    async with aiohttp.ClientSession() as other, other.get("https://api.example.com/aio") as answer:  # site: GET api.example.com/aio
        answer.raise_for_status()  # none


def through_urllib():
    urlopen("https://api.example.com/plain")  # site: GET api.example.com/plain
    request = Request("https://api.example.com/built", data=b"", method="POST")  # none
    with urlopen(request) as response:  # site: POST api.example.com/built
        response.read()  # none
    urllib.request.urlopen(Request("https://api.example.com/inline", method="DELETE"))  # site: DELETE api.example.com/inline
    request.get_header("x")  # none


def through_urllib3():
    pool = urllib3.PoolManager()  # none
    pool.request("GET", "https://api.example.com/pooled")  # site: GET api.example.com/pooled
    urllib3.request("POST", "https://api.example.com/pooled")  # site: POST api.example.com/pooled
    pool.clear()  # none


def through_http_client():
    connection = http.client.HTTPSConnection("api.example.com")  # none
    connection.request("GET", "/socket")  # site: GET api.example.com/socket
    connection.getresponse()  # none
    connection.close()  # none


def through_sdks(messages):
    client = OpenAI()  # none
    client.chat.completions.create(model="m", messages=messages)  # site: POST api.openai.com/v1/chat/completions
    client.embeddings.create(model="m", input="x")  # site: POST api.openai.com/v1/embeddings
    openai.OpenAI(base_url="https://llm.example.com/v1").responses.create(input="x")  # site: POST llm.example.com/v1/responses
    create = client.chat.completions.create
    create(model="m", messages=messages)  # site: POST api.openai.com/v1/chat/completions
    client.with_options(timeout=3)  # none
    wrapped = instructor.from_openai(client)  # none
    wrapped.chat.completions.create(model="m", messages=messages)  # site: POST api.openai.com/v1/chat/completions
    claude = anthropic.Anthropic()  # none
    answer = claude.messages.create(model="m", messages=messages)  # site: POST api.anthropic.com/v1/messages
    answer.content.get("x")  # none
    groq.Groq().chat.completions.create(model="m", messages=messages)  # site: POST api.groq.com/openai/v1/chat/completions
    cohere.Client().rerank(query="q", documents=[])  # site: POST api.cohere.com/v1/rerank
    ollama.chat(model="m", messages=messages)  # site: POST 127.0.0.1:11434/api/chat
    ollama.Client(host="http://models.example.com").embed(model="m", input="x")  # site: POST models.example.com/api/embed


async def through_databases(path, key):
    connection = sqlite3.connect(path)  # none
    cursor = connection.cursor()  # none
    cursor.execute("SELECT name FROM users WHERE id = ?", (key,))  # site: SELECT name FROM users WHERE id = ?
    cursor.fetchall()  # none
    connection.commit()  # none
    pool = await asyncpg.create_pool()  # none
    await pool.fetch("SELECT name FROM users WHERE id = $1", key)  # site: SELECT name FROM users WHERE id = ?
    async with pool.acquire() as borrowed:  # none
        await borrowed.fetchrow("SELECT name FROM orders WHERE id = $1", key)  # site: SELECT name FROM orders WHERE id = ?


async def through_responses(client: httpx.AsyncClient):
    response = await client.get("https://api.example.com/response")  # site: GET api.example.com/response
    response.json().get("a")  # none
    response.headers.get("b")  # none
    response.cookies.get("c")  # none
    response.request.headers.get("d")  # none
    response.raise_for_status()  # none
    async for line in response.aiter_lines():
        line.get("e")  # none
    async with client.stream("GET", "https://api.example.com/stream") as stream:  # site: GET api.example.com/stream
        await stream.aread()  # none
    request = client.build_request("POST", "https://api.example.com/sent")  # none
    await client.send(request)  # site: POST api.example.com/sent
    client.cookies.get("f")  # none
    client.headers.update({})  # none
    await client.aclose()  # none
    litellm.completion_cost(response)  # none
