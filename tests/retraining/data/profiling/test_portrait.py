"""What the page of a data set says of its manifest and its profile."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any

from retraining.data.account import Account
from retraining.data.manifest import Manifest, StoredQuarantine, StoredSplit
from retraining.data.profiling import portrait

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.description.document import Description

N_POSITIVES = {"train": 400, "validation": 90, "holdout": 80}


def make_manifest(description: Description, **fields: object) -> Manifest:
    splits = {
        name: StoredSplit(uri=f"/d/{name}", n_rows=1000, n_positives=n, fingerprint="0")
        for name, n in N_POSITIVES.items()
    }
    rejected = {"unparseable age": 20, "malformed": 5}
    account = Account(
        read=3500,
        earlier=0,
        rejected=25,
        older=300,
        gaps=0,
        newer=160,
        known_positives=0,
        unlabelled=15,
        **{name: split.n_rows for name, split in splits.items()},
    )
    return Manifest.model_validate(
        {
            "name": description.name,
            "version": "1",
            "uri": "/d",
            "description": description.to_mapping(),
            "description_digest": "0",
            "preparation_digest": "0",
            "files": (),
            "columns": {},
            "days": {},
            "splits": splits,
            "quarantine": StoredQuarantine(
                uri="/d/q", n_rows=25, by_reason=rejected, examples={"unparseable age": ("abc",)}
            ),
            "n_rows_read": 3500,
            "fingerprint": "0",
            "as_of": None,
            "new_days": (),
            "reused_days": (),
            "why": "the only file is read",
            "account": account,
            **fields,
        }
    )


def profiled(**aurocs: float | None) -> dict[str, Any]:
    column = {"type": "double", "nulls": 25, "min": 1.0, "max": 9.5, "mean": 2.0, "distinct": 40}
    names = ("key", "ill", "age", "height", "city")
    relations = {"age": 0.6, "height": 0.7, "city": 0.5} | aurocs
    return {
        "rows": 1000,
        "columns": {name: dict(column) for name in names},
        "relations": {n: {"auroc": a, "direction": "higher"} for n, a in relations.items()},
    }


def test_a_feature_that_may_hold_the_label_is_named_first(
    describe: Callable[..., Description],
) -> None:
    found = profiled(age=0.951, height=0.98, city=None)

    assert list(portrait.find_leaks(found)) == ["height", "age"]
    shown = portrait.show(make_manifest(describe()), describe(), found, {})
    assert [finding.partition(":")[0] for finding in shown.findings[:2]] == ["height", "age"]
    assert {c.name: c.is_suspicious for c in shown.columns} == {
        "key": False,
        "ill": False,
        "age": True,
        "height": True,
        "city": False,
    }
    assert not portrait.find_leaks(profiled(age=0.95))


def test_rows_that_are_young_unlabelled_or_too_few_are_named(
    describe: Callable[..., Description],
) -> None:
    manifest = make_manifest(describe(), warnings=("the newest day has 3 rows",))

    text = "\n".join(portrait.show(manifest, describe(), profiled(), {}).findings)

    assert "The newest day has 3 rows." in text
    assert "160 rows are newer than the holdout" in text
    assert "15 rows have no known label" in text
    assert "holdout has 80 rows of the rarer class; the gate asks for 100" in text


def test_all_rows_are_in_the_account(describe: Callable[..., Description]) -> None:
    shown = portrait.show(make_manifest(describe()), describe(), profiled(), {})

    read = shown.account["read"]
    assert sum(shown.account.values()) == 2 * read
    assert [(r.reason, r.n_rows, r.examples) for r in shown.rejected] == [
        ("unparseable age", 20, ("abc",)),
        ("malformed", 5, ()),
    ]
    assert {c.name: c.use for c in shown.columns} == {
        "key": "the row key",
        "ill": "the label",
        "age": "feature",
        "height": "feature",
        "city": "feature",
    }
    assert shown.columns[2].missing == "2.5%"


def test_a_key_has_as_many_values_as_rows_and_other_numbers_are_approximate(
    describe: Callable[..., Description],
) -> None:
    found = profiled()
    found["columns"]["city"]["distinct"] = 7
    shown = portrait.show(make_manifest(describe()), describe(), found, {})

    values = {column.name: column.distinct for column in shown.columns}
    assert (values["key"], values["age"], values["city"]) == ("1,000", "about 40", "7")


def test_columns_are_shown_by_their_role_and_days_without_hours(
    describe: Callable[..., Description],
) -> None:
    days = datetime(2024, 1, 1), datetime(2024, 2, 1)
    noon = datetime(2024, 1, 1, 12), datetime(2024, 2, 1, 12)
    manifest = make_manifest(describe())
    splits = {
        name: split.model_copy(update=dict(zip(("start", "end"), span, strict=True)))
        for (name, split), span in zip(manifest.splits.items(), (days, noon, days), strict=True)
    }
    found = profiled()
    del found["relations"]["city"]
    description = describe(unit="city", features={"plain": ["age"]}, never_features=["city"])
    shown = portrait.show(manifest.model_copy(update={"splits": splits}), description, found, {})

    uses = {column.name: column.use for column in shown.columns}
    assert (uses["key"], uses["city"]) == ("the row key", "the unit")
    assert [span for *_, span in shown.splits.values()][:2] == [
        "2024-01-01 to 2024-02-01",
        "2024-01-01 12:00 to 2024-02-01 12:00",
    ]
