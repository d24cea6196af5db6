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
    if name not in vars(jvm):
        setattr(jvm, name, getattr(jvm, name))
    return getattr(jvm, name)


def remember_classes(jvm: Any) -> None:  # noqa: ANN401 (py4j)
    """Let PySpark find the classes behind every column where it looks for them.

    It asks Java for them each time, for some without their package: by these, too, hundreds of
    jars are looked into.

    Args:
        jvm: That of the context which PySpark will use.
    """
    jvm.functions = java_class(jvm, "org.apache.spark.sql.functions")
    jvm.PythonUtils = java_class(jvm, "org.apache.spark.api.python.PythonUtils")
