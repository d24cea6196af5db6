"""Tables of PostgreSQL, of a server that the tests start; the shared session has no driver."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from retraining.errors import RetrainingError
from retraining.spark import jdbc
from retraining.tracking.checkout import ROOT
from tests.stack.postgres import open_postgres
from tests.stack.process import LOOPBACK, SHORT_LIVED, StackError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from pyspark.sql import SparkSession

    from retraining.description.document import Description
    from tests.stack.postgres import Postgres

pytestmark = pytest.mark.spark

SCRIPT = """
import json, sys
from py4j.protocol import Py4JJavaError
from pyspark.errors import PySparkException
from retraining.data.rows import quality
from retraining.data.files import sources
from retraining.description.reading import from_mapping
from retraining.errors import RetrainingError
from retraining.spark import faults
from retraining.spark.session import open_session
mapping, *inputs = json.loads(sys.argv[1])
description = from_mapping(mapping)
said = []
with open_session("test", "local[2]", inputs) as spark:
    for source in inputs:
        try:
            raw = sources.read_raw(spark, sources.list_files(spark, source), description)
            texts = [f"string({name})" for name in description.columns]
            rows = quality.flag_invalid(raw, description).sort("key").selectExpr(*texts)
            said.append([raw.rdd.getNumPartitions(), [list(row) for row in rows.collect()]])
        except RetrainingError as error:
            said.append(str(error))
        except (Py4JJavaError, PySparkException) as error:
            said.append(str(faults.fault(error)))
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    try:
        with open_postgres(tmp_path_factory.mktemp("postgres")) as running:
            yield running
    except StackError as error:
        pytest.skip(str(error))


def test_rows_come_from_a_table_and_from_a_query(
    postgres: Postgres, describe: Callable[..., Description]
) -> None:
    """Several types and nulls, in one task and in several; what fails early, and what late."""
    postgres.uri("people")
    postgres.call(
        "psql",
        "--command",
        "CREATE TABLE people (key bigint, town text, age numeric, height real, ill boolean, "
        "born date, seen timestamp); INSERT INTO people VALUES "
        "(1, 'Oslo, \"N\"', 20, 1.5, true, '2024-02-29', '2024-02-29 23:59:59.5'), "
        "(2, NULL, 21, NULL, false, NULL, NULL), (9, 'x', 21.5, 2, false, NULL, NULL)",
        "people",
    )
    kinds = {"key": "bigint", "city": "string", "age": "int", "height": "double", "ill": "boolean"}
    columns: dict[str, dict[str, object]] = {name: {"type": kind} for name, kind in kinds.items()}
    columns |= {"born": {"type": "date"}, "seen": {"type": "timestamp"}}
    columns["city"]["source"] = ["town"]
    description = describe(columns=columns, label={"column": "ill", "positive": True})
    at = f"jdbc:postgresql://{LOOPBACK}:{postgres.port}/people"
    query = "SELECT * FROM people WHERE key IN (1, 2)"
    late = [f"{query} AND 1 / (key - 1) > 0", f"{query} AND pg_terminate_backend(pg_backend_pid())"]
    sources = [
        f"{at}?table=public.people&ApplicationName=x",
        f"{at}?query={query}",
        f"{at}?table=people&partition=key",
        f"{at}?table=nobody",
        *(f"{at}?query={failing}" for failing in late),
    ]
    environment = {
        "PYTHONPATH": str(ROOT / "steps"),
        "JDBC_USER": postgres.user,
        "JDBC_PASSWORD": postgres.password,
        "TZ": "America/New_York",
    }
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([description.to_mapping(), *sources])],
        env={k: v for k, v in os.environ.items() if not k.startswith("SPARK_")}
        | SHORT_LIVED
        | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert postgres.password not in done.stdout + done.stderr
    table, selected, ranges, failure, *failures = json.loads(done.stdout.splitlines()[-1])
    oslo = ["1", 'Oslo, "N"', "20", "1.5", "true", "2024-02-29", "2024-02-29 23:59:59.5"]
    second = ["2", None, "21", None, "false", None, None]
    assert table[1][:2] == [oslo, second]
    assert table[1][2][:4] == ["9", "x", None, "2.0"]  # 21.5 is no whole number
    assert selected[1] == [oslo, second]
    assert ranges[1] == table[1]
    assert (table[0], ranges[0] > 1) == (1, True)
    assert "nobody" in failure
    assert "does not exist" in failure
    assert failures[0].startswith("the database fails Spark (ERROR: division by zero): ")
    assert failures[1].startswith("the database fails Spark (FATAL: terminating connection due to")


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("jdbc:postgresql://h/d", "not an address of rows"),
        ("jdbc:postgresql://h/d?table=a&query=SELECT 1", "not an address of rows"),
        ("jdbc:mysql://h/d?table=a", "not an address of rows"),
        ("jdbc:postgresql://h/d?table=a&user=me&password=secret", "JDBC_PASSWORD"),
        ("jdbc:postgresql://me:secret@h/d?table=a", "JDBC_PASSWORD"),
    ],
)
def test_an_address_is_complete_and_holds_no_password(
    spark: SparkSession, address: str, words: str
) -> None:
    with pytest.raises(RetrainingError, match=words) as caught:
        jdbc.read(spark, address)
    assert "secret" not in str(caught.value)
