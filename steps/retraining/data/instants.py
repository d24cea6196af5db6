"""Event times as days of a time zone, and as microseconds since 1970."""

from __future__ import annotations

from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

if TYPE_CHECKING:
    from collections.abc import Iterator
    from zoneinfo import ZoneInfo

    from pyspark.sql import Column, SparkSession

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_DAY = timedelta(days=1)
_SETTING = "spark.sql.session.timeZone"


@contextmanager
def clock_of(spark: SparkSession, zone: ZoneInfo) -> Iterator[None]:
    """Let Spark read times without a zone, and take days and hours, by the clock of a zone.

    This holds for the frames that are made within: Spark settles the zone when it analyses them.
    """
    before = str(spark.conf.get(_SETTING))
    spark.conf.set(_SETTING, zone.key)
    try:
        yield
    finally:
        spark.conf.set(_SETTING, before)


def day_of(event_time: str | Column) -> Column:
    """Return the day of an event, by the clock of the session."""
    return F.to_date(event_time)


def micros_of(event_time: str) -> Column:
    """Return the microseconds from 1970 to an event; a plain date is the midnight it begins at."""
    return F.unix_micros(F.col(event_time).cast("timestamp"))


def to_micros(moment: datetime) -> int:
    """Return the microseconds from 1970 to a moment that has a time zone."""
    return (moment - _EPOCH) // _MICROSECOND


def length_in_micros(length: timedelta) -> int:
    """Return the whole microseconds in a length of time."""
    return length // _MICROSECOND


def midnight(day: date, zone: ZoneInfo) -> datetime:
    """Return the first moment of a day in a zone."""
    return datetime.combine(day, time(), zone)


def day_after(day: date) -> date:
    """Return the next day; the last one that there is has none, and is returned itself."""
    return day + _DAY if day < date.max else day


def on_clock(moment: datetime, zone: ZoneInfo) -> datetime:
    """Return the same moment on the clock of a zone; one without a zone is taken as of this one."""
    return moment.replace(tzinfo=zone) if moment.tzinfo is None else moment.astimezone(zone)


def later(moment: datetime, length: timedelta) -> datetime:
    """Return the moment after a length of time, which may be negative.

    Whole days go by the clock of the moment's zone, whatever their hours; shorter lengths do not.
    """
    if length % _DAY:
        return (moment.astimezone(UTC) + length).astimezone(moment.tzinfo)
    return moment + length


def day_before(moment: datetime, length: timedelta) -> date:
    """Return the day, on the moment's clock, that a length of time before it lies in."""
    return (moment.astimezone(UTC) - length).astimezone(moment.tzinfo).date()
