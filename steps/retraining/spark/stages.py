"""The stage that Spark works on, shown while it runs."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Event, Thread
from typing import TYPE_CHECKING, Final

from py4j.protocol import Py4JError

from retraining.progress import track

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pyspark import SparkContext, StatusTracker

# A stage is shown once two looks have seen it: most of them are over sooner.
_SECONDS_BETWEEN_LOOKS: Final = 1.0


@contextmanager
def show_stages(context: SparkContext) -> Iterator[None]:
    """Show how many tasks of a long stage are done, one stage at a time, the oldest first."""
    left = Event()
    watcher = Thread(target=_watch, args=(context.statusTracker(), left), daemon=True)
    watcher.start()
    try:
        yield
    finally:
        left.set()
        watcher.join()


def _watch(tracker: StatusTracker, left: Event) -> None:
    seen: set[int] = set()
    while not left.wait(_SECONDS_BETWEEN_LOOKS):
        try:
            active = set(tracker.getActiveStageIds())
            long = sorted(active & seen)
            if long:
                _show(tracker, long[0], left)
            seen = active
        except (Py4JError, OSError):
            return  # Spark has ended; whoever uses it gets the error


def _show(tracker: StatusTracker, stage: int, left: Event) -> None:
    """Show one stage until it is over."""
    info, done = tracker.getStageInfo(stage), 0
    if info is None:
        return
    with track(f"Spark stage {stage}", info.numTasks, "tasks") as advance:
        while info is not None and info.numCompletedTasks < info.numTasks:
            advance(info.numCompletedTasks - done)
            done = info.numCompletedTasks
            if left.wait(_SECONDS_BETWEEN_LOOKS):
                return
            info = tracker.getStageInfo(stage) if stage in tracker.getActiveStageIds() else None
