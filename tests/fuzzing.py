"""Inputs with mistakes in them, drawn at random, and what may become of them.

Whatever a user gives ends in success or in a `RetrainingError`; any other exception is a defect.
"""

from __future__ import annotations

import copy
import gzip
import io
import shutil
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pandas as pd
import yaml
from hypothesis import strategies as st

from retraining.comparison.columns import ScoreColumns
from retraining.comparison.evidence import gather
from retraining.comparison.scores import Comparison
from retraining.comparison.tables import read_scores
from retraining.data.files import sources
from retraining.data.rows import quality
from retraining.description import reading, yaml12
from retraining.errors import RetrainingError
from retraining.gate.decision import judge
from retraining.gate.policy import Policy
from retraining.spark.session import open_session

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark.sql import SparkSession

DATASETS: Final = Path(__file__).parents[1] / "steps" / "datasets"
SHIPPED: Final = [yaml.safe_load(path.read_text()) for path in sorted(DATASETS.glob("*.yaml"))]


def _parts(node: Any) -> Iterator[Any]:  # noqa: ANN401 (YAML)
    """All keys and values within a description."""
    inner = [*node, *node.values()] if isinstance(node, dict) else node
    for part in inner if isinstance(node, dict | list) else ():
        yield part
        yield from _parts(part)


_WORDS: Final = sorted(
    {
        *(part for shipped in SHIPPED for part in _parts(shipped) if isinstance(part, str)),
        *("60%", "2 weeks", "-1 days", "1e400", "yes", "NA", "rand()", "a.b", "a`b", "x'", "(", ""),
        *("2024-01-01", "2024-02-30", "UTC", "Mars/Base", "median", "SELECT 1", "a --", "1/0", "é"),
        *("known_when", "weight", "timezone", "row_key", "expression", "format", "\x00", "day"),
    }
)
_TEXT: Final = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
_SCALARS: Final = (
    st.sampled_from(_WORDS)
    | st.none()
    | st.booleans()
    | st.integers()
    | st.sampled_from([0, 1, -1, 2**31, 2**63, 2**70])
    | st.floats()
    | _TEXT
)
_VALUES: Final = st.recursive(
    _SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(_WORDS) | _TEXT, inner, max_size=3)
    ),
    max_leaves=5,
)


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """The YAML of a shipped description with some mistakes in it."""
    mapping = copy.deepcopy(draw(st.sampled_from(SHIPPED)))
    for _ in range(draw(st.integers(1, 3))):
        _change(draw, mapping)
    text = yaml.safe_dump(mapping, sort_keys=False, allow_unicode=True)
    if draw(st.integers(0, 4)) == 0:
        start = draw(st.integers(0, len(text)))
        end = start + draw(st.integers(0, 10))
        text = text[:start] + draw(_TEXT) + text[end:]
    return text


def _change(draw: st.DrawFn, node: Any) -> None:  # noqa: ANN401 (YAML)
    """Replace, remove or add something, at any depth."""
    keys = [*node] if isinstance(node, dict) else [*range(len(node))]
    key = draw(st.sampled_from(keys)) if keys else None
    inner = None if key is None else node[key]
    if isinstance(inner, dict | list) and draw(st.integers(0, 3)):
        _change(draw, inner)
        return
    how = draw(st.sampled_from(["replace", "remove", "add"]))
    if how == "add" or key is None:
        if isinstance(node, dict):
            node[draw(st.sampled_from(_WORDS) | _TEXT)] = draw(_VALUES)
        else:
            node.append(draw(_VALUES))
    elif how == "remove":
        del node[key]
    else:
        node[key] = draw(_VALUES)


def read_description(text: str) -> None:
    """Read a description, as every step does first."""
    with suppress(RetrainingError):
        content, lines = yaml12.parse(text, "fuzz.yaml")
        description = reading.from_mapping(content, "fuzz.yaml", lines)
        assert reading.from_mapping(description.to_mapping(), "again") == description


