"""Which SQL text is a read that may be kept, and what of its spelling identifies it."""

from typing import Any, get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from apicache.errors import UnidentifiableError
from apicache.sql.statements import NotAReadError, check_parameters, read_of
from apicache.sql.tokens import Dialect, tokens_of

READS = [
    "SELECT 1",
    "SELECT a, b AS c FROM t WHERE a = ? AND b IN (1, 2) ORDER BY c LIMIT 3",
    "VALUES (1), (2)",
    "WITH x AS (SELECT 1 AS a), y(b) AS (SELECT 2) SELECT * FROM x, y",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9) SELECT i FROM n",
    "(SELECT a FROM t) UNION (SELECT a FROM u)",
    "SELECT count(*), max(a) FILTER (WHERE b) OVER (PARTITION BY c) FROM t",
    "SELECT CAST(a AS numeric(10, 2)), replace(b, 'x', 'y') FROM t",
    "SELECT 'update; drop table t -- random()' FROM t",
    'SELECT "update", "into" FROM "insert"',
    "SELECT a FROM t /* FOR UPDATE */ -- ; DELETE FROM t",
    "SELECT substring(a FROM 2 FOR 3), extract(year FROM b) FROM t WHERE a IS DISTINCT FROM b;",
    "SELECT t.update FROM t",
    "SELECT date(a), strftime('%Y', a) FROM t",
]
NO_READS = [
    "INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 1",
    "DELETE FROM t",
    "REPLACE INTO t VALUES (1)",
    "CREATE TABLE t (a)",
    "DROP TABLE t",
    "PRAGMA user_version",
    "EXPLAIN SELECT 1",
    "EXPLAIN ANALYZE DELETE FROM t",
    "TRUNCATE t",
    "CALL f()",
    "COPY t TO STDOUT",
    "BEGIN",
    "TABLE t",
    "SELECT 1; SELECT 2",
    "SELECT 1; DROP TABLE t",
    "SELECT * INTO u FROM t",
    "SELECT a FROM t INTO OUTFILE 'x'",
    "WITH d AS (DELETE FROM t RETURNING *) SELECT * FROM d",
    "WITH d AS (SELECT 1) INSERT INTO t SELECT * FROM d",
    "WITH d AS (UPDATE t SET a = 1 RETURNING a) SELECT a FROM d",
    "SELECT * FROM t FOR UPDATE",
    "SELECT * FROM t FOR NO KEY UPDATE SKIP LOCKED",
    "SELECT * FROM t FOR /* x */ SHARE",
    "SELECT * FROM t LOCK IN SHARE MODE",
    "SELECT nextval('s')",
    "SELECT setval('s', 1)",
    "SELECT NEXT VALUE FOR s",
    "SELECT pg_advisory_lock(1)",
    "SELECT pg_sleep(1)",
    "SELECT lo_unlink(1)",
    "SELECT set_config('a', 'b', false)",
    "SELECT load_extension('x')",
]
NOT_KEPT = [
    "SELECT now()",
    "SELECT random()",
    "SELECT a FROM t ORDER BY random()",
    "SELECT gen_random_uuid()",
    "SELECT clock_timestamp ()",
    'SELECT "now" ()',
    "SELECT current_timestamp",
    "SELECT a FROM t WHERE b > CURRENT_DATE - 1",
    "SELECT current_user",
    "SELECT current_setting('app.tenant')",
    "SELECT last_insert_rowid()",
    "SELECT changes()",
    "SELECT my_function(a) FROM t",
    "SELECT app.lower(a) FROM t",
    "SELECT * FROM t, evil(1) AS (a int)",
    "SELECT a FROM t TABLESAMPLE SYSTEM (1)",
    "SELECT date('now')",
    "SELECT date()",
    "SELECT strftime('%s')",
    "SELECT datetime(a, 'localtime') FROM t",
    "SELECT 'now'::timestamp",
    "SELECT a FROM t WHERE b > 'yesterday'",
    "SELECT a FROM t WHERE b > 'tomorrow 10:00'",
    "",
    "-- nothing",
    ";",
    "SELECT 'a",
    'SELECT "a',
    "SELECT 1 /* a",
    "SELECT f(1",
    "SELECT /*! sleep(1) */ 1",
    "SELECT 'a'\n'b'",
    "SELECT \x00",
]


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql"])
@pytest.mark.parametrize("sql", READS)
def test_a_read_is_taken(sql: str, dialect: Any) -> None:
    assert read_of(sql, dialect).text


