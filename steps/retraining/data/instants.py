"""Event times as days and as microseconds since 1970, in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from pyspark.sql import Column

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def day_of(event_time: str | Column) -> Column:
    """Return the day of an event. Sessions are in UTC."""
    return F.to_date(event_time)


def micros_of(event_time: str) -> Column:
    """Return the microseconds from 1970 to an event."""
    return F.unix_micros(F.col(event_time).cast("timestamp"))


def to_micros(moment: datetime) -> int:
    """Return the microseconds from 1970 to a moment that has a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def from_micros(count: int) -> datetime:
    """Return the moment a number of microseconds after 1970."""
    return _EPOCH + count * _MICROSECOND


def length_in_micros(length: timedelta) -> int:
    """Return the whole microseconds in a length of time."""
    return length // _MICROSECOND


def midnight(day: date) -> datetime:
    """Return the first moment of a day."""
    return datetime.combine(day, time(), UTC)


def as_utc(moment: datetime) -> datetime:
    """Return the same moment in UTC; one without a time zone is taken as UTC."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
