"""The asyncpg detector: connections, pools and prepared statements."""


def test_connections_and_pools_are_found_in_every_shape(check):
    report = check("""
        import asyncpg
        from asyncpg import Pool
        from asyncpg.pool import Pool as TypedPool

        async def connected():
            connection = await asyncpg.connect("")
            await connection.fetch("SELECT a FROM t WHERE b = $1", 1)  # -> SELECT a FROM t WHERE b = ?
            await connection.fetchval("SELECT count(*) FROM t", column=0)  # -> SELECT COUNT(*) FROM t
            await connection.executemany("INSERT INTO t VALUES ($1)", [])  # -> INSERT INTO t VALUES (?)
            await connection.copy_records_to_table("t", records=[])  # -> COPY t
            await connection.copy_from_query("SELECT a FROM t", output="f")  # -> SELECT a FROM t
            async with connection.transaction():
                async for row in connection.cursor("SELECT a FROM t"):  # -> SELECT a FROM t
                    row.get("a")

        async def pooled():
            async with asyncpg.create_pool("") as pool:
                await pool.fetchrow("SELECT a FROM t")  # -> SELECT a FROM t
                async with pool.acquire() as connection:
                    await connection.execute("DELETE FROM t")  # -> DELETE FROM t
                lent = await pool.acquire()
                statement = await lent.prepare("SELECT b FROM t WHERE a = $1")
                await statement.fetchrow(1)  # -> SELECT b FROM t WHERE a = ?

        class Store:
            _pool: Pool | None = None

            async def load(self, typed: TypedPool, bare: "asyncpg.Connection"):
                await self._pool.fetch("SELECT a FROM t")  # -> SELECT a FROM t
                await typed.execute("DELETE FROM t")  # -> DELETE FROM t
                await bare.execute("DELETE FROM t")  # -> DELETE FROM t
    """)
    assert all(site.is_async and site.library == "asyncpg" for site in report.call_sites)


def test_what_sends_no_statement_is_none(check):
    check("""
        import asyncpg

        async def load(store):
            connection = await asyncpg.connect("")
            statement = await connection.prepare("SELECT a FROM t")
            statement.get_parameters()
            await connection.add_listener("c", print)
            await connection.set_type_codec("json", schema="pg_catalog", encoder=str, decoder=str)
            await connection.close()
            await store.fetch("SELECT a FROM t")
            await store.fetchrow("SELECT a FROM t")
            record = asyncpg.Record()
            record.get("a")
    """)