@pytest.mark.parametrize("dialect", sorted(get_args(Dialect)))
@pytest.mark.parametrize("sql", NO_READS)
def test_what_changes_or_locks_is_no_read(sql: str, dialect: Any) -> None:
    with pytest.raises(NotAReadError):
        read_of(sql, dialect)


@pytest.mark.parametrize("dialect", sorted(get_args(Dialect)))
@pytest.mark.parametrize("sql", NOT_KEPT)
def test_what_may_answer_otherwise_each_time_is_refused(sql: str, dialect: Any) -> None:
    with pytest.raises(UnidentifiableError):
        read_of(sql, dialect)


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("SELECT $$it's; random()$$ AS a", "postgresql"),
        ("SELECT $tag$ $$ $tag$ AS a", "postgresql"),
        ("SELECT E'it''s; random()' AS a", "postgresql"),
        ("SELECT a %% %(b_1)s::INTEGER, a % %s FROM t WHERE c = %(c)s", "postgresql"),
        ("SELECT 1 /* a /* b */ now() */ AS a", "postgresql"),
        ("SELECT a ? 'b', a @> '{}', a[1:2] FROM t WHERE b = ANY($1::int[])", "postgresql"),
        ('SELECT "now", "today" FROM t', "postgresql"),
        ("SELECT [now()] FROM [a;b]", "sqlite"),
        ("SELECT `now` FROM t WHERE a = :a AND b = @b AND c = $c AND d = ?1", "sqlite"),
        ("SELECT a FROM t # now()\n", "mysql"),
        ("SELECT `a` FROM t WHERE b = %s AND c = %(c)s", "mysql"),
    ],
)
def test_each_dialect_quotes_in_its_own_way(sql: str, dialect: Any) -> None:
    assert read_of(sql, dialect).text


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("SELECT $$a; DELETE FROM t", "postgresql"),
        ("SELECT 'it\\'; DROP TABLE t; --'", "postgresql"),  # a backslash escapes nothing there
        ("SELECT 1 /* a /* b */ AS a", "postgresql"),
        ("SELECT 1 /* a /* b */ now() */", "sqlite"),  # comments do not nest there
        ("SELECT 'it\\'s'", "mysql"),
        ("SELECT @a := 1", "mysql"),
        ('SELECT date("now")', "sqlite"),
        ('SELECT a FROM t WHERE b > "yesterday"', "mysql"),
        ("SELECT @@version", "mysql"),
    ],
)
def test_what_a_dialect_reads_otherwise_is_refused(sql: str, dialect: Any) -> None:
    with pytest.raises(UnidentifiableError):
        read_of(sql, dialect)


@pytest.mark.parametrize(
    ("sql", "dialect"),
    [
        ("SELECT @nextval('s')", "postgresql"),  # the absolute value
        ("SELECT a =@nextval('s') FROM t", "postgresql"),
        ("SELECT 10 %(SELECT nextval('s')s)", "postgresql"),
        ("SELECT 10 %(current_user)s", "postgresql"),
        ("SELECT 10 %slower(1)", "postgresql"),
        ("SELECT 10 %s /* a */ (1)", "postgresql"),
        ("SELECT 10 %s(1)", "mysql"),
        ("SELECT 10 %s(1)", "sqlite"),
        ("SELECT a[(1):f(1)] FROM t", "postgresql"),
        ("SELECT $x(1)", "sqlite"),
        ("SELECT $x", "postgresql"),
    ],
)
def test_what_one_dialect_alone_reads_as_a_parameter_hides_no_call(sql: str, dialect: Any) -> None:
    with pytest.raises(UnidentifiableError):
        read_of(sql, dialect)


