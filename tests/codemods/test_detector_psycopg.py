"""The psycopg, psycopg2 and psycopg_pool detectors: connections, pools, composed statements, helpers."""


def test_psycopg_is_found_in_every_shape(check):
    check("""
        import psycopg
        from psycopg import AsyncConnection, sql
        from psycopg.rows import dict_row
        from psycopg_pool import AsyncConnectionPool, ConnectionPool

        with psycopg.connect("dbname=x", row_factory=dict_row) as connection:
            connection.execute("SELECT a FROM t WHERE b = %s", (1,)).fetchall()  # -> SELECT a FROM t WHERE b = ?
            with connection.cursor() as cursor:
                cursor.execute("SELECT a FROM t")  # -> SELECT a FROM t
                for row in cursor.stream("SELECT b FROM t"):  # -> SELECT b FROM t
                    row.get("a")
                with cursor.copy("COPY t FROM STDIN") as copy:  # -> COPY t FROM STDIN
                    copy.write(b"")
                cursor.execute(sql.SQL("SELECT a FROM {}").format(sql.Identifier("t")))  # -> SELECT a FROM {}

        pool = ConnectionPool("")
        with pool.connection() as lent:
            lent.execute("DELETE FROM t")  # -> DELETE FROM t

        class Store:
            pool: AsyncConnectionPool

            async def load(self):
                async with self.pool.connection() as connection, connection.cursor() as cursor:
                    await cursor.execute("SELECT a FROM t")  # -> SELECT a FROM t

        async def typed(connection: AsyncConnection):
            await connection.execute("SELECT a FROM t")  # -> SELECT a FROM t
            async with connection.transaction():
                await connection.set_autocommit(True)
    """)


def test_psycopg2_is_found_in_every_shape(check):
    check("""
        import psycopg2
        import psycopg2.extras
        from psycopg2 import sql
        from psycopg2.extras import RealDictCursor, execute_values
        from psycopg2.pool import SimpleConnectionPool

        connection = psycopg2.connect(dbname="x")
        cursor = connection.cursor(cursor_factory=RealDictCursor)
        cursor.execute("SELECT a FROM t WHERE b = %(b)s", {"b": 1})  # -> SELECT a FROM t WHERE b = ?
        cursor.copy_expert("COPY t TO STDOUT", out)  # -> COPY t TO STDOUT
        cursor.copy_from(rows, "t")  # -> COPY t
        cursor.execute(sql.SQL("SELECT {} FROM t").format(sql.Identifier("a")))  # -> SELECT {} FROM t
        execute_values(cursor, "INSERT INTO t VALUES %s", rows)  # -> INSERT INTO t VALUES ?
        psycopg2.extras.execute_batch(cursor, "DELETE FROM t WHERE a = %s", rows)  # -> DELETE FROM t WHERE a = ?

        pool = SimpleConnectionPool(1, 2)
        lent = pool.getconn()
        with lent:
            with lent.cursor() as c:
                c.execute("SELECT a FROM t")  # -> SELECT a FROM t
        pool.putconn(lent)
    """)


def test_what_sends_no_statement_is_none(check):
    check("""
        import psycopg
        import psycopg2
        from psycopg import sql
        from psycopg2.extras import Json

        sql.SQL("SELECT a FROM t").as_string(None)
        Json({"a": 1}).dumps({})
        connection = psycopg2.connect("")
        connection.set_session(autocommit=True)
        connection.cursor().mogrify("SELECT a FROM t")
        connection.cursor().fetchone().get("a")
        psycopg.connect("").notifies()
        psycopg.conninfo.make_conninfo(host="h").encode()
    """)


def test_generic_classes_and_what_a_package_hands_on_lead_to_connections(check):
    check(
        {
            "app/store/base.py": """
            from collections.abc import Iterator
            from contextlib import contextmanager
            from psycopg import Connection, Cursor
            from psycopg.rows import DictRow
            from psycopg_pool import ConnectionPool

            Connectable = Connection[DictRow] | ConnectionPool[Connection[DictRow]]
            QUERY = "SELECT a FROM t"

            class Store:
                QUERY = QUERY

                def __init__(self, connection: Connectable) -> None:
                    self.connection = connection

                @contextmanager
                def cursor(self) -> Iterator[Cursor[DictRow]]:
                    with opened(self.connection) as connection, connection.cursor() as cursor:
                        yield cursor

                def load(self):
                    with self.cursor() as cursor:
                        cursor.execute(self.QUERY + " WHERE b = %s", (1,))  # -> SELECT a FROM t WHERE b = ?
        """,
            "app/store/__init__.py": "from app.store.base import Store",
            "app/main.py": """
            from app.store import Store

            def load(store: Store):
                with store.cursor() as cursor:
                    cursor.execute("SELECT c FROM t")  # -> SELECT c FROM t
        """,
        }
    )
