"""Search results of MLflow, to the last page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow.store.entities import PagedList

T = TypeVar("T")

SIZE: Final = 100  # results that are asked for at once


def every(search: Callable[..., PagedList[T]], *arguments: Any, **named: Any) -> Iterator[T]:  # noqa: ANN401
    """Everything that a search of `MlflowClient` finds; a single call of it ends without a word."""
    token = None
    while True:
        page = search(*arguments, **named, max_results=SIZE, page_token=token)
        yield from page
        token = page.token
        if not token:
            return