@pytest.mark.parametrize("sql", ["SELECT 1 /* /*/ ' */ */ INTO t2 --'", "SELECT 1 /* /*/ ' */ */ ; DELETE FROM t --'"])
def test_a_nested_comment_begins_before_it_can_end(sql: str) -> None:
    with pytest.raises(NotAReadError):
        read_of(sql, "postgresql")
    assert read_of("SELECT 1 /*/ now() */ AS a", "sqlite").text == "SELECT 1 AS a"


CONTEXTUAL = ["BY", "CROSS", "CUBE", "FILTER", "FULL", "ILIKE", "INNER", "MATERIALIZED", "NATURAL", "PARTITION", "ROWS"]
CONTEXTUAL += ["RECURSIVE", "ROLLUP", "SETS", "SIMILAR", "WITHIN"]
UNRESERVED = ["ANY", "ARRAY", "DECIMAL", "INTERVAL", "LATERAL", "NUMERIC", "OFFSET", "ONLY", "OVER", "ROW", "SOME"]


@pytest.mark.parametrize("dialect", sorted(get_args(Dialect)))
@pytest.mark.parametrize("word", CONTEXTUAL)
def test_a_function_named_like_a_keyword_is_refused(word: str, dialect: Any) -> None:
    for sql in (f"SELECT {word}(1)", f"SELECT a FROM t ORDER BY {word.lower()} (1)"):  # noqa: S608 - text under test
        with pytest.raises(UnidentifiableError):
            read_of(sql, dialect)


@pytest.mark.parametrize("word", UNRESERVED)
def test_what_sqlite_does_not_reserve_is_a_function_there(word: str) -> None:
    with pytest.raises(UnidentifiableError):
        read_of(f"SELECT {word}(1)", "sqlite")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT a, sum(b) OVER (PARTITION BY (c)) FROM t",
        "SELECT a FROM t JOIN (SELECT 1 AS b) u ON (a = b) JOIN LATERAL (SELECT 2) v ON (TRUE)",
        "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY a) FILTER (WHERE b) FROM t",
        "SELECT a FROM t GROUP BY CUBE (a)",
        "SELECT a FROM t GROUP BY GROUPING SETS ((a), ())",
        "WITH x AS NOT MATERIALIZED (SELECT 1) SELECT * FROM x ORDER BY (1)",
        "SELECT ROW(1, 2), ARRAY(SELECT 1), a::numeric(10, 2) FROM t WHERE a = ANY (SELECT 1)",
    ],
)
def test_a_keyword_in_its_place_is_no_function(sql: str) -> None:
    assert read_of(sql, "postgresql").text


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT '{now}'::timestamptz[]",
        "SELECT '[now,infinity)'::tstzrange",
        "SELECT 'today 10:00 UTC'::timestamptz",
        "SELECT $$today10:00$$::timestamptz",
        "SELECT U&'\\006eow'::timestamptz",
        "SELECT E'\\x6eow'::timestamptz",
        "SELECT ('no'||'w')::timestamptz",
        "SELECT ('no'||'w')::text::timestamptz",
        "SELECT ('no'||'w')::varchar(9)::timestamptz",
        "SELECT ('no'||'w')::character varying::timestamptz",
        "SELECT CAST('no'||'w' AS timestamptz)",
        "SELECT (CAST('no'||'w' AS text))::date",
        "SELECT date('no'||'w')",
        "SELECT reverse('won')::timestamptz",
        "SELECT CASE WHEN a THEN 'no'||'w' END::timestamptz FROM t",
        "SELECT (ARRAY['no'||'w'])::timestamptz[]",
        "SELECT b::timestamptz FROM (SELECT 'no'||'w' AS b) u",
        "SELECT b::timestamptz FROM concat('no', 'w') b",
    ],
)
def test_the_clock_in_a_text_of_postgresql_is_found(sql: str) -> None:
    with pytest.raises(UnidentifiableError):
        read_of(sql, "postgresql")


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT t.a::date, date_trunc('day', a)::date, CAST(a AS date), max(a) AS date FROM t",
        "SELECT a FROM t WHERE a > $1::timestamptz AND b < ('2020-01-01')::date AND c = 'nowhere'",
        "SELECT (a || 'x')::text, (a || ' days')::interval, date(a), count(*)::int FROM t",
    ],
)
def test_a_cast_that_reads_no_clock_is_taken(sql: str) -> None:
    assert read_of(sql, "postgresql").text


