"""Types, marks for missing values, numbers and dates as people write them."""

from __future__ import annotations

import pandas as pd
import pytest

from retraining.drafting import values
from retraining.drafting.values import Numerals


def column(*texts: str | None) -> pd.Series:
    return pd.Series([*texts], dtype=object)


TYPES = {
    "int": (("1", "-20", "300"), "int", None),
    "whole numbers of decimals": (("1.0", "2.0"), "double", None),
    "large": (("4000000000", "1"), "bigint", None),
    "exponents": (("1e-5", "2.5E3", ".5"), "double", None),
    "codes": (("00123", "04567"), "string", None),
    "truth": (("True", "FALSE", "true"), "boolean", None),
    "words": (("yes", "no"), "string", None),
    "days": (("2024-01-31", "2023-02-01"), "date", None),
    "times": (("2024-01-31 12:30:00", "2024-01-31T12:30:00.5Z"), "timestamp", None),
    "german days": (("31.01.2024", "01.02.2024"), "date", "dd.MM.yyyy"),
    "german times": (("31.01.2024 12:30", "01.02.2024 00:00"), "timestamp", "dd.MM.yyyy HH:mm"),
    "days first": (("31/01/2024", "01/02/2024"), "date", "dd/MM/yyyy"),
    "months first": (("01/31/2024", "02/01/2024"), "date", "MM/dd/yyyy"),
    "single digits": (("1.2.2024", "31.12.2023"), "date", "d.M.yyyy"),
    "names of months": (("Jan 1 2000", "Dec 31 1999"), "date", "MMM d yyyy"),
    "long names of months": (("January 1, 2000", "May 31, 1999"), "date", "MMMM d, yyyy"),
    "days before months": (("1-jan-2000", "31-MAY-1999"), "date", "d-MMM-yyyy"),
    "a sheet": (("12/31/2010 8:26", "1/2/2011 17:05"), "timestamp", "M/d/yyyy H:mm"),
    "noon": (("1/2/2020 3:45 PM", "12/31/2020 12:00 am"), "timestamp", "M/d/yyyy h:mm a"),
    "days without dashes": (("20240131", "20230201"), "date", "yyyyMMdd"),
    "seconds": (("1700000000", "1700000600"), "timestamp", "seconds"),
    "milliseconds": (("1700000000000", "1700000600000"), "timestamp", "milliseconds"),
}


@pytest.mark.parametrize("name", TYPES)
def test_a_type_fits_all_values(name: str) -> None:
    texts, kind, style = TYPES[name]
    facts = values.examine("created_at", column(*texts), Numerals())

    assert (facts.type, facts.format, facts.doubts) == (kind, style, ())
    assert facts.n_missing == 0


def test_what_has_two_readings_is_doubted() -> None:
    facts = values.examine("day", column("01/02/2024", "03/04/2024"), Numerals())

    assert facts.format == "dd/MM/yyyy"
    (doubt,) = facts.doubts
    assert "MM/dd/yyyy" in doubt


def test_a_number_is_no_time_unless_its_name_says_so() -> None:
    assert values.examine("amount", column("1700000000"), Numerals()).type == "bigint"
    assert values.examine("postcode", column("20240131", "20230201"), Numerals()).type == "int"


def test_marks_stand_for_missing_values() -> None:
    numbers = values.examine("x", column("1", "?", "NA", "-", None), Numerals())
    words = values.examine("x", column("a", "?", "NA", "-", "none", None), Numerals())

    assert (numbers.type, numbers.marks, numbers.n_missing) == ("int", ("?", "NA", "-"), 4)
    assert (words.type, words.marks, words.n_missing) == ("string", ("?", "NA"), 3)


def test_a_few_wrong_values_are_named_and_many_make_it_text() -> None:
    few = values.examine("x", pd.Series([*["1", "2"] * 100, "abc"], dtype=object), Numerals())
    many = values.examine("x", column("1", "2", "abc"), Numerals())

    assert few.type == "int"
    assert "'abc'" in few.doubts[0]
    assert many.type == "string"


def test_a_far_and_frequent_value_may_mean_missing() -> None:
    facts = values.examine("days", column("1", "5", "9", "12", "999"), Numerals())
    usual = values.examine("days", column("990", "995", "999", "1005"), Numerals())

    assert "999 in 20.0%" in facts.doubts[0]
    assert usual.doubts == ()


@pytest.mark.parametrize(
    ("texts", "found", "number"),
    [
        (("1.5", "2"), Numerals(), 1.5),
        (("1,5", "20,25"), Numerals(","), 1.5),
        (("1.234,5", "20,25"), Numerals(",", "."), 1234.5),
        (("1,234.5", "20.25"), Numerals(".", ","), 1234.5),
        (("1,234", "20"), Numerals(".", ","), 1234),
        (("1.234", "20.5"), Numerals(), 1.234),
    ],
)
def test_numbers_are_read_as_the_files_write_them(
    texts: tuple[str, ...], found: Numerals, number: float
) -> None:
    assert values.find_numerals([column(*texts)]) == found
    assert values.examine("x", column(*texts), found).values[0] == number
