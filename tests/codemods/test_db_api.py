"""What holds for every driver with connections and cursors: where each gives them, and what runs a statement."""

import pytest

from apicache_codemods.detector import load_detectors

CONNECT = {
    "sqlite3": ("sqlite3", "sqlite3.connect()"),
    "psycopg": ("psycopg", "psycopg.connect()"),
    "psycopg2": ("psycopg2", "psycopg2.connect()"),
    "pymysql": ("pymysql", "pymysql.connect(host='h')"),
    "MySQLdb": ("MySQLdb", "MySQLdb.connect(db='d')"),
    "mysql": ("mysql.connector", "mysql.connector.connect()"),
    "pyodbc": ("pyodbc", "pyodbc.connect('d')"),
    "cx_Oracle": ("cx_Oracle", "cx_Oracle.connect()"),
    "oracledb": ("oracledb", "oracledb.connect()"),
    "duckdb": ("duckdb", "duckdb.connect()"),
}
ASYNC = {
    "psycopg": ("psycopg", "await psycopg.AsyncConnection.connect()"),
    "aiosqlite": ("aiosqlite", "await aiosqlite.connect('d')"),
    "mysql": ("mysql.connector.aio", "await mysql.connector.aio.connect()"),
    "oracledb": ("oracledb", "oracledb.connect_async()"),
}
POOLS = {
    "psycopg2": ("psycopg2.pool", "psycopg2.pool.ThreadedConnectionPool(1, 2).getconn()"),
    "psycopg": ("psycopg_pool", "psycopg_pool.ConnectionPool('').getconn()"),
    "mysql": ("mysql.connector.pooling", "mysql.connector.pooling.MySQLConnectionPool().get_connection()"),
    "oracledb": ("oracledb", "oracledb.create_pool().acquire()"),
    "cx_Oracle": ("cx_Oracle", "cx_Oracle.SessionPool().acquire()"),
}


@pytest.mark.parametrize("library", CONNECT)
def test_a_cursor_of_a_connection_runs_a_statement(check, library):
    module, connect = CONNECT[library]
    report = check(f"""
        import {module}
        connection = {connect}
        cursor = connection.cursor()
        cursor.execute("SELECT a FROM t WHERE b = %s", (1,))  # -> SELECT a FROM t WHERE b = ?
        cursor.executemany("INSERT INTO t VALUES (?)", [])  # -> INSERT INTO t VALUES (?)
        with {connect} as entered, entered.cursor() as c:
            c.execute("DELETE FROM t")  # -> DELETE FROM t
            c.fetchall()
        connection.commit()
        connection.close()
    """)  # noqa: S608 - a test's source
    assert {(site.library, site.kind, site.is_async) for site in report.call_sites} == {(library, "db", False)}


@pytest.mark.parametrize("library", ASYNC)
def test_an_asynchronous_cursor_runs_a_statement(check, library):
    module, connect = ASYNC[library]
    report = check(f"""
        import {module}
        async def load():
            connection = {connect}
            cursor = await connection.cursor()
            await cursor.execute("SELECT a FROM t")  # -> SELECT a FROM t
            async with connection.cursor() as c:
                await c.execute("DELETE FROM t")  # -> DELETE FROM t
                await c.fetchall()
            await connection.commit()
    """)  # noqa: S608 - a test's source
    assert {(site.library, site.is_async) for site in report.call_sites} == {(library, True)}


@pytest.mark.parametrize("library", POOLS)
def test_a_pool_lends_connections(check, library):
    module, lent = POOLS[library]
    report = check(f"""
        import {module}
        connection = {lent}
        connection.cursor().execute("SELECT a FROM t")  # -> SELECT a FROM t
    """)  # noqa: S608 - a test's source
    assert {site.library for site in report.call_sites} == {library}


@pytest.mark.parametrize("library", ["psycopg2", "pymysql", "MySQLdb", "mysql", "cx_Oracle"])
def test_a_connection_that_cannot_run_statements_is_no_client(check, library):
    module, connect = CONNECT[library]
    check(f"""
        import {module}
        connection = {connect}
        connection.execute("SELECT a FROM t")
        connection.fetchall("SELECT a FROM t")
    """)  # noqa: S608 - a test's source


@pytest.mark.parametrize("library", ["psycopg2", "pymysql", "MySQLdb", "mysql", "cx_Oracle", "oracledb"])
def test_a_stored_procedure_is_called(check, library):
    module, connect = CONNECT[library]
    check(f"""
        import {module}
        cursor = {connect}.cursor()
        cursor.callproc("refresh", [1])  # -> CALL refresh
    """)


def test_every_driver_is_of_kind_db():
    detectors = load_detectors()
    assert {detectors[library].kind for library in {*CONNECT, *ASYNC, *POOLS}} == {"db"}
