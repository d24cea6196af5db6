"""Spark's functions that an expression of a description may call.

Each is a function of its arguments alone: no clock, no chance, no other rows, no session, no file,
no Java method. Left out as well are functions that may read a time from text without a format
inside (`from_json`, `variant_get`), that encrypt with a random start (`aes_encrypt`), and whose
only effect is an error (`raise_error`). `unix_timestamp` without arguments is the clock.
"""

from __future__ import annotations

from typing import Final

_MATHEMATICS = """
    abs acos acosh asin asinh atan atan2 atanh bin bround cbrt ceil ceiling conv cos cosh cot csc
    degrees div e exp expm1 factorial floor greatest hex hypot least ln log log10 log1p log2 mod
    negative pi pmod positive pow power radians rint round sec sign signum sin sinh sqrt tan tanh
    try_add try_divide try_mod try_multiply try_subtract unhex width_bucket
    bit_count bit_get getbit shiftleft shiftright shiftrightunsigned
"""
_TIMES = """
    add_months convert_timezone date_add date_diff date_format date_from_unix_date date_part
    date_sub date_trunc dateadd datediff datepart day dayname dayofmonth dayofweek dayofyear extract
    from_unixtime from_utc_timestamp hour last_day make_date make_dt_interval make_interval
    make_time make_timestamp make_timestamp_ltz make_timestamp_ntz make_ym_interval minute month
    monthname months_between next_day quarter second time_diff time_trunc timestamp_micros
    timestamp_millis timestamp_seconds to_date to_time to_timestamp to_timestamp_ltz
    to_timestamp_ntz to_unix_timestamp to_utc_timestamp trunc try_make_interval try_make_timestamp
    try_make_timestamp_ltz try_make_timestamp_ntz try_to_date try_to_time try_to_timestamp unix_date
    unix_micros unix_millis unix_seconds unix_timestamp weekday weekofyear year
"""
_TEXTS = """
    ascii base64 bit_length btrim char char_length character_length chr collate collation concat_ws
    contains decode elt encode endswith find_in_set format_number format_string initcap instr
    is_valid_utf8 lcase left len length levenshtein locate lower lpad ltrim luhn_check
    make_valid_utf8 mask octet_length overlay position printf regexp_count regexp_extract
    regexp_extract_all regexp_instr regexp_replace regexp_substr repeat replace right rpad rtrim
    sentences soundex space split split_part startswith substr substring substring_index to_binary
    to_char to_number to_varchar translate trim try_to_binary try_to_number try_validate_utf8 ucase
    unbase64 upper validate_utf8
    parse_url try_parse_url try_url_decode url_decode url_encode
    get_json_object json_array_length json_object_keys
    crc32 hash md5 sha sha1 sha2 xxhash64
"""
_CHOICES = """
    coalesce equal_null if ifnull ilike isnan isnotnull isnull like nanvl not nullif nullifzero nvl
    nvl2 regexp regexp_like rlike when zeroifnull typeof
"""
_CONVERSIONS = """
    bigint binary boolean cast date decimal double float int smallint string time timestamp tinyint
"""
_COLLECTIONS = """
    array array_append array_compact array_contains array_distinct array_except array_insert
    array_intersect array_join array_max array_min array_position array_prepend array_remove
    array_repeat array_size array_union arrays_overlap arrays_zip cardinality concat element_at
    flatten get reverse sequence size slice sort_array try_element_at
    aggregate array_sort exists filter forall map_filter map_zip_with reduce transform
    transform_keys transform_values zip_with
    map map_concat map_contains_key map_entries map_from_arrays map_from_entries map_keys map_values
    str_to_map named_struct struct
"""

# These are read by the parser; Spark does not list them among its functions.
PARSED: Final = frozenset(("try_cast", "timestampadd", "timestampdiff"))

FUNCTIONS: Final = PARSED.union(
    *(
        names.split()
        for names in (_MATHEMATICS, _TIMES, _TEXTS, _CHOICES, _CONVERSIONS, _COLLECTIONS)
    )
)
