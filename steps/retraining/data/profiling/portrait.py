"""The page of a data set: what its manifest and its profile say."""

from __future__ import annotations

from datetime import time
from typing import TYPE_CHECKING, Any, Final

from retraining.data.profiling.relation import Relation
from retraining.report.data_page import ShownColumn, ShownData, ShownReason

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime

    from retraining.data.manifest import Manifest
    from retraining.description.document import Description

_CHARACTERS: Final = 120  # of a value that is shown
_EXACT: Final = 10  # values; of more, the number is approximate


def find_leaks(profiled: Mapping[str, Any]) -> dict[str, Relation]:
    """The features that by themselves order rows so well that they may hold the label.

    Args:
        profiled: From `profile.profile`.
    """
    relations = {name: Relation(**found) for name, found in profiled["relations"].items()}
    found = {name: one for name, one in relations.items() if one.is_suspicious}
    return dict(sorted(found.items(), key=lambda item: (-(item[1].auroc or 0), item[0])))


def show(
    manifest: Manifest,
    description: Description,
    profiled: Mapping[str, Any],
    days: Mapping[str, Mapping[str, tuple[int, int]]],
) -> ShownData:
    """Gather what the page of a data set shows.

    Args:
        manifest: Of the data set.
        description: Of the data set.
        profiled: From `profile.profile`, of train.
        days: Rows and positives by day, or by split, for each split.
    """
    splits = manifest.splits.items()
    return ShownData(
        name=manifest.name,
        summary=description.summary,
        findings=tuple(_findings(manifest, description, profiled)),
        account=_account(manifest),
        splits={name: (s.n_rows, s.n_positives, _span(s.start, s.end)) for name, s in splits},
        rejected=_rejected(manifest),
        columns=tuple(_columns(description, profiled)),
        days=days,
        notes=(
            "AUROC alone is how well a feature by itself orders rows by their label: 0.5 is by "
            "chance, 1 is the label. Of more than 100,000 rows of a class, a share is looked at.",
            "Categories are ordered by their share of positives in one half of the training rows "
            "and judged by the other.",
            "Numbers of more than 10 values are approximate. The range of a text goes by the "
            "alphabet.",
        ),
        facts={
            "data": manifest.uri,
            "fingerprint": manifest.fingerprint,
            "description": manifest.description_digest,
            "raw files": f"{len(manifest.files):,}; {manifest.why}",
        },
    )


def _findings(
    manifest: Manifest, description: Description, profiled: Mapping[str, Any]
) -> Iterator[str]:
    for name, leak in find_leaks(profiled).items():
        yield (
            f"{name}: its AUROC alone is {leak.auroc}. It may hold the label itself: put it in "
            "never_features, unless it is known before the label."
        )
    yield from (f"{remark[0].upper()}{remark[1:]}." for remark in manifest.remarks)
    account = manifest.account
    if account and account.newer:
        yield f"{account.newer:,} rows are newer than the holdout: their labels are still young."
    if account and account.unlabelled:
        yield f"{account.unlabelled:,} rows have no known label."
    for name, split in manifest.splits.items():
        fewest = min(split.n_positives, split.n_rows - split.n_positives)
        if name == "holdout" and fewest < description.gate.minimum_positives:
            yield (
                f"{name} has {fewest:,} rows of the rarer class; the gate asks for "
                f"{description.gate.minimum_positives:,}."
            )
    for name in description.feature_columns:
        if profiled["columns"][name]["distinct"] < 2:
            yield f"{name} is a feature with a single value."


def _account(manifest: Manifest) -> dict[str, int]:
    account = manifest.account
    if account is None:
        return {"read": manifest.n_rows_read, "rejected": manifest.quarantine.n_rows}
    earlier = {"of earlier runs": account.earlier} if account.earlier else {}
    splits = {name: getattr(account, name) for name in manifest.splits}
    return {"read": account.read, **earlier, "rejected": account.rejected} | splits | account.unused


def _span(start: datetime | None, end: datetime | None) -> str:
    if not (start and end):
        return ""
    is_of_days = start.time() == end.time() == time()
    return " to ".join(
        f"{one:{'%Y-%m-%d' if is_of_days else '%Y-%m-%d %H:%M'}}" for one in (start, end)
    )


def _rejected(manifest: Manifest) -> tuple[ShownReason, ...]:
    stored = manifest.quarantine
    return tuple(
        ShownReason(reason, count, stored.examples.get(reason, ()))
        for reason, count in stored.by_reason.items()
    )


def _columns(description: Description, profiled: Mapping[str, Any]) -> Iterator[ShownColumn]:
    n_rows = max(profiled["rows"], 1)
    uses = description.forbidden_features | _roles(description)
    for name, column in profiled["columns"].items():
        found = profiled["relations"].get(name)
        use = "feature" if found else uses.get(name, "not used")
        one = Relation(**found) if found else None
        text = "" if one is None else "unknown" if one.auroc is None else _relation(one)
        yield ShownColumn(
            name=name,
            use=use,
            type=column["type"],
            missing=f"{column['nulls'] / n_rows:.1%}" if column["nulls"] else "none",
            distinct=_distinct(
                column["distinct"], n_rows, is_key=description.key_columns == (name,)
            ),
            range=_range(column),
            relation=text,
            is_suspicious=one is not None and one.is_suspicious,
        )


def _roles(description: Description) -> dict[str, str]:
    """What columns serve for, whether or not they are in `never_features`, too."""
    keys = description.key_columns
    return {
        **({description.weight: "the weight"} if description.weight else {}),
        **({description.event_time: "the event time"} if description.event_time else {}),
        **dict.fromkeys(keys, "the row key" if len(keys) == 1 else "part of the row key"),
        **dict.fromkeys(description.units, "the unit"),
    }


def _distinct(found: int, n_rows: int, *, is_key: bool) -> str:
    """Different values; many are counted to within some percent, and a key has no two the same."""
    if is_key:
        return f"{n_rows:,}"
    return f"about {found:,}" if found > _EXACT else f"{found:,}"


def _relation(one: Relation) -> str:
    how = "by categories" if one.direction == "categories" else f"{one.direction} is positive"
    return f"{one.auroc:.3f}, {how}"


def _range(column: Mapping[str, Any]) -> str:
    low, high = (
        f"{end:.6g}" if isinstance(end, float) else str(end)[:_CHARACTERS]
        for end in (column["min"], column["max"])
    )
    return "" if column["min"] is None else low if low == high else f"{low} to {high}"