@pytest.mark.parametrize("value", ["{now}", "[today,infinity)", "tomorrow 10:00 UTC"])
def test_a_moment_within_a_parameter_is_refused_for_postgresql(value: str) -> None:
    check_parameters(read_of("SELECT a", "sqlite"), [value])
    with pytest.raises(UnidentifiableError, match="current time"):
        check_parameters(read_of("SELECT a", "postgresql"), [value])


@pytest.mark.parametrize("dialect", ["postgresql", "mysql"])
@pytest.mark.parametrize(
    "table",
    ["pg_settings", "pg_catalog.pg_settings", '"pg_stat_activity"', "pg_locks", "performance_schema.session_variables"],
)
def test_what_tells_of_the_session_is_refused(table: str, dialect: Any) -> None:
    if dialect == "mysql" and table.startswith('"'):
        table = table.replace('"', "`")
    with pytest.raises(UnidentifiableError, match="session"):
        read_of(f"SELECT * FROM {table} WHERE name = 'search_path'", dialect)  # noqa: S608 - text under test


@pytest.mark.parametrize("name", ["pragma_foreign_keys", '"PRAGMA_cache_size"', "'pragma_cache_size'", "[pragma_x]"])
def test_a_pragma_read_as_a_table_is_refused(name: str) -> None:
    with pytest.raises(UnidentifiableError, match="setting of its connection"):
        read_of(f"SELECT * FROM {name}", "sqlite")  # noqa: S608 - text under test


@pytest.mark.parametrize(
    ("sql", "tables"),
    [
        ("SELECT * FROM users", ("users",)),
        (
            'SELECT * FROM Users u JOIN app.Orders AS o ON u.id = o.user, "Other" WHERE 1',
            ("Other", "app.orders", "users"),
        ),
        ("SELECT * FROM (SELECT * FROM a) x WHERE y IN (SELECT z FROM b) UNION SELECT 1 FROM c", ("a", "b", "c")),
        ("SELECT * FROM (a JOIN b ON a.x = b.x), c", ("a", "b", "c")),
        ("WITH users AS (SELECT * FROM users) SELECT * FROM users", ("users",)),
        ("SELECT (SELECT max(extract(year FROM d)) FROM a) FROM b WHERE c IS DISTINCT FROM d", ("a", "b")),
        ("SELECT 1", ()),
        ("SELECT * FROM generate_series(1, 2)", None),
        ("SELECT * FROM a WHERE x IN b", None),
        ("WITH x AS (TABLE a) SELECT * FROM x", None),
    ],
)
def test_tables_are_told_where_that_is_certain(sql: str, tables: Any) -> None:
    assert read_of(sql, "postgresql").tables == tables


def test_tags_name_a_table_with_and_without_its_schema() -> None:
    assert read_of("SELECT * FROM app.users", "postgresql").tags == ("table:app.users", "table:users")


