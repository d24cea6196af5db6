"""Expressions without Spark: what they name, and what they must not."""

from __future__ import annotations

import pytest

from retraining.description.expressions import find_foreign, names_in

NAMES = ("x", "n", "s", "at", "label")


@pytest.mark.parametrize(
    ("expression", "words"),
    [
        ("CAST(tx_amount > 5 AS INT)", {"cast", "tx_amount", "as", "int"}),
        ("concat('tx_fraud', \"tx_fraud\")", {"concat"}),
        ("'it\\'s tx_fraud' || x", {"x"}),
        ("'it''s tx_fraud' || x", {"x"}),
        ("r'\\' || tx_fraud", {"tx_fraud"}),
        ("`tx fraud` + `TX_FRAUD`", {"tx fraud", "tx_fraud"}),
    ],
)
def test_names_stand_outside_of_texts(expression: str, words: set[str]) -> None:
    assert names_in(expression) == words


@pytest.mark.parametrize(
    "expression",
    [
        "X * n + (x) * 2 - 1.5e-3D * `n`",
        "CASE WHEN n BETWEEN 1 AND 2 OR s IN ('now', 'today') THEN 'label()' ELSE s END",
        "CAST(n AS DECIMAL(9, 2)) / 3L + n::double",
        "datediff(at, DATE '2024-01-01') + datediff(at, timestamp'2024-01-01 12:30')",
        "extract(YEAR FROM at) + unix_timestamp(at) + timestampdiff(DAY, at, at)",
        "at + INTERVAL '3' DAY + INTERVAL 2 HOURS",
        "aggregate(transform(array(n), v -> v + 1), 0, (a, b) -> a + b)[0]",
        "named_struct('field', n).field IS NOT DISTINCT FROM length(X'1F')",
        "s RLIKE r'\\d+' AND s LIKE ANY ('a%', 'b%') AND NOT isnull(s)",
        "trim(BOTH ' ' FROM s) || substring(s FROM 1 FOR 2) || overlay(s PLACING 'a' FROM 1)",
    ],
)
def test_functions_of_one_row_are_allowed(expression: str) -> None:
    assert find_foreign(expression, NAMES) == []


@pytest.mark.parametrize(
    ("expression", "foreign"),
    [
        ("unix_timestamp ( )", ["unix_timestamp()"]),
        ("n + unix_timestamp()", ["unix_timestamp()"]),
        ("localtime() || current_time(3) || `NOW` ()", ["localtime()", "current_time()", "now()"]),
        ("current_date", ["current_date"]),
        ("current_timestamp > at", ["current_timestamp"]),
        ("session_user || user", ["session_user", "user"]),
        ("date 'today'", ["date'today'"]),
        ("DATE\n r'tomorrow'", ["dater'tomorrow'"]),
        ('timestamp_ntz"now"', ['timestamp_ntz"now"']),
        ("timestamp '12:30'", ["timestamp'12:30'"]),
        ("date 'tod\\u0061y'", ["date'tod\\u0061y'"]),
        ("_metadata.file_path", ["_metadata"]),
        ("builtin.now()", ["builtin", "now()"]),
        ("identifier('now')()", ["identifier()"]),
        ("reflect('java.lang.System', 'nanoTime')", ["reflect()"]),
        ("try_reflect(s) || java_method(s)", ["try_reflect()", "java_method()"]),
        ("input_file_block_start()", ["input_file_block_start()"]),
        ("aes_encrypt(s, s)", ["aes_encrypt()"]),
        ("my_function(n)", ["my_function()"]),
        ("sum(n) OVER ()", ["sum()", "over()"]),
        ("n IN (SELECT n FROM t)", ["select", "t"]),
        ("n IN (VALUES 1)", ["values"]),
        ("hash(*) + hash(n, *) + hash(t.*)", ["* (all columns)", "t"]),
        ("now /* */ ()", ["now", "/* (a comment)"]),
        ("n -- 1", ["-- (a comment)"]),
        ("s:field", [":", "field"]),
        ("n + :p + ?", [":", "p", "?"]),
        ("'open", ["'", "open"]),
        ("transform(array(n), v -> w)", ["w"]),
        ("`case`", ["case"]),
    ],
)
def test_all_else_is_foreign(expression: str, foreign: list[str]) -> None:
    assert find_foreign(expression, NAMES) == foreign
