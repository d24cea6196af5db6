"""Text files of others: quotes, headers, separators, encodings, line ends."""

from __future__ import annotations

import bz2
import csv
import gzip
import io
from typing import TYPE_CHECKING, Any

import pytest

from retraining.data.files.sources import list_files, read_raw
from retraining.description import reading
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from pyspark.sql import SparkSession

    from retraining.description.document import Description

    Describe = Callable[..., Description]
    Rows = list[tuple[str | None, ...]]
    Read = Callable[..., tuple[Rows, list[str]]]

pytestmark = pytest.mark.spark

HEADER = "key,city,age,height,ill"
OSLO = ("1", "Oslo", "20", "1.5", "0")


@pytest.fixture
def read(spark: SparkSession, tmp_path: Path, describe: Describe) -> Read:
    """Write files into a folder of their own, read them, and divide whole from malformed rows."""

    def read_files(files: dict[str, str | bytes], **keys: Any) -> tuple[Rows, list[str]]:  # noqa: ANN401
        for name, content in files.items():
            path = tmp_path / "raw" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        description = describe(files=keys)
        raw = read_raw(spark, list_files(spark, f"{tmp_path}/raw"), description).collect()
        rows = [tuple(row)[:5] for row in raw if row["_malformed"] is None]
        torn = [row["_malformed"] for row in raw if row["_malformed"] is not None]
        return sorted(rows, key=str), sorted(torn)

    return read_files


def test_quotes_span_lines_and_no_row_comes_out_of_text(read: Read) -> None:
    """Texts that look like rows, as csv writes them; each file with another end of line."""
    texts = [
        "a\n7,b,30,9.9,1\nz",
        "x\n8,c,31,9.8,1",
        '"q", ""\n"9",d,1,1,1\n',
        "",
        "#1\n\n#2",
        '6" pipe',
    ]
    rows = [(str(n), text, "20", "1.5", "0") for n, text in enumerate(texts)]
    for end in ("\n", "\r\n", "\r"):
        inner = "\r" if end == "\r" else "\n"
        out = io.StringIO()
        written = [[part.replace("\n", inner) for part in row] for row in rows]
        csv.writer(out, lineterminator=end).writerows([HEADER.split(","), *written])
        assert read({"a.csv": out.getvalue()}, comment="#") == (rows, []), end


def test_a_carriage_return_in_text_ends_no_line(read: Read) -> None:
    found, torn = read({"a.csv": "1,a\r7,20,1.5,0\n2,b\r8,c,31,9.8,1\n" + "3,c,1,1,1\n" * 3})
    assert [row[0] for row in found] == ["1", "3", "3", "3"]
    assert torn == ["2,b\r8,c,31,9.8,1"]


@pytest.mark.parametrize(
    ("text", "whole", "torn"),
    [
        # never closed: all that follows may be text
        ('1,"Oslo,20,1.5,0\n2,Bergen,30,1.6,1\n\n3,Molde,40,1.7,1\n', [], 3),
        ('1,Oslo,20,1.5,0\n2,Bergen,30,1.6,"1', [OSLO], 1),
        # closed by the opening quote of another row: two rows, none of them whole
        (
            '1,Oslo,20,1.5,0\n2,"Bergen,30,1.6,1\n3,"Molde",40,1.7,1\n4,"x, y",1,1,1\n',
            [OSLO, ("4", "x, y", "1", "1", "1")],
            2,
        ),
        # escaped by a backslash that the description does not know
        ('1,Oslo,20,1.5,0\n2,"a \\" b",30,1.6,1\n', [OSLO], 1),
        # a number of fields that does not fit, over two lines: one row
        ('1,Oslo,20,1.5,0\n2,"a\nb",30,1.6\n', [OSLO], 1),
        # quotes in fields that are not quoted mean nothing
        ('1,Oslo,20,1.5,0\n2,6" pipe,30,1.6,1', [OSLO, ("2", '6" pipe', "30", "1.6", "1")], 0),
        ('1 , "Oslo, N" ,20,1.5,0', [("1 ", "Oslo, N", "20", "1.5", "0")], 0),
    ],
)
def test_what_quotes_do_not_close_is_malformed_whole(
    read: Read, text: str, whole: Rows, torn: int
) -> None:
    found, malformed = read({"a.csv": text})
    assert found == whole
    assert len(malformed) == torn


def test_a_quote_without_end_does_not_touch_other_files(read: Read) -> None:
    found, torn = read({"a.csv": '1,"Oslo,20,1.5,0\n2,B,3,1.6,1\n', "b.csv": ",".join(OSLO)})
    assert found == [OSLO]
    assert torn == ['1,"Oslo,20,1.5,0', "2,B,3,1.6,1"]


