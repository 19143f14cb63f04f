"""The databases detector; a project's own module of that name is not the library."""


def test_databases_are_found_in_every_shape(check):
    report = check(
        {
            "app/db.py": """
            from databases import Database
            database = Database("sqlite:///app.db")
        """,
            "app/main.py": """
            import databases
            from app.db import database

            async def load(key):
                await database.fetch_all(query="SELECT a FROM t WHERE b=:b")  # -> SELECT a FROM t WHERE b = ?
                await database.fetch_one("SELECT a FROM t")  # -> SELECT a FROM t
                await database.execute_many("INSERT INTO t VALUES (:a)", [])  # -> INSERT INTO t VALUES (?)
                async for row in database.iterate("SELECT a FROM t"):  # -> SELECT a FROM t
                    row.get("a")
                async with database.connection() as connection:
                    await connection.fetch_val("SELECT a FROM t")  # -> SELECT a FROM t
                async with databases.Database("sqlite:///b.db") as other, other.transaction():
                    await other.execute("DELETE FROM t")  # -> DELETE FROM t
        """,
        }
    )
    assert all(site.is_async and site.library == "databases" for site in report.call_sites)


def test_a_module_of_the_project_by_that_name_is_meant(check):
    check(
        {
            "databases.py": """
            class Database:
                async def fetch_all(self, query):
                    return []
        """,
            "main.py": """
            from databases import Database
            async def load():
                await Database().fetch_all("SELECT a FROM t")
        """,
        }
    )


def test_what_sends_no_statement_is_none(check):
    check("""
        from databases import Database, DatabaseURL

        async def load(repository):
            database = Database(DatabaseURL("sqlite:///app.db").replace(database="b"))
            await database.connect()
            await database.disconnect()
            await repository.fetch_all("SELECT a FROM t")
            await repository.execute("SELECT a FROM t")
    """)
