"""Measures the Python process that starts with this folder on its path: where its seconds went.

A second counts once, for the innermost part: Spark's work while MLflow loads a model is Spark's.
Only the main thread is measured. The result is appended to the file that RETRAINING_TIMES names.
"""

from __future__ import annotations

import atexit
import builtins
import functools
import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_STARTED = time.monotonic()
# Functions by module, and the part of the time that they are; `*` is all public methods.
_TIMED = {
    "retraining.spark.gateway": {"launch_gateway": "JVM", "attach": "JVM"},
    "pyspark.core.context": {
        "launch_gateway": "JVM",
        "SparkContext.__init__": "JVM",
        "SparkContext.stop": "JVM",
    },
    "py4j.java_gateway": {"GatewayClient.send_command": "Spark"},
    "concurrent.futures._base": {"Future.result": "trials"},
    "mlflow.projects": {"run": "children"},
    "mlflow.tracking.fluent": {"start_run": "MLflow", "end_run": "MLflow"},
    "mlflow.spark": {"log_model": "MLflow", "load_model": "MLflow"},
    "mlflow.artifacts": {"download_artifacts": "MLflow"},
    "mlflow.tracking.client": {"MlflowClient.*": "MLflow"},
}


class _Clock:
    """Seconds by part."""

    def __init__(self) -> None:
        self.now = _STARTED
        self.parts = ["rest"]
        self.seconds: dict[str, float] = {}

    def switch(self) -> None:
        before, self.now = self.now, time.monotonic()
        part = self.parts[-1]
        self.seconds[part] = self.seconds.get(part, 0) + self.now - before

    def timed(self, part: str, function: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
            apart = threading.current_thread() is not threading.main_thread()
            within = self.parts[-1]
            if apart or (part == "Spark" and within == "JVM"):
                return function(*args, **kwargs)
            if part == "trials" and within != "rest":  # MLflow has threads of its own
                return function(*args, **kwargs)
            self.switch()
            self.parts.append(part)
            try:
                return function(*args, **kwargs)
            finally:
                self.switch()
                self.parts.pop()

        return call


_CLOCK = _Clock()
_import = builtins.__import__


def _import_timed(name: str, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
    if _CLOCK.parts[-1] == "imports":
        return _import(name, *args, **kwargs)
    try:
        return _CLOCK.timed("imports", _import)(name, *args, **kwargs)
    finally:
        for module in _TIMED.keys() & sys.modules.keys():
            if not getattr(sys.modules[module].__spec__, "_initializing", False):
                _time(module)


def _time(module: str) -> None:
    for path, part in _TIMED.pop(module).items():
        owner_name, _, name = path.rpartition(".")
        owner: Any = sys.modules[module]
        owner = getattr(owner, owner_name) if owner_name else owner
        names = [n for n in vars(owner) if not n.startswith("_")] if name == "*" else [name]
        for found in names:
            if callable(vars(owner)[found]):
                setattr(owner, found, _CLOCK.timed(part, vars(owner)[found]))


def _report() -> None:
    _CLOCK.switch()
    measured = {"argv": sys.argv, "wall": _CLOCK.now - _STARTED, "seconds": _CLOCK.seconds}
    with Path(os.environ["RETRAINING_TIMES"]).open("a") as file:
        file.write(json.dumps(measured) + "\n")


if "RETRAINING_TIMES" in os.environ:
    builtins.__import__ = _import_timed
    atexit.register(_report)
