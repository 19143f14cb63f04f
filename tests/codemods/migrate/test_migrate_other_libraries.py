"""Calls of libraries that scan knows and migrate does not: they are left alone, with the reason."""

import pytest

LEFT_ALONE = {
    "an aiohttp session": """
        import aiohttp
        async def load(session: aiohttp.ClientSession):
            async with session.get("https://api.example.com/a") as response:
                return await response.json()
    """,
    "urlopen": """
        from urllib.request import urlopen
        def load():
            return urlopen("https://api.example.com/a").read()
    """,
    "a urllib3 manager": """
        import urllib3
        def load(http: urllib3.PoolManager):
            return http.request("GET", "https://api.example.com/a").data
    """,
    "an http.client connection": """
        import http.client
        def load(connection: http.client.HTTPSConnection):
            connection.request("GET", "/a")
            return connection.getresponse().read()
    """,
    "a cursor": """
        import psycopg2
        def load():
            cursor = psycopg2.connect("").cursor()
            cursor.execute("SELECT a FROM t")
            return cursor.fetchall()
    """,
    "a pool": """
        import asyncpg
        async def load(pool: asyncpg.Pool):
            return await pool.fetch("SELECT a FROM t")
    """,
    "an engine": """
        import sqlalchemy
        def load(session: sqlalchemy.orm.Session):
            return session.execute(sqlalchemy.text("SELECT a FROM t")).all()
    """,
}


@pytest.mark.parametrize("source", LEFT_ALONE.values(), ids=LEFT_ALONE)
def test_calls_of_other_libraries_are_left_alone(project, source):
    project.put({"app.py": source})
    plan = project.plan()
    assert [(site.safety, site.code) for site in plan.sites] == [("never", "M113")]
    assert not plan.changes
