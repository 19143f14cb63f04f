"""The aiosqlite detector."""


def test_connections_and_cursors_are_found_in_every_shape(check):
    report = check("""
        import aiosqlite
        from contextlib import asynccontextmanager

        async def load():
            async with aiosqlite.connect("app.db") as db:
                db.row_factory = aiosqlite.Row
                async with db.execute("SELECT a FROM t") as cursor:  # -> SELECT a FROM t
                    async for row in cursor:
                        row.keys()
                    await cursor.execute("SELECT b FROM t")  # -> SELECT b FROM t
                await db.executemany("INSERT INTO t VALUES (?)", [])  # -> INSERT INTO t VALUES (?)
                await db.executescript("DELETE FROM t; DELETE FROM u;")  # -> DELETE FROM t; DELETE FROM u
                await db.execute_fetchall("SELECT a FROM t")  # -> SELECT a FROM t
                await db.execute_insert("INSERT INTO t VALUES (1)")  # -> INSERT INTO t VALUES (?)
                await db.commit()

        @asynccontextmanager
        async def database():
            async with aiosqlite.connect("app.db") as db:
                yield db

        async def managed():
            async with database() as db:
                await db.execute("SELECT a FROM t")  # -> SELECT a FROM t

        class Store:
            async def connect(self):
                self.db = await aiosqlite.connect("app.db")

            async def load(self, key):
                cursor = await self.db.cursor()
                await cursor.execute("SELECT a FROM t WHERE b = ?", (key,))  # -> SELECT a FROM t WHERE b = ?
                return await cursor.fetchone()
    """)
    assert all(site.is_async and site.library == "aiosqlite" for site in report.call_sites)


def test_what_sends_no_statement_is_none(check):
    check("""
        import aiosqlite

        async def load(executor):
            async with aiosqlite.connect("app.db") as db:
                await db.backup(executor)
                await db.create_function("f", 1, len)
                await db.set_trace_callback(print)
            await executor.execute("SELECT a FROM t")
    """)
