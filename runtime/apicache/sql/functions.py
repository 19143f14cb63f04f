"""Functions that a cached query may call: they read nothing but their arguments, and answer alike each time.

A function that is not named here may write, wait or draw a number, or be the application's own: its query is refused.
From SQLite's https://sqlite.org/lang_corefunc.html and its neighbours, and PostgreSQL's
https://www.postgresql.org/docs/current/functions.html (provolatile `i`, or `s` for what follows a reported setting).
"""

import re
from typing import Final

_AGGREGATES: Final = """
    any_value array_agg avg bit_and bit_or bit_xor bool_and bool_or corr count covar_pop covar_samp every group_concat
    json_agg json_arrayagg json_group_array json_group_object json_object_agg json_objectagg jsonb_agg
    jsonb_group_array jsonb_group_object jsonb_object_agg listagg max median min mode percentile percentile_cont
    percentile_disc range_agg regr_avgx regr_avgy regr_count regr_intercept regr_r2 regr_slope regr_sxx regr_sxy
    regr_syy stddev stddev_pop stddev_samp string_agg sum total var_pop var_samp variance xmlagg
"""
_WINDOWS: Final = """
    cume_dist dense_rank first_value lag last_value lead nth_value ntile percent_rank rank row_number
"""
_NUMBERS: Final = """
    abs acos acosh asin asinh atan atan2 atanh cbrt ceil ceiling cos cosh cot degrees div exp factorial floor gcd lcm ln
    log log10 log2 max min min_scale mod pi pow power radians round scale sign sin sinh sqrt tan tanh trim_scale trunc
    truncate width_bucket
"""
_TEXTS: Final = """
    ascii bit_count bit_length btrim char char_length character_length chr concat concat_ws convert_from convert_to
    decode encode format get_bit get_byte glob hex initcap instr isnull left length like likelihood likely locate lower
    lpad ltrim md5 normalize octet_length overlay position printf quote quote_ident quote_literal quote_nullable
    regexp_count regexp_instr regexp_like regexp_match regexp_matches regexp_replace regexp_split_to_array
    regexp_split_to_table regexp_substr repeat replace reverse right rpad rtrim sha224 sha256 sha384 sha512 soundex
    split_part starts_with string_to_array string_to_table strpos substr substring substring_index to_hex translate trim
    unhex unicode unistr unlikely upper zeroblob
"""
_CHOICES: Final = """
    coalesce greatest if ifnull iif least nullif num_nonnulls num_nulls typeof pg_typeof
"""
_TIMES: Final = """
    date date_add date_bin date_format date_part date_sub date_trunc datediff datetime day dayofmonth dayofweek
    dayofyear extract hour isfinite julianday justify_days justify_hours justify_interval make_date make_interval
    make_time make_timestamp make_timestamptz minute month quarter second strftime time timediff timestampdiff
    to_char to_date to_number to_timestamp unixepoch week weekday year
"""
_COLLECTIONS: Final = """
    array_append array_cat array_dims array_fill array_length array_lower array_ndims array_position array_positions
    array_prepend array_remove array_replace array_to_json array_to_string array_upper cardinality generate_series
    generate_subscripts isempty lower_inc lower_inf multirange range_merge trim_array unnest upper_inc upper_inf
    int4range int8range numrange daterange tsrange tstzrange
"""
_DOCUMENTS: Final = """
    json json_array json_array_elements json_array_elements_text json_array_length json_build_array json_build_object
    json_contains json_each json_each_text json_extract json_extract_path json_extract_path_text json_insert json_keys
    json_length json_object json_object_keys json_patch json_quote json_remove json_replace json_set json_strip_nulls
    json_to_record json_to_recordset json_tree json_type json_typeof json_unquote json_valid json_value jsonb
    jsonb_array jsonb_array_elements jsonb_array_elements_text jsonb_array_length jsonb_build_array jsonb_build_object
    jsonb_each jsonb_each_text jsonb_extract jsonb_extract_path jsonb_extract_path_text jsonb_insert jsonb_object
    jsonb_object_keys jsonb_patch jsonb_path_exists jsonb_path_match jsonb_path_query jsonb_path_query_array
    jsonb_path_query_first jsonb_pretty jsonb_remove jsonb_replace jsonb_set jsonb_strip_nulls jsonb_to_record
    jsonb_to_recordset jsonb_typeof row_to_json to_json to_jsonb
"""


def words(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


PURE: Final = words(f"{_AGGREGATES} {_WINDOWS} {_NUMBERS} {_TEXTS} {_CHOICES} {_TIMES} {_COLLECTIONS} {_DOCUMENTS}")
CLOCKS: Final = {
    "date": 1,
    "time": 1,
    "datetime": 1,
    "julianday": 1,
    "unixepoch": 1,
    "strftime": 2,
    "timediff": 2,
}
"""SQLite's functions that read the clock when they are given fewer arguments than these."""

EFFECTFUL: Final = re.compile(
    r"nextval|setval|set_config|load_extension|writefile|sleep|benchmark|get_lock|release_\w*lock\w*|dblink\w*|lo_\w+|txid_\w+"
    r"|pg_(?:sleep|advisory|try_advisory|notify|terminate|cancel|reload|rotate|switch|create|drop|replication|logical)\w*"
)
"""Functions that write, wait, lock or act on the server; in lower case."""

VOLATILE_WORDS: Final = words(
    """
    CURRENT_CATALOG CURRENT_DATE CURRENT_ROLE CURRENT_SCHEMA CURRENT_TIME CURRENT_TIMESTAMP CURRENT_USER LOCALTIME
    LOCALTIMESTAMP SESSION_USER SYSDATE SYSTEM_USER TABLESAMPLE USER UTC_DATE UTC_TIME UTC_TIMESTAMP
    """
)
"""Words that stand for the time, for who asks, or for a drawn sample."""

EFFECTS: Final = words(
    """
    ALTER ANALYZE ATTACH CALL COPY CREATE DELETE DETACH DO DROP EXEC EXECUTE GRANT HANDLER INSERT INTO LOAD LOCK MERGE
    NOTIFY PRAGMA REFRESH REINDEX REVOKE TRUNCATE UPDATE VACUUM
    """
)
"""Words that a read has only as quoted names."""
