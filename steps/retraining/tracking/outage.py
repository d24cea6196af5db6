"""Failures of the tracking server or its artifact store, reported in one line.

MLflow itself retries a request for some minutes, so a server that comes back only costs time.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import mlflow
import requests
from mlflow.environment_variables import MLFLOW_HTTP_REQUEST_MAX_RETRIES

from retraining.errors import RetrainingError
from retraining.tracking import checkout

if TYPE_CHECKING:
    from collections.abc import Iterator

_UNAUTHENTICATED = {"UNAUTHENTICATED", "CUSTOMER_UNAUTHORIZED"}
_FORBIDDEN = "PERMISSION_DENIED"


class AwayError(RetrainingError):
    """The server does not answer, and it is no use to ask again."""


def fault(error: BaseException) -> RetrainingError | None:
    """The error to report to the user; None if neither the user nor the server is at fault.

    A `RetrainingError` is reported as it is.
    """
    if isinstance(error, RetrainingError):
        return error
    if type(error).__module__.partition(".")[0] in ("boto3", "botocore"):
        return RetrainingError(
            f"the artifact bucket rejects a request ({error})",
            "check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_ENDPOINT_URL",
        )
    if not isinstance(error, (mlflow.MlflowException, requests.RequestException)):
        return None
    for cause in chain(error):
        if isinstance(cause, requests.HTTPError) and cause.response is not None:
            if cause.response.status_code in (401, 403):
                return _refusal(cause, unknown=cause.response.status_code == 401)
        elif isinstance(cause, requests.RequestException):
            return _absence(cause)
        elif getattr(cause, "error_code", None) in {*_UNAUTHENTICATED, _FORBIDDEN}:
            return _refusal(cause, unknown=cause.error_code in _UNAUTHENTICATED)  # type: ignore[attr-defined]
    # After a download of several files, only the text of the failure is left.
    refused = re.search(r"\b(401|403) Client Error", str(error))
    if refused:
        return _refusal(error, unknown=refused[1] == "401")
    return _absence(error) if "Max retries exceeded" in str(error) else None


def is_lost(error: BaseException) -> bool:
    """Whether the server is away for good; if so, this process does not wait for it again."""
    lost = isinstance(fault(error), AwayError)
    if lost:
        hurry(retries=0)
    return lost


def hurry(retries: int) -> None:
    """Limit how often each further request of this process is retried."""
    fewer = min(retries, MLFLOW_HTTP_REQUEST_MAX_RETRIES.get())  # type: ignore[no-untyped-call]
    os.environ[MLFLOW_HTTP_REQUEST_MAX_RETRIES.name] = str(fewer)


def chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that led to it."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def address() -> str:
    """The tracking URI without credentials."""
    return checkout.without_credentials(mlflow.get_tracking_uri())


def _refusal(error: BaseException, *, unknown: bool) -> RetrainingError:
    if unknown:
        return RetrainingError(
            f"the tracking server {address()} does not accept this user",
            "check MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD",
        )
    asked = re.search(r"/mlflow(?:-artifacts)?/([\w/-]+)", str(error))
    return RetrainingError(
        f"the tracking server {address()} does not permit {asked[1] if asked else 'this request'}",
        "the user needs EDIT on the experiment (MLFLOW_EXPERIMENT_NAME) and MANAGE on the model, "
        "and what was asked for must exist",
    )


def _absence(error: BaseException) -> AwayError:
    request = getattr(error, "request", None)
    asked = urlsplit(request.url) if request is not None else None
    where = f"{asked.scheme}://{asked.netloc.rpartition('@')[2]}" if asked else address()
    return AwayError(
        f"the tracking server {where} does not answer ({_reason(str(error))})",
        "check that it runs and MLFLOW_TRACKING_URI, then run the step again",
    )


def _reason(text: str) -> str:
    """The innermost reason of a failed request, without the objects around it."""
    text = re.sub(r"HTTPS?Connection(Pool)?\([^)]*\): ", "", text).rpartition("Caused by ")[2]
    quoted = re.search("""["'](.*)["']""", text)
    return quoted[1] if quoted else text