@pytest.mark.parametrize(
    ("sql", "is_spelled"),
    [
        ("SELECT a, t.b, c AS d, count(*) AS n, t.*, * FROM t", False),
        ("SELECT DISTINCT a FROM t", False),
        ("SELECT count(*) FROM t", True),
        ("SELECT a + 1 FROM t", True),
        ("SELECT * FROM (SELECT a+1 FROM t)", True),
        ("SELECT a b FROM t", True),
    ],
)
def test_a_column_named_by_its_spelling_is_told(sql: str, is_spelled: bool) -> None:
    assert read_of(sql, "sqlite").is_spelled is is_spelled
    assert not read_of(sql, "postgresql").is_spelled


@pytest.mark.parametrize("value", ["now", " NOW ", "today", "yesterday 10:00"])
def test_a_parameter_that_may_mean_the_current_time_is_refused(value: str) -> None:
    with pytest.raises(UnidentifiableError, match="current time"):
        check_parameters(read_of("SELECT ?", "sqlite"), [1, value])


def test_a_time_zone_as_a_parameter_is_refused_beside_a_time_function_alone() -> None:
    check_parameters(read_of("SELECT ?", "sqlite"), ["utc", "nowhere", None])
    with pytest.raises(UnidentifiableError):
        check_parameters(read_of("SELECT date(a, ?) FROM t", "sqlite"), ["localtime"])


names = st.sampled_from(["a", "b", "SELECT", "FROM", "é", "x1"])
literals = st.one_of(
    st.integers(0, 99).map(str),
    st.text("ab '-/*;\n\"", max_size=5).map(lambda text: "'" + text.replace("'", "''") + "'"),
    st.text("ab -/*;'", min_size=1, max_size=4).map(lambda text: f'"{text}"'),
)
marks = st.sampled_from(["(", ")", ",", "=", "<=", "||", "?"])
gaps = st.lists(
    st.sampled_from([" ", "\n", "\t", "/* x ' \" ; */", "-- y ' ;\n", "/**/", "--\n"]), min_size=1, max_size=3
).map("".join)
spelled = st.lists(st.one_of(names, literals, marks), min_size=1, max_size=12)


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "mysql"])
@given(data=st.data())
def test_whitespace_and_comments_are_no_part_of_the_tokens(dialect: Any, data: st.DataObject) -> None:
    parts = data.draw(spelled)
    text = "".join(part + data.draw(gaps).replace("--\n", "-- \n") for part in parts)
    assert [token.text for token in tokens_of(text, dialect)] == parts
    assert [token.text for token in tokens_of(" ".join(parts), dialect)] == parts


@given(first=gaps, second=gaps, value=st.text("ab'; -", max_size=5))
def test_comments_and_whitespace_never_change_what_identifies_a_query(first: str, second: str, value: str) -> None:
    literal = "'" + value.replace("'", "''") + "'"
    plain = read_of(f"SELECT a FROM t WHERE b = {literal}", "sqlite")  # noqa: S608 - text under test
    assert read_of(f"SELECT{first}a{second}FROM{first}t WHERE b{second}={first}{literal}{second};", "sqlite") == plain


@given(one=st.text("ab' -/*;\n", max_size=6), other=st.text("ab' -/*;\n", max_size=6))
def test_another_literal_is_another_query(one: str, other: str) -> None:
    assume(one != other)
    texts = {
        read_of("SELECT a FROM t WHERE b = '" + each.replace("'", "''") + "'", "postgresql").text  # noqa: S608 - text under test
        for each in (one, other)
    }
    assert len(texts) == 2


@given(
    st.text(st.sampled_from("SELECTselect fromt'\"`$[]()*/-;:@?%\\\n1.,=#"), max_size=30),
    st.sampled_from(sorted(get_args(Dialect))),
)
def test_any_text_is_read_or_refused_and_its_normal_form_is_a_fixed_point(sql: str, dialect: Any) -> None:
    try:
        tokens = tokens_of(sql, dialect)
    except UnidentifiableError:
        return
    joined = " ".join(token.text for token in tokens)
    assert tokens_of(joined, dialect) == tokens