def test_quote_and_escape_are_what_the_description_says(read: Read) -> None:
    assert read({"a.csv": '1,"a \\" \\\\ b",2,3,0\n'}, escape="\\")[0] == [
        ("1", 'a " \\ b', "2", "3", "0")
    ]
    assert read({"a.csv": '1,"a\\b \\N \\\\N",2,3,0\n'}, escape="\\")[0] == [
        ("1", "a\\b \\N \\N", "2", "3", "0")
    ]
    assert read({"a.csv": "1,'a, ''b''',2,3,0\n"}, quote="'")[0] == [("1", "a, 'b'", "2", "3", "0")]
    assert read({"a.csv": '1,"a,2,3,0\n'}, quote="none")[0] == [("1", '"a', "2", "3", "0")]
    assert read({"a.csv": '1,"a,2,3,0\n'}, quote=None)[0] == [("1", '"a', "2", "3", "0")]


@pytest.mark.parametrize("separator", [", ", "||", ";", "|", "\t", "^"])
def test_separators_have_any_length(read: Read, separator: str) -> None:
    lines = [HEADER.split(","), [*OSLO[:1], f'"a{separator}""b"""', *OSLO[2:]]]
    text = "\n".join(separator.join(line) for line in lines)
    found, torn = read({"a.csv": text}, separator=separator)
    assert (found, torn) == ([("1", f'a{separator}"b"', "20", "1.5", "0")], [])


def test_a_header_is_found_by_itself_in_each_file(read: Read) -> None:
    """By position, by name in two orders, behind a comment, in tabs, and compressed."""
    found, torn = read(
        {
            "a.csv": "1,Oslo,20,1.5,0",
            "b.csv": "\ufeff# of May\n\nill,height,age,city,key,more\n0,1.5,20,Oslo,2,x\n",
            "c.csv.gz": gzip.compress(
                b'"key","city","height","age","ill",""\r\n3,Oslo,1.5,20,0,\r\n'
            ),
            "d.tsv": "key\tcity\tage\theight\till\n4\tOslo\t20\t1.5\t0\n",
            "e.tsv.bz2": bz2.compress(b"#key\tcity\tage\n5\tOslo\t20\t1.5\t0\n"),
        },
        comment="#",
    )
    assert (found, torn) == ([(key, *OSLO[1:]) for key in "12345"], [])


@pytest.mark.parametrize(
    ("text", "keys", "words"),
    [
        (f"{HEADER}\n1,Oslo,20,1.5,0", {"header": False}, "files.header"),
        ("key,city,age,height,sick\n1,Oslo,20,1.5,0", {}, "no column ill.* 'sick'"),
        ("Id,Town,Years,Size,Sick\n1,Oslo,20,1.5,0", {}, "files.header"),
        (f"{HEADER},age\n1,Oslo,20,1.5,0,7", {}, "the column age 2 times"),
        (f"{HEADER},Age\n1,Oslo,20,1.5,0,7", {}, r"the column age 2 times \(age, Age\)"),
        (
            f"Export of May\n\n{HEADER}\n1,Oslo,20,1.5,0",
            {},
            "names columns in line 3 .*files.comment",
        ),
        ('sep=,\n"ill", "key",x\n0,1,2', {"header": True}, "names columns in line 2 "),
        (f"1,Oslo,20,1.5,0\n{HEADER}", {"header": False}, "names columns in line 2 "),
        ("1;Oslo;20;1.5;0", {}, 'files.separator.*";"'),
        ("1\tOslo\t20\t1.5\t0", {}, r'files.separator.*"\\t"'),
        ("key;city;age;height;ill\n1;Oslo;20;1.5;0", {"header": True}, "files.separator"),
    ],
)
def test_a_header_that_cannot_be_right_is_refused(
    read: Read, text: str, keys: dict[str, object], words: str
) -> None:
    with pytest.raises(RetrainingError, match=rf"a\.csv.*{words}|{words}.*a\.csv") as caught:
        read({"a.csv": text}, **keys)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "n_fields"),
    [
        (f"{HEADER}\n" + "1;Oslo;20;1,5;0\n" * 2, 2),
        (f"{HEADER}\n" + "1,1,Oslo,20,1.5,0\n" * 2, 6),
        ("<!DOCTYPE html>\n<p>Please log in</p>", 1),
        ("1,Oslo,20,1.5,0,\n\n2,Oslo,20,1.5,0,\n", 6),
    ],
)
def test_a_file_none_of_whose_rows_fits_is_refused(read: Read, text: str, n_fields: int) -> None:
    """Among many files it would be a small share of the rows; a single torn row is one."""
    good = "\n".join([",".join(OSLO)] * 999)
    with pytest.raises(
        RetrainingError, match=rf"a\.csv.* {n_fields} fields? .* has 5: .*separator"
    ):
        read({"a.csv": text, "b.csv": good})
    assert read({"a.csv": "1,Oslo\n", "b.csv": good})[1] == ["1,Oslo"]


