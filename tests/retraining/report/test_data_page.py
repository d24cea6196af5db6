"""The page of a data set, as a reader gets it."""

from __future__ import annotations

from dataclasses import replace

from retraining.report.data_page import ShownColumn, ShownData, ShownReason, render
from tests.retraining.report.test_page import Page
from tests.samples import DATA


def test_a_page_is_whole_and_loads_nothing() -> None:
    page = Page(render(DATA))

    assert page.open == []
    assert max(page.ids.values()) == 1
    assert page.tags["svg"] == 2
    targets = {link.removeprefix("#") for link in page.values("a", "href")}
    assert targets <= set(page.ids)
    assert not {"script", "link", "img", "iframe"} & set(page.tags)
    assert render(DATA) == render(DATA)


def test_every_row_and_column_is_accounted_for() -> None:
    text = Page(render(DATA)).text

    for name, count in DATA.account.items():
        assert f"{name} {count:,} " in text
    for name, (n_rows, n_positives, _) in DATA.splits.items():
        assert f"{name} rows {n_rows} {n_positives} positives" in text
    assert "unparseable age 30 abc or x<y" in text
    assert "glucose feature double 2.5% 312 50 to 199 0.961, higher is positive" in text
    assert "glucose: its AUROC alone is 0.961." in text


def test_nothing_to_look_at_is_said_too() -> None:
    quiet = Page(render(replace(DATA, findings=(), rejected=()))).text

    assert "Nothing stands out." in quiet
    assert "No row was rejected." in quiet


def test_years_of_days_stay_a_small_page() -> None:
    days = {
        f"20{y:02}-{m:02}-{d:02}": (9, 1) for y in range(30) for m in range(1, 13) for d in (1, 9)
    }
    page = render(replace(DATA, days={"train": days}))

    assert len(page) < 100_000
    assert "2000-01-01" in page


def test_text_of_the_data_is_text_on_the_page() -> None:
    wicked = "<script>alert(1)</script>"
    column = ShownColumn(wicked, "feature", "int", "", "", wicked, "", is_suspicious=False)
    data: ShownData = replace(
        DATA, columns=(column,), rejected=(ShownReason("malformed", 1, (wicked,)),), summary=wicked
    )
    assert Page(render(data)).tags["script"] == 0
