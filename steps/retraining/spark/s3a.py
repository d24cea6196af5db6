"""Spark's connector for `s3a://`: where it comes from, and how it is set.

The connector is hadoop-aws of the very Hadoop version that PySpark ships, with the parts of the AWS
SDK that it calls (a few megabytes; the whole SDK, which it names itself, has 280 to 690) and
Spark's committers, which write to a store that has no rename. Spark's own Ivy downloads them once
(from Maven Central, or the mirror that DEFAULT_ARTIFACT_REPOSITORY names) into the user's cache.

How to find out what belongs to another Hadoop: its hadoop-aws names the version of the SDK in its
POM; a release of spark-hadoop-cloud near to Spark's own will do.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

from pyspark.find_spark_home import _find_spark_home

from retraining.errors import RetrainingError, full_text
from retraining.spark import ivy

if TYPE_CHECKING:
    from collections.abc import Mapping


_SPARK_HAS: Final = (
    *("org.apache.spark:spark-core_*", "org.apache.spark:spark-sql_*", "org.scala-lang*:*"),
    *("org.apache.spark:spark-catalyst_*", "org.apache.hadoop:hadoop-client*"),
    *("org.slf4j:*", "commons-logging:*", "commons-codec:*", "org.apache.httpcomponents:*"),
    *("com.fasterxml.jackson*:*", "io.netty:*", "joda-time:*"),
)
_OTHER_CLOUDS: Final = (
    *("org.apache.hadoop:hadoop-azure*", "org.apache.hadoop:hadoop-gcp", "com.google*:*"),
    *("org.apache.hadoop:hadoop-cloud-storage", "org.apache.hadoop:hadoop-huaweicloud"),
    *("com.squareup*:*", "org.eclipse.jetty:*"),
)
_PACKAGES: Final = {
    # Spark 4.2
    "3.5.0": ivy.Packages(
        (
            "org.apache.hadoop:hadoop-aws:3.5.0",
            "software.amazon.awssdk:s3:2.35.4",
            "software.amazon.awssdk:s3-transfer-manager:2.35.4",
            "software.amazon.awssdk:sts:2.35.4",
            "org.apache.spark:spark-hadoop-cloud_2.13:4.1.1",
        ),
        ("software.amazon.awssdk:bundle", *_SPARK_HAS, *_OTHER_CLOUDS),
    ),
    # Spark 3.5
    "3.3.4": ivy.Packages(
        (
            "org.apache.hadoop:hadoop-aws:3.3.4",
            "com.amazonaws:aws-java-sdk-s3:1.12.262",
            "com.amazonaws:aws-java-sdk-dynamodb:1.12.262",
            "com.amazonaws:aws-java-sdk-sts:1.12.262",
            "org.apache.spark:spark-hadoop-cloud_2.12:3.5.7",
        ),
        ("com.amazonaws:aws-java-sdk-bundle", *_SPARK_HAS, *_OTHER_CLOUDS),
    ),
}

# Writes of tasks come to sight together when the job ends, not by renaming.
_COMMITTER: Final = {
    "spark.hadoop.fs.s3a.committer.name": "magic",
    "spark.hadoop.mapreduce.outputcommitter.factory.scheme.s3a": (
        "org.apache.hadoop.fs.s3a.commit.S3ACommitterFactory"
    ),
    "spark.sql.sources.commitProtocolClass": (
        "org.apache.spark.internal.io.cloud.PathOutputCommitProtocol"
    ),
    "spark.sql.parquet.output.committer.class": (
        "org.apache.spark.internal.io.cloud.BindingParquetOutputCommitter"
    ),
}
# A store that refuses connections is given up after half a minute, one that is silent after two;
# left to itself the connector takes many.
_PATIENCE: Final = {
    "spark.hadoop.fs.s3a.attempts.maximum": "1",
    "spark.hadoop.fs.s3a.retry.limit": "5",
    "spark.hadoop.fs.s3a.connection.establish.timeout": "15000",
}


# As Hadoop's connector, or the SDK below it, names what went wrong.
_COMPLAINT: Final = re.compile(
    r"(?:org\.apache\.hadoop\.fs\.s3a|software\.amazon\.awssdk|com\.amazonaws)[\w.$]*: (.+)"
)


def complaint(error: BaseException) -> str | None:
    """What the object store, or the way to it, is blamed for in an error of Spark."""
    found = _COMPLAINT.search(full_text(error))
    return found[1] if found else None


def settings(environment: Mapping[str, str]) -> dict[str, str]:
    """Settings of a session that is to reach `s3a://`.

    Credentials are not among them: Spark takes AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    AWS_SESSION_TOKEN from the environment of the driver, hands them to the executors with the
    Hadoop configuration, and blanks them on its pages.

    Args:
        environment: May name endpoint and region, as AWS's own programs read them.

    Raises:
        RetrainingError: If the connector cannot be had.
    """
    chosen = {**_COMMITTER, **_PATIENCE}
    # As newer connectors do: old ones look for marks of folders to delete after every file.
    chosen["spark.hadoop.fs.s3a.directory.marker.retention"] = "keep"
    # What a killed write began is aborted when its folder is removed.
    chosen["spark.hadoop.fs.s3a.directory.operations.purge.uploads"] = "true"
    endpoint = _first(
        environment, "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "MLFLOW_S3_ENDPOINT_URL"
    )
    region = _first(environment, "AWS_REGION", "AWS_DEFAULT_REGION")
    if endpoint:
        chosen["spark.hadoop.fs.s3a.endpoint"] = endpoint
        chosen["spark.hadoop.fs.s3a.path.style.access"] = "true"
    if endpoint or region:
        chosen["spark.hadoop.fs.s3a.endpoint.region"] = region or "us-east-1"
    home = Path(_find_spark_home())
    jars = home / "jars"
    if not any(jars.glob("hadoop-aws-*.jar")):
        version = _hadoop_version(jars)
        connector = ivy.jars("Spark's S3 connector", f"s3a-{version}", _PACKAGES[version])
        chosen["spark.jars"] = ",".join(map(str, connector))
    elif not any(jars.glob("spark-hadoop-cloud_*.jar")):
        # Without Spark's side of them the committers cannot be used.
        chosen = {key: value for key, value in chosen.items() if not key.startswith("spark.sql.")}
    return chosen


def _first(environment: Mapping[str, str], *names: str) -> str | None:
    return next((environment[name] for name in names if environment.get(name)), None)


def _hadoop_version(jars: Path) -> str:
    found = [re.fullmatch(r"hadoop-client-api-(.+)\.jar", path.name) for path in jars.iterdir()]
    version = next((match[1] for match in found if match), "unknown")
    if version not in _PACKAGES:
        raise RetrainingError(
            f"the S3 connector for Hadoop {version} is not known",
            "put hadoop-aws of that version and its dependencies into Spark's jars",
        )
    return version
