"""Scalars as YAML 1.2 has them, duplicates, anchors, and a way back."""

from __future__ import annotations

import math
from typing import Any

import pytest
import yaml

from retraining.description.yaml12 import parse, write
from retraining.errors import RetrainingError

SCALARS: list[tuple[str, Any]] = [
    ("yes", "yes"),
    ("no", "no"),
    ("on", "on"),
    ("Off", "Off"),
    ("true", True),
    ("FALSE", False),
    ("~", None),
    ("null", None),
    ("", None),
    ("12", 12),
    ("-12", -12),
    ("+12", 12),
    ("012", 12),
    ("08", 8),
    ("0o14", 12),
    ("0x1F", 31),
    ("1_000", "1_000"),
    ("1:30", "1:30"),
    ("1:30.5", "1:30.5"),
    ("1e-5", 1e-5),
    ("1E3", 1000.0),
    (".5", 0.5),
    ("1.", 1.0),
    ("-1.5", -1.5),
    ("-.inf", -math.inf),
    (".", "."),
    ("=", "="),
    ("2019-08-22", "2019-08-22"),
    ("2019-08-22 10:00:00", "2019-08-22 10:00:00"),
    ("'12'", "12"),
    ("7 days", "7 days"),
]


@pytest.mark.parametrize(("text", "value"), SCALARS)
def test_scalar_is_read_as_yaml_1_2_has_it(text: str, value: object) -> None:
    read = parse(f"a: {text}", "a.yaml").content["a"]
    assert (type(read), read) == (type(value), value)


def test_not_a_number_is_a_number() -> None:
    assert math.isnan(parse("a: .nan", "a.yaml").content["a"])


def test_keys_are_text_too() -> None:
    content = parse("on: 1\ntrue: 2\n12: 3\n~: 4\n2019-08-22: 5", "a.yaml").content
    assert content == {"on": 1, "true": 2, "12": 3, "~": 4, "2019-08-22": 5}


@pytest.mark.parametrize(
    ("text", "key", "first", "second"),
    [
        ("a: 1\nb: 2\na: 3", "a", 1, 3),
        ("1: 1\n'1': 2", "1", 1, 2),
        ("c:\n  - b: 1\n    a: 2\n    b: 3", "b", 2, 4),
        ("{a: 1, a: 2}", "a", 1, 1),
        ("b: &b {a: 1}\n<<: *b\n<<: *b", "<<", 2, 3),
    ],
)
def test_key_given_twice_is_refused_with_both_lines(
    text: str, key: str, first: int, second: int
) -> None:
    with pytest.raises(RetrainingError) as caught:
        parse(text, "a.yaml")
    what = f"a.yaml line {second}: key {key} is already on line {first}"
    assert str(caught.value).startswith(what)


def test_merged_keys_give_way_to_own_ones_with_the_line_of_each() -> None:
    text = "base: &base\n  a: 1\n  b: 2\nfirst:\n  <<: *base\n  b: 3\nsecond: {<<: *base, c: 4}"
    parsed = parse(text, "a.yaml")
    assert parsed.content["first"] == {"a": 1, "b": 3}
    assert parsed.content["second"] == {"a": 1, "b": 2, "c": 4}
    lines = {key: parsed.lines[key] for key in ("first.a", "first.b", "second.b", "second.c")}
    assert lines == {"first.a": 2, "first.b": 6, "second.b": 3, "second.c": 7}


def test_lines_of_lists_and_of_an_anchor_within_itself() -> None:
    parsed = parse("a:\n  - 1\n  - b: 2\nc: &c\n  d: *c", "a.yaml")
    assert parsed.lines == {"a": 1, "a.0": 2, "a.1": 3, "a.1.b": 3, "c": 4, "c.d": 5}


TEXTS = [text for text, _ in SCALARS] + ["a: b", "x # y", "2019-08-22T10:00:00Z", "é", "a\nb"]
VALUES: list[Any] = [*TEXTS, 1e-5, 1e300, 0.1, 12, -3, True, None, math.inf, ["no", 1e-5], {}]


@pytest.mark.parametrize("value", VALUES)
def test_what_is_written_is_read_the_same_by_either_version(value: object) -> None:
    text = write({"a": value, "no": [value]})
    assert parse(text, "a.yaml").content == {"a": value, "no": [value]}
    assert yaml.safe_load(text) == {"a": value, "no": [value]}
