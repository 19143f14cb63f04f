"""The written form of SQL: what is one statement and what is two."""

import pytest

from apicache_codemods.sql import is_about_data, statement_of

SAME = {
    "whitespace and lines": ("SELECT a\n  FROM t\tWHERE  b = 1", "SELECT a FROM t WHERE b = 2"),
    "case of keywords": ("select a from t where b is not null", "SELECT a FROM t WHERE b IS NOT NULL"),
    "case of functions": ("SELECT count(*), max(a) FROM t", "SELECT COUNT(*), MAX(a) FROM t"),
    "text literals": ("SELECT a FROM t WHERE b = 'it''s'", "SELECT a FROM t WHERE b = 'x'"),
    "an escaped quote": (r"SELECT a FROM t WHERE b = 'it\'s'", "SELECT a FROM t WHERE b = ''"),
    "numbers and their signs": ("SELECT a FROM t WHERE b > -1.5e3", "SELECT a FROM t WHERE b > 7"),
    "a literal and a placeholder": ("SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = ?"),
    "question mark and format": ("SELECT a FROM t WHERE b=?", "SELECT a FROM t WHERE b=%s"),
    "named and numbered": ("SELECT a FROM t WHERE b = :b AND c=:c", "SELECT a FROM t WHERE b=$1 AND c=$2"),
    "pyformat and at": ("SELECT a FROM t WHERE b = %(b)s", "SELECT a FROM t WHERE b = @b"),
    "lists": ("SELECT a FROM t WHERE b IN (1, 2, 3)", "SELECT a FROM t WHERE b IN (?)"),
    "a list built elsewhere": ("SELECT a FROM t WHERE b IN ({})", "SELECT a FROM t WHERE b in (%s, %s)"),
    "rows": ("INSERT INTO t (a, b) VALUES (?, ?), (?, ?)", "insert into t(a,b) values (1, 'x')"),
    "comments": ("SELECT a -- the first\nFROM /* all */ t", "SELECT a FROM t"),
    "a semicolon": ("SELECT a FROM t;", "SELECT a FROM t"),
    "a hole in a text": ("SELECT a FROM t WHERE b LIKE '%{}%'", "SELECT a FROM t WHERE b LIKE ?"),
    "dollar quotes": ("SELECT $tag$it's$tag$ FROM t", "SELECT ? FROM t"),
}
DIFFERENT = {
    "tables": ("SELECT a FROM t", "SELECT a FROM u"),
    "case of names": ("SELECT a FROM T", "SELECT a FROM t"),
    "columns": ("SELECT a, b FROM t", "SELECT a FROM t"),
    "an order": ("SELECT a FROM t", "SELECT a FROM t ORDER BY a"),
    "a quoted name": ('SELECT "a b" FROM t', "SELECT a FROM t"),
    "null and a value": ("SELECT a FROM t WHERE b IS NULL", "SELECT a FROM t WHERE b IS ?"),
    "a hole and a value": ("SELECT a FROM t WHERE b = {}", "SELECT a FROM t WHERE b = ?"),
    "rows of other columns": ("INSERT INTO t VALUES (?, ?)", "INSERT INTO t VALUES (?)"),
    "a list and a query": ("SELECT a FROM t WHERE b IN (SELECT b FROM u)", "SELECT a FROM t WHERE b IN (?)"),
}
FORMS = {
    "SELECT u.id, u.name FROM users u JOIN b ON u.id=b.id": "SELECT u.id, u.name FROM users u JOIN b ON u.id = b.id",
    "select x::int, a->>'k' from t": "SELECT x::int, a ->> ? FROM t",
    "select * from tbl_{} where a.key = :a": "SELECT * FROM tbl_{} WHERE a.key = ?",
    "update t set a = a - 1, b=:b": "UPDATE t SET a = a - ?, b = ?",
    "create table if not exists t (id integer primary key)": "CREATE TABLE IF NOT EXISTS t(id integer PRIMARY KEY)",
    "select a from t where b like '%%x%%' and c=%s": "SELECT a FROM t WHERE b LIKE ? AND c = ?",
    "SELECT 1; SELECT 2": "SELECT ?; SELECT ?",
    "SELECT {} FROM {}": "SELECT {} FROM {}",
}
VERBS = {
    "select 1": "SELECT",
    "  (SELECT 1) UNION (SELECT 2)": "SELECT",
    "with x as (select 1), y as (select 2) select * from x": "SELECT",
    "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x": "INSERT",
    "/* why */ delete from t": "DELETE",
    "PRAGMA foreign_keys = ON": "PRAGMA",
    "{} FROM t": None,
    "WITH x AS (SELECT 1) {}": None,
}


@pytest.mark.parametrize("texts", SAME.values(), ids=SAME)
def test_texts_are_one_statement_when_they_differ_in(texts):
    assert len({statement_of(text).text for text in texts}) == 1


@pytest.mark.parametrize("texts", DIFFERENT.values(), ids=DIFFERENT)
def test_texts_are_two_statements_when_they_differ_in(texts):
    assert len({statement_of(text).text for text in texts}) == len(texts)


@pytest.mark.parametrize(("written", "form"), FORMS.items())
def test_the_written_form(written, form):
    assert statement_of(written).text == form


@pytest.mark.parametrize("form", FORMS.values())
def test_the_written_form_is_its_own(form):
    assert statement_of(form).text == form


@pytest.mark.parametrize(("written", "verb"), VERBS.items())
def test_the_verb(written, verb):
    assert statement_of(written).verb == verb


@pytest.mark.parametrize("unknown", ["", "  ", "{}", "{}{}", "({})", ";"])
def test_what_holds_nothing_known_is_no_statement(unknown):
    assert statement_of(unknown) is None


def test_a_procedure_is_called():
    assert statement_of("refresh_totals", "CALL").text == "CALL refresh_totals"
    assert statement_of("{}", "CALL") is None


@pytest.mark.parametrize(
    "text", ["SELECT a FROM t", "DELETE FROM t", 'SELECT {} FROM "a"', "INSERT INTO t DEFAULT VALUES", "CALL refresh"]
)
def test_sharing_a_statement_about_data_is_no_coincidence(text):
    assert is_about_data(text)


@pytest.mark.parametrize(
    "text", ["COMMIT", "BEGIN", "ROLLBACK", "SELECT ?", "SELECT a FROM {}", "{}WHERE a = ?", "PRAGMA foreign_keys = ON"]
)
def test_sharing_a_statement_about_nothing_is_coincidence(text):
    assert not is_about_data(text)


def test_text_that_no_dialect_reads_is_still_written():
    assert statement_of("SELECT 'open FROM t").text == "SELECT ?"
    assert statement_of("SELECT /* open").text == "SELECT"
    assert statement_of("§ ¶ a").text == "§ ¶ a"
