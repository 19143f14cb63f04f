"""AC004: one call lists things, and a loop over them makes one more call for each (N+1)."""

import ast
from collections.abc import Iterator

from apicache_codemods import loops
from apicache_codemods.requests_made import Function, Functions, Made
from apicache_codemods.rule import Context, Documentation, Hit, Rule


def check(context: Context) -> Iterator[Hit]:
    """One hit at each request, also one that a project's function makes, in a loop over the results of another."""
    for function in context.functions.all:
        listings = _Listings(function)
        for call in _calls(function, context.functions, listings) if function.has_loops else ():
            listed = listings.around(call)
            if listed is not None and listed.call is not call:
                yield Hit(
                    function.module,
                    call,
                    function.name,
                    f"N+1: {ast.unparse(call.func)} runs once for each result of {listed.written} "
                    f"(line {listed.call.lineno})",
                )


class _Listings:
    """The requests whose results loops of a function go through."""

    def __init__(self, function: Function) -> None:
        self._function = function
        self._found: dict[ast.expr, Made | None] = {}

    def around(self, call: ast.Call) -> Made | None:
        """The request whose results the innermost loop around a call goes through, if they decide on the call."""
        loop = loops.innermost(call, self._function.flow)
        if loop is None:
            return None
        if loop.iterated not in self._found:
            self._found[loop.iterated] = loops.results_looped_over(loop, self._function)
        listed = self._found[loop.iterated]
        return listed if listed and loops.depends_on(call, loop.targets, self._function.flow) else None


def _calls(function: Function, functions: Functions, listings: _Listings) -> Iterator[ast.Call]:
    """The requests that a function makes, and its calls of other project functions that make one, inside loops."""
    own = {made.call for made in function.made}
    yield from (made.call for made in function.made)
    for node in function.flow.nodes:
        is_plain = isinstance(node, ast.Call) and node not in own and isinstance(node.func, ast.Name | ast.Attribute)
        if isinstance(node, ast.Call) and is_plain and listings.around(node) is not None:
            reached = functions.reached(node, function.scope)
            if reached is not None and reached.frame.scope.function is not function.scope:
                yield node


RULE = Rule(
    code="AC004",
    name="n-plus-one",
    summary="a request for each result of another request",
    severity="warning",
    documentation=Documentation(
        why="One request lists N things, then each of them costs a request of its own: N+1 where one or two would do, "
        "and it grows with the data.",
        bad="""
users = requests.get("https://api.example.com/users").json()
for user in users:
    orders = requests.get(f"https://api.example.com/users/{user['id']}/orders").json()
""",
        good="""
users = requests.get("https://api.example.com/users", params={"include": "orders"}).json()
""",
        fix="Ask for all at once: a join, `WHERE id = ANY(...)`, an endpoint that takes many ids; or cache the call.",
    ),
    check=check,
    invalid=(
        """
        import requests
        def orders():
            users = requests.get("https://api.example.com/users").json()
            found = []
            for user in users["items"]:
                found.append(requests.get(f"https://api.example.com/users/{user['id']}/orders").json())  # here
            return found
        """,
        """
        import httpx
        client = httpx.AsyncClient()
        async def details():
            response = await client.get("https://api.example.com/items")
            ids = [item["id"] for item in response.json()]
            return [await client.get(f"https://api.example.com/items/{number}") for number in sorted(ids)]  # here
        """,
        {
            "orders.py": """
            import requests
            def orders_of(user):
                return requests.get("https://api.example.com/orders", params={"user": user["id"]}).json()
            """,
            "report.py": """
            import requests
            from orders import orders_of
            def report():
                for user in requests.get("https://api.example.com/users").json():
                    print(orders_of(user))  # here
            """,
        },
        """
        import sqlite3
        def report(path):
            connection = sqlite3.connect(path)
            cursor = connection.cursor()
            cursor.execute("SELECT id FROM users")
            for row in cursor.fetchall():
                connection.execute("SELECT * FROM orders WHERE user_id = ?", (row[0],))  # here
        """,
        """
        import asyncpg
        async def report(connection: asyncpg.Connection):
            for row in await connection.fetch("SELECT id FROM users"):
                await connection.fetch("SELECT * FROM orders WHERE user_id = $1", row["id"])  # here
        """,
    ),
    valid=(
        """
        import sqlite3
        def report(path, numbers):
            cursor = sqlite3.connect(path).cursor()
            for number in numbers:
                cursor.execute("SELECT * FROM orders WHERE user_id = ?", (number,))
                print(cursor.fetchall())
        """,
        """
        import requests
        def pages():
            first = requests.get("https://api.example.com/items").json()
            for page in range(2, first["pages"] + 1):
                requests.get("https://api.example.com/items", params={"page": page})
        """,
        """
        import requests
        def load(names):
            for name in names:
                requests.get(f"https://api.example.com/users/{name}")
        """,
        """
        import requests
        def show():
            for user in requests.get("https://api.example.com/users").json():
                print(user["name"])
        """,
        """
        import requests
        def ping():
            for user in requests.get("https://api.example.com/users").json():
                requests.get("https://api.example.com/state")
        """,
    ),
)