_ROLES: Final = ("weight", "unit", "unit_2", "day", "period", "key", "slice:day", "city", "a`b.c")
_ONE_TYPE: Final = (
    st.floats(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(0, 3),
    st.booleans(),
    st.sampled_from(["a", "b", "", "2024-01-01", "2024-01-02T03:04:05+14:00", "0001-01-01"]),
    st.datetimes(),
    st.dates(),
    st.decimals(allow_nan=False, allow_infinity=False, places=2, max_value=10**9),
    st.lists(st.integers(0, 1), max_size=2),  # the last two are not kept
    st.binary(max_size=3),
)


@st.composite
def tables(draw: st.DrawFn, *, kept: bool = False) -> pd.DataFrame:
    """A table of scores, some columns of which hold what they should not.

    One that an earlier test kept has no lists and bytes, which are refused in a user's table.
    """
    n_rows = draw(st.sampled_from([0, 1, 2, 5, 40, 200]))
    rng = np.random.default_rng(draw(st.integers(0, 9)))
    label = rng.integers(0, 2, n_rows)
    common = rng.normal(size=n_rows) + label
    table = pd.DataFrame(
        {
            "label": label,
            "champion": 1 / (1 + np.exp(-common)),
            "challenger": 1 / (1 + np.exp(-common - 0.3 * rng.normal(size=n_rows))),
        }
    )
    for name in draw(st.lists(st.sampled_from([*table.columns, *_ROLES]), max_size=4)):
        kind = draw(st.sampled_from(_ONE_TYPE[:-2] if kept else _ONE_TYPE))
        few = draw(
            st.lists(kind | st.none() if draw(st.booleans()) else kind, min_size=1, max_size=4)
        )
        table[name] = pd.Series([few[i % len(few)] for i in range(n_rows)], dtype=object)
        with suppress(ValueError, TypeError, OverflowError):
            table[name] = table[name].infer_objects()
    return table


def compare(comparison: Comparison) -> None:
    """Judge a table of scores by the default policy."""
    policy = Policy(n_resamples=100)
    with suppress(RetrainingError):
        judge(gather(comparison, policy), policy, rng=np.random.default_rng(0))


def compare_in_memory(table: pd.DataFrame) -> None:
    """Judge a table as one that an earlier test kept."""
    columns = ScoreColumns.of_table(map(str, table.columns))
    compare(Comparison(table, columns, "", len(table), len(table), 0, {}))


def compare_with_spark(spark: SparkSession, table: pd.DataFrame, folder: Path) -> None:
    """Judge a table that a user wrote, if it can be written."""
    path = folder / "scores.parquet"
    try:
        table.to_parquet(path)
    except (ValueError, TypeError, OverflowError):
        return
    with suppress(RetrainingError), open_session("fuzz"):
        compare(read_scores(spark, str(path)))


_ROWS: Final = "".join(
    f"{i},2024-01-{1 + i % 28:02d} 10:00:00,{i * 0.5},{'ab'[i % 2]},{i % 2}\n" for i in range(30)
)
_SMALL: Final = {
    "name": "small",
    "columns": {
        "id": {"type": "bigint", "not_null": True, "unique": True},
        "time": {"type": "timestamp"},
        "amount": {"type": "double", "min": 0},
        "city": {"type": "string", "allowed": ["a", "b"]},
        "bad": {"type": "int", "not_null": True, "allowed": [0, 1]},
    },
    "label": {"column": "bad", "positive": 1},
    "row_key": "id",
    "features": {"plain": ["amount"], "categorical": ["city"]},
    "split": {"by": "hash", "train": 0.6, "validation": 0.2, "holdout": 0.2},
    "estimator": {"name": "LogisticRegression"},
}
_BYTES: Final = st.sampled_from(
    [
        b'"',
        b"\n",
        b"\r",
        b",",
        b"\\",
        b"\x00",
        b"\xff\xfe",
        b"\xef\xbb\xbf",
        b"'",
        b";",
        b"\t",
        b"#",
    ]
) | st.binary(max_size=8)


@st.composite
def files(draw: st.DrawFn) -> tuple[str, bytes]:
    """The name of a small raw file, and what is in it: rows with some bytes changed."""
    suffix = draw(st.sampled_from(["csv", "txt", "csv.gz", "parquet", "tsv", "jsonl", "csv.bz2"]))
    header = draw(st.sampled_from(["", "id,time,amount,city,bad\n", "id,id,amount,city,bad\n"]))
    content = (header + _ROWS).encode(draw(st.sampled_from(["utf-8", "utf-16", "latin-1"])))
    if suffix == "parquet":
        buffer = io.BytesIO()
        names = ["id", "time", "amount", "city", "bad"]
        pd.read_csv(io.StringIO(_ROWS), names=names).to_parquet(buffer)
        content = buffer.getvalue()
    packed = suffix == "csv.gz" and draw(st.booleans())
    if packed:
        content = gzip.compress(content)
    for _ in range(draw(st.integers(0, 3))):
        start = draw(st.integers(0, len(content)))
        end = start + draw(st.sampled_from([0, 1, 20, len(content)]))
        content = content[:start] + draw(_BYTES) + content[end:]
    if suffix == "csv.gz" and not packed:
        content = gzip.compress(content)
    return f"file.{suffix}", content


def read_file(spark: SparkSession, file: tuple[str, bytes], folder: Path) -> None:
    """Read and judge the rows of a raw file."""
    description = reading.from_mapping(_SMALL, "small")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    name, content = file
    (folder / name).write_bytes(content)
    with suppress(RetrainingError), open_session("fuzz"):
        raw = sources.read_raw(spark, sources.list_files(spark, str(folder)), description)
        judged = quality.flag_invalid(raw, description)
        judged.groupBy(quality.REASON).count().collect()
