"""AC003: a loop awaits one call after the other though none needs another's answer."""

from collections.abc import Iterator

from apicache_codemods import loops
from apicache_codemods.requests_made import Function, Made
from apicache_codemods.rule import Context, Documentation, Hit, Rule

_FOR_QUERIES = "Ask for all at once: `WHERE id = ANY(...)`, `executemany`; one connection runs one query at a time."


def check(context: Context) -> Iterator[Hit]:
    """One hit at each awaited call that a `for` makes once a round, with something of the round in what it is given.

    Loops over the results of another call are AC004's; a loop that ends early, sleeps, or gives a round what an earlier
    one answered is none.
    """
    for function in context.functions.all:
        for made in function.made if function.has_loops else ():
            loop = _loop(made, function)
            if loop is not None:
                yield Hit(
                    function.module,
                    made.call,
                    function.name,
                    f"sequential awaits: {made.written} is awaited once for each {', '.join(sorted(loop.targets))}, "
                    "one after the other",
                    _FOR_QUERIES if made.kind == "db" else None,
                )


def _loop(made: Made, function: Function) -> loops.Loop | None:
    flow = function.flow
    if not (made.cacheable or made.kind == "db") or not loops.waits_for(made.call, flow):
        return None
    loop = loops.innermost(made.call, flow)
    if loop is None or loop.is_async or not loops.depends_on(made.call, loop.targets, flow):
        return None
    if loops.rounds_depend_on_each_other(made.call, loop, flow) or loops.results_looped_over(loop, function):
        return None
    return loop


RULE = Rule(
    code="AC003",
    name="sequential-awaits",
    summary="awaits one after the other, in a loop, that could run together",
    severity="warning",
    documentation=Documentation(
        why="Each round waits for its answer before the next request leaves, so a loop of fifty calls takes fifty "
        "times as long as one. The rounds do not need each other: they can be made together.",
        bad="""
async def prices(client, symbols):
    found = {}
    for symbol in symbols:
        response = await client.get(f"https://api.example.com/prices/{symbol}")
        found[symbol] = response.json()
    return found
""",
        good="""
async def prices(symbols):
    answers = await api_cache.cached_api_calls([{"operation": "price", "symbol": each} for each in symbols])
    return dict(zip(symbols, answers, strict=True))
""",
        fix="Make them together: `cached_api_calls([...])`, or `asyncio.gather` with a bound on how many run at once.",
    ),
    check=check,
    invalid=(
        """
        import httpx
        async def prices(symbols):
            found = {}
            async with httpx.AsyncClient() as client:
                for symbol in symbols:
                    response = await client.get(f"https://api.example.com/prices/{symbol}")  # here
                    found[symbol] = response.json()
            return found
        """,
        """
        import httpx
        client = httpx.AsyncClient()
        async def prices(symbols):
            url = "https://api.example.com/prices"
            return [(await client.get(url, params={"of": each})).json() for each in symbols]  # here
        """,
        """
        from openai import AsyncOpenAI
        client = AsyncOpenAI()
        async def summaries(texts):
            answers = []
            for text in texts:
                messages = [{"role": "user", "content": text}]
                answers.append(await client.chat.completions.create(model="gpt-5-mini", messages=messages))  # here
            return answers
        """,
        """
        import httpx
        class Api:
            def __init__(self):
                self.http = httpx.AsyncClient(base_url="https://api.example.com")
            async def fetch(self, path):
                return await self.http.get(path)
            async def all(self, names):
                return [await self.fetch(f"/users/{name}") for name in names]  # here
        """,
        """
        import asyncpg
        async def users(connection: asyncpg.Connection, ids):
            return [await connection.fetchrow("SELECT * FROM users WHERE id = $1", number) for number in ids]  # here
        """,
    ),
    valid=(
        """
        import asyncpg
        async def pages(connection: asyncpg.Connection, sizes):
            offset = 0
            for size in sizes:
                rows = await connection.fetch("SELECT * FROM users LIMIT $1 OFFSET $2", size, offset)
                offset += len(rows)
        """,
        """
        import httpx
        client = httpx.AsyncClient()
        async def pages():
            cursor, found = None, []
            for _ in range(100):
                page = (await client.get("https://api.example.com/items", params={"cursor": cursor})).json()
                found += page["items"]
                cursor = page["next"]
            return found
        """,
        """
        import httpx
        client = httpx.AsyncClient()
        async def first_found(names):
            for name in names:
                response = await client.get(f"https://api.example.com/users/{name}")
                if response.is_success:
                    return response.json()
        """,
        """
        import httpx
        client = httpx.AsyncClient()
        async def pages():
            for page in range(1, 100):
                items = (await client.get("https://api.example.com/items", params={"page": page})).json()
                if not items:
                    break
        """,
        """
        import asyncio
        import httpx
        client = httpx.AsyncClient()
        async def slowly(names):
            for name in names:
                await client.get(f"https://api.example.com/users/{name}")
                await asyncio.sleep(1)
        """,
        """
        import httpx
        client = httpx.AsyncClient()
        async def poll():
            for _ in range(3):
                await client.get("https://api.example.com/state")
        """,
        """
        import asyncio
        import httpx
        client = httpx.AsyncClient()
        async def together(names):
            return await asyncio.gather(*[client.get(f"https://api.example.com/users/{each}") for each in names])
        """,
        """
        import requests
        def prices(symbols):
            return [requests.get(f"https://api.example.com/prices/{each}") for each in symbols]
        """,
        """
        import httpx
        client = httpx.AsyncClient()
        async def remove(names):
            for name in names:
                await client.delete(f"https://api.example.com/users/{name}")
        """,
        """
        from openai import AsyncOpenAI
        client = AsyncOpenAI()
        async def talk(questions):
            messages = []
            for question in questions:
                messages.append({"role": "user", "content": question})
                answer = await client.chat.completions.create(model="gpt-5-mini", messages=messages)
                messages.append(answer.choices[0].message)
        """,
    ),
)