def test_a_row_above_values_of_another_kind_is_a_header(
    spark: SparkSession, tmp_path: Path
) -> None:
    """One typed column is enough, unless its first value is null, is like the next, or is alone."""
    kinds = {"name": "string", "at": "timestamp", "paid": "boolean"}
    description = reading.from_mapping(
        {
            "name": "payments",
            "columns": {name: {"type": kind} for name, kind in kinds.items()},
            "files": {"null_values": "none"},
            "label": {"column": "paid", "positive": True},
            "features": {"derived": {"one": "1"}},
            "split": {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2},
            "estimator": {"name": "LogisticRegression"},
        }
    )
    path = tmp_path / "a.csv"
    for first in ("person,day,outcome", "person,,outcome", "person,day,none"):
        path.write_text(f"{first}\nAnn,2024-01-31,true")
        with pytest.raises(RetrainingError, match=r"a\.csv looks like a header.*files\.header"):
            read_raw(spark, list_files(spark, str(path)), description)
    for text in ("Bob,none,\nAnn,2024-01-31,true", "Bob,day,no\nAnn,2024-01-31,yes", "Bob,day,x"):
        path.write_text(text)
        n_rows = read_raw(spark, list_files(spark, str(path)), description).count()
        assert n_rows == text.count("\n") + 1


def test_an_order_that_only_another_file_knows_is_refused(read: Read) -> None:
    swapped = "key,city,height,age,ill\n1,Oslo,1.5,20,0"
    with pytest.raises(RetrainingError, match=r"a\.csv.*b\.csv has no header.*files\.header"):
        read({"a.csv": swapped, "b.csv": "2,Oslo,2,30,0"})
    assert len(read({"b.csv": "\n"})[0]) == 1


def test_a_column_that_is_not_used_may_be_there_twice(read: Read) -> None:
    assert read({"a.csv": f"{HEADER},note,note\n1,Oslo,20,1.5,0,x,y"})[0] == [OSLO]


@pytest.mark.parametrize(
    "encoding", ["cp1251", "koi8-r", "utf-16", "utf-16-le", "utf-16-be", "utf-8-sig", "UTF8"]
)
def test_text_is_decoded(read: Read, encoding: str) -> None:
    text = f'{HEADER}\r\n1,"Осло, Ä\r\nя",20,1.5,0\r\n'
    text = text if encoding != "koi8-r" and encoding != "cp1251" else text.replace("Ä", "Ж")
    found, torn = read({"a.csv": text.encode(encoding)}, encoding=encoding)
    assert torn == []
    assert [row[1].split(",")[0] for row in found if row[1]] == ["Осло"]
    assert [row[1].endswith("\nя") for row in found if row[1]] == [True]


def test_the_mark_of_utf_16_is_enough(read: Read) -> None:
    assert read({"a.csv": f"{HEADER}\n{','.join(OSLO)}".encode("utf-16")})[0] == [OSLO]


def test_bytes_of_another_encoding_are_noticed(read: Read) -> None:
    """One row of many goes to the quarantine; a file full of them, or a header, is refused."""
    rows = [f"{n},Oslo,20,1.5,0" for n in range(99)]
    found, torn = read({"a.csv": "\n".join([*rows, "99,Trömsö,1,1,1"]).encode("latin-1")})
    assert len(found) == 99
    assert torn == ["99,Tr\ufffdms\ufffd,1,1,1"]
    found, torn = read({"a.csv": b"1,Oslo,20,1.5,0\n" * 99 + b"1,\x98,1,1,1"}, encoding="cp1251")
    assert (len(found), len(torn)) == (99, 1)
    for text in ("1,Trömsö,1,1,1\n2,Ö,1,1,1", "Schlüssel,b,c,d,e\n" + "\n".join(rows)):
        with pytest.raises(RetrainingError, match=r"a\.csv .*utf-8.*files\.encoding"):
            read({"a.csv": text.encode("latin-1")})
    with pytest.raises(RetrainingError, match=r"a\.csv .*UTF-16"):
        read({"a.csv": "1,a,1,1,1\n".encode("utf-16-le")})


def test_a_file_that_is_rather_utf_8_is_named(read: Read, caplog: pytest.LogCaptureFixture) -> None:
    read({"a.csv": "1,Tromsø,20,1.5,0\n2,Ålesund å,20,1.5,0\n"}, encoding="latin-1")
    assert "a.csv is read as iso8859-1, but" in caplog.text
    caplog.clear()
    read({"a.csv": "1,Tromsø,20,1.5,0\n2,Åle å,2,1,0".encode("latin-1")}, encoding="latin-1")
    read({"a.csv": "1,Осло Осло,20,1.5,0\n".encode("cp1251")}, encoding="cp1251")
    assert not caplog.text


def test_an_encoding_that_java_does_not_know_is_named(read: Read) -> None:
    for encoding in ("mac-roman", "cp720"):
        with pytest.raises(RetrainingError, match=rf"a\.csv .*Java .*{encoding}.*files\.encoding"):
            read({"a.csv": ",".join(OSLO).encode(encoding)}, encoding=encoding)


def test_long_lines_and_odd_characters_are_read(read: Read) -> None:
    """More fields, and more characters, than a stack has room for; NUL, and no last line end."""
    wide = HEADER + "".join(f",c{n}" for n in range(20_000))
    more = ',"x"' * 20_000
    city = "a\0" + '""' * 100_000
    found, torn = read({"a.csv": f'{wide}\n1,"{city}",20,1.5,0{more}'})
    assert torn == []
    assert found == [("1", "a\0" + '"' * 100_000, "20", "1.5", "0")]
