"""Classes of Java, for what PySpark has no public way to: Hadoop, YARN, log4j."""

from __future__ import annotations

from typing import Any


def java_class(jvm: Any, name: str) -> Any:  # noqa: ANN401 (py4j)
    """Return a class by its full name.

    For `jvm.org.apache...`, Java would look into hundreds of jars for a class `org`, then for a
    class `org.apache`, and so on, which takes milliseconds.

    Args:
        jvm: `SparkSession._jvm`, or that of a context or a gateway.
        name: With its package.
    """
    return getattr(jvm, name)
