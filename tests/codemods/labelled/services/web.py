"""A web application: routes, dependencies, state."""

from typing import Annotated

import flask
import httpx
from fastapi import APIRouter, Depends, FastAPI, Request
from fastapi.testclient import TestClient

app = FastAPI()
router = APIRouter()
site = flask.Flask(__name__)


async def get_client():
    async with httpx.AsyncClient(base_url="https://api.example.com") as client:
        yield client


def make_client() -> httpx.AsyncClient:
    return app.state.client


@app.get("/users")  # none
async def users(client: httpx.AsyncClient = Depends(get_client)):  # none
    return (await client.get("/web/users")).json()  # site: GET api.example.com/web/users


@router.post("/orders")  # none
async def orders(client=Depends(get_client)):  # none
    return await client.post("/web/orders")  # site: POST api.example.com/web/orders


@site.route("/items", methods=["GET"])  # none
def items():
    return flask.request.args.get("page")  # none


@router.get("/annotated")  # none
async def annotated(client: Annotated[httpx.AsyncClient, Depends(make_client)], request: Request):
    request.query_params.get("a")  # none
    request.headers.get("b")  # none
    request.state.cache.get("c")  # none
    flask.session.get("d")  # none
    await client.get("https://api.example.com/web/annotated")  # site: GET api.example.com/web/annotated


app.get("/direct")(users)  # none
