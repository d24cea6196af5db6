"""How files are read that nobody has described."""

from __future__ import annotations

import csv
from typing import TYPE_CHECKING, Any

import pandas as pd
import pytest

from retraining.drafting import sample, values
from retraining.errors import RetrainingError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from retraining.drafting.sample import Sample

WAYS: dict[str, tuple[str, dict[str, Any], tuple[str, str]]] = {
    "plain": ("c.csv", {}, ("UTF-8", ",")),
    "semicolons": ("c.csv", {"sep": ";", "decimal": ","}, ("UTF-8", ";")),
    "tabs": ("c.txt", {"sep": "\t"}, ("UTF-8", "\t")),
    "tsv": ("c.tsv", {"sep": "\t"}, ("UTF-8", "\t")),
    "pipes": ("c.csv", {"sep": "|"}, ("UTF-8", "|")),
    "all quoted": ("c.csv", {"quoting": csv.QUOTE_ALL}, ("UTF-8", ",")),
    "byte order mark": ("c.csv", {"encoding": "utf-8-sig"}, ("UTF-8", ",")),
    "utf-16": ("c.csv", {"encoding": "utf-16", "sep": "\t"}, ("UTF-16", "\t")),
    "western": ("c.csv", {"encoding": "cp1252"}, ("windows-1252", ",")),
    "windows": ("c.csv", {"lineterminator": "\r\n"}, ("UTF-8", ",")),
    "gz": ("c.csv.gz", {}, ("UTF-8", ",")),
    "bz2": ("c.csv.bz2", {"sep": ";"}, ("UTF-8", ";")),
}


@pytest.mark.parametrize("way", WAYS)
def test_text_is_read_however_it_is_written(
    way: str, claims: pd.DataFrame, draw: Callable[..., Sample]
) -> None:
    file, options, (encoding, separator) = WAYS[way]
    drawn = draw(claims, file, **options)

    assert drawn.form is not None
    assert (drawn.form.encoding, drawn.form.separator) == (encoding, separator)
    assert (drawn.form.header, drawn.form.header_is_sure) == (True, True)
    assert (drawn.n_rows, drawn.complete) == (len(claims), True)
    assert list(drawn.table) == list(claims)
    assert drawn.table["region"].tolist() == claims["region"].tolist()
    assert drawn.table["note"].str.replace("\r\n", "\n").tolist() == claims["note"].tolist()
    numerals = values.find_numerals(drawn.columns.values())
    amount = values.examine("amount", drawn.columns["amount"], numerals)
    assert amount.values.tolist() == claims["amount"].tolist()


@pytest.mark.parametrize("page", ["cp1251", "koi8-r", "cp866"])
def test_cyrillic_code_pages_are_told_apart(
    page: str, claims: pd.DataFrame, draw: Callable[..., Sample]
) -> None:
    towns = claims.replace(
        {"region": {"Nord": "Москва", "Süd": "Казань", "West": "Нижний Новгород"}}
    )
    drawn = draw(towns, encoding=page)

    assert drawn.table["region"].tolist() == towns["region"].tolist()


def test_lines_of_json_and_parquet_have_the_same_rows(
    claims: pd.DataFrame, draw: Callable[..., Sample]
) -> None:
    tagged = claims.assign(tags=pd.Series([["a"]] * len(claims)), paid=claims.fraud == "yes")
    for file in ("c.jsonl", "c.parquet"):
        drawn = draw(tagged, file)
        assert drawn.notes == ("column tags is nested",)
        assert list(drawn.table) == [*claims, "paid"]
        assert drawn.table["claim_id"].tolist() == claims["claim_id"].astype(str).tolist()
        assert drawn.table["amount"].astype(float).tolist() == claims["amount"].tolist()
        assert set(drawn.table["paid"]) == {"true", "false"}


def test_without_a_header_columns_are_numbered(
    claims: pd.DataFrame, draw: Callable[..., Sample]
) -> None:
    drawn = draw(claims, header=False, sep=",")

    assert drawn.form is not None
    assert not drawn.form.header
    assert list(drawn.table) == [f"c{n}" for n in range(1, 9)]
    assert len(drawn.table) == len(claims)


def test_of_a_large_file_beginning_and_end_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sample, "MOST_BYTES", 200_000)
    monkeypatch.setattr(sample, "MOST_ROWS", 5_000)
    rows = [f"{i},{i % 7},{'yes' if i % 5 else 'no'}\n" for i in range(100_000)]
    (tmp_path / "large.csv").write_text("id,x,y\n" + "".join(rows))

    drawn = sample.draw(str(tmp_path / "large.csv"))

    ids = drawn.table["id"].astype(int)
    assert not drawn.complete
    assert len(drawn.table) <= 5_000
    assert ids.min() < 100
    assert ids.max() > 99_900
    assert drawn.n_rows == pytest.approx(100_000, rel=0.1)


def test_folders_of_keys_become_columns(tmp_path: Path) -> None:
    for year in ("2023", "2024"):
        folder = tmp_path / f"year={year}"
        folder.mkdir()
        (folder / "part.csv").write_text("a,b\n1,2\n3,4\n")
    (tmp_path / "_SUCCESS").write_text("")

    drawn = sample.draw(str(tmp_path))

    assert drawn.table["year"].tolist() == ["2023", "2023", "2024", "2024"]
    assert drawn.n_files == 2


def test_an_index_without_a_name_stays(claims: pd.DataFrame, draw: Callable[..., Sample]) -> None:
    drawn = draw(claims, index=True)

    assert list(drawn.table) == ["", *claims]
    assert drawn.notes == ()


def test_several_columns_without_a_name_are_left_out_and_named(tmp_path: Path) -> None:
    path = tmp_path / "gaps.csv"
    path.write_text("id,,amount,,y\n" + "".join(f"{i},a,{i}.5,b,yes\n" for i in range(20)))
    drawn = sample.draw(str(path))

    assert list(drawn.table) == ["id", "amount", "y"]
    assert len(drawn.table) == 20
    assert drawn.form is not None
    assert (drawn.form.header, drawn.form.header_is_sure) == (True, True)
    (note,) = drawn.notes
    assert note.startswith("2 columns have no name")
    path.write_text("x,,,z\n" + "a,b,c,d\n" * 20)
    assert (form := sample.draw(str(path)).form) is not None
    assert (form.header, form.header_is_sure) == (False, False)


@pytest.mark.parametrize(
    ("file", "content", "said"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.csv", b"\n \n", "holds no row"),
        ("binary.csv", bytes(range(256)) * 40, "is not text"),
        ("cut.csv.gz", b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03\x4b\x4c", "cannot be read"),
        ("none.parquet", b"PAR1 no", "cannot be read"),
        ("list.jsonl", b"[1]\n", "not an object"),
        ("broken.jsonl", b"{\n", "not JSON"),
        ("book.xlsx", b"PK", "neither text nor parquet"),
        ("twice.csv", b"a,A,b\n1,2,3\n4,5,6\n", "two columns"),
    ],
)
def test_what_cannot_be_read_is_named(file: str, content: bytes, said: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(content)

    with pytest.raises(RetrainingError, match=said) as failure:
        sample.draw(str(tmp_path / file))
    assert file in str(failure.value)


def test_a_place_without_files_is_named(tmp_path: Path) -> None:
    with pytest.raises(RetrainingError, match="holds no files"):
        sample.draw(str(tmp_path))
    with pytest.raises(RetrainingError, match="not a local path"):
        sample.draw("s3a://bucket/raw")
