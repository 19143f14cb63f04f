"""The sqlite3 detector: connections and cursors, and all that also has `execute`."""


def test_connections_and_cursors_are_found_in_every_shape(check):
    report = check("""
        import sqlite3
        import textwrap
        from contextlib import closing, contextmanager
        from sqlite3 import connect as open_database

        TABLE = "users"
        LONG = "  SELECT a" "  FROM t  "
        QUERY = "SELECT name FROM users WHERE id = ?"

        connection = sqlite3.connect("app.db")
        cursor = connection.cursor()
        cursor.execute("select name from users where id=?", (1,))  # -> SELECT name FROM users WHERE id = ?
        connection.execute(QUERY, (1,)).fetchone()  # -> SELECT name FROM users WHERE id = ?
        connection.executemany("INSERT INTO users VALUES (?, ?)", [])  # -> INSERT INTO users VALUES (?, ?)
        cursor.executescript("CREATE TABLE t (a); DELETE FROM t;")  # -> CREATE TABLE t(a); DELETE FROM t
        rows = connection.cursor().execute(f"SELECT * FROM {TABLE}").fetchall()  # -> SELECT * FROM users
        again = connection.execute("SELECT 1 FROM t")  # -> SELECT ? FROM t
        again.execute("SELECT 2 FROM t")  # -> SELECT ? FROM t

        with open_database("app.db") as entered:
            entered.execute(textwrap.dedent(LONG))  # -> SELECT a FROM t

        with closing(sqlite3.connect("app.db")) as closed, closing(closed.cursor()) as c:
            c.execute("DELETE FROM t WHERE a = %s" % 1)  # -> DELETE FROM t WHERE a = ?

        @contextmanager
        def database():
            yield sqlite3.connect("app.db")

        def managed(table):
            with database() as db:
                return db.execute("SELECT * FROM " + table + " LIMIT 5")  # -> SELECT * FROM {} LIMIT ?

        class Store:
            def __init__(self, path):
                self._db = sqlite3.connect(path)
                self._db.row_factory = sqlite3.Row

            @property
            def cursor(self):
                return self._db.cursor()

            def load(self, key):
                return self.cursor.execute("SELECT a FROM t WHERE b=:k", key)  # -> SELECT a FROM t WHERE b = ?

            def run(self, sql):
                with self._db:
                    self._db.execute(sql)  # -> ?

        def typed(db: sqlite3.Connection, c: "sqlite3.Cursor"):
            db.execute("BEGIN")  # -> BEGIN
            c.execute("UPDATE t SET a = ? WHERE b IN (?, ?)")  # -> UPDATE t SET a = ? WHERE b IN (?)
    """)
    assert {site.kind for site in report.call_sites} == {"db"}
    assert {site.sql for site in report.call_sites} == {site.endpoint for site in report.call_sites}


def test_sites_of_one_statement_are_a_duplicate_group(project):
    report = project.scan("""
        import sqlite3
        db = sqlite3.connect("app.db")
        db.execute("SELECT a FROM t WHERE b = 1")
        db.execute("select a from t where b=?", (2,))
        db.execute("SELECT a FROM u WHERE b = ?", (2,))
        db.execute("COMMIT")
        db.execute("COMMIT")
    """)
    (group,) = report.duplicate_groups
    assert (group.endpoint, group.sites) == ("SELECT a FROM t WHERE b = ?", (("app.py", 4), ("app.py", 5)))
    first, *_ = report.call_sites
    assert (first.method, first.sql, first.operation) == ("SELECT", group.endpoint, "select_t")


def test_a_wrapper_that_takes_a_statement_is_followed(project):
    report = project.scan("""
        import sqlite3
        class Store:
            def __init__(self):
                self.db = sqlite3.connect("app.db")
            def query(self, sql, *args):
                return self.db.execute(sql, args).fetchall()
        store = Store()
        store.query("SELECT a FROM t WHERE b = ?", 1)
    """)
    assert [(site.line, site.endpoint) for site in report.call_sites] == [(7, None)]
    assert [(call.line, call.endpoint) for call in report.wrapper_calls] == [(9, "SELECT a FROM t WHERE b = ?")]


def test_what_sends_no_statement_is_none(check):
    check("""
        import sqlite3
        from concurrent.futures import ThreadPoolExecutor

        db = sqlite3.connect("app.db")
        db.commit()
        db.rollback()
        db.close()
        db.create_function("f", 1, len)
        db.backup(sqlite3.connect(":memory:"))
        cursor = db.cursor()
        cursor.fetchone()
        cursor.fetchall()
        sqlite3.Row.keys({})
        sqlite3.complete_statement("SELECT 1;")

        class Command:
            def execute(self, sql):
                return sql

        Command().execute("SELECT 1")
        command.execute("SELECT 1")

        def run(executor, job, pipeline):
            executor.execute("SELECT 1")
            job.execute()
            pipeline.execute(raise_on_error=False)
            row = cursor.fetchone()
            row.get("a")
            row.execute("SELECT 1")

        def hidden(db):
            return db
    """)
