"""The report as a reader, a browser and an auditor get it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING

import numpy as np
import pytest

from retraining.decision import Policy, Verdict, decide
from retraining.errors import RetrainingError
from retraining.metrics import METRICS
from retraining.report import HEADLINES, METRICS_IN_WORDS, render

if TYPE_CHECKING:
    from retraining.rows import Codes, Floats

VOID = {"meta", "br", "hr", "link", "img", "input", "path", "use"}
FACTS = {"Holdout": "2018-08-08 to 2018-08-14", "Reproduce": "mlflow run . -e reproduce"}


class Page(HTMLParser):
    """Tags, ids and text of a page, and whether every tag that was opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.ids: Counter[str] = Counter()
        self.attributes: list[tuple[str, str, str]] = []
        self.open: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Count the tag and note its attributes."""
        self.tags[tag] += 1
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        self.ids.update(value for name, value in attrs if name == "id" and value)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """A tag that closes itself."""
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        """It must be the tag opened last."""
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Collect the words."""
        self.words.append(data)

    @property
    def text(self) -> str:
        """All words, single-spaced."""
        return " ".join(" ".join(self.words).split())


def scored(n: int = 3000) -> tuple[Codes, Floats, Floats]:
    rng = np.random.default_rng(0)
    label = (rng.random(n) < 0.1).astype(np.intp)
    common = rng.normal(size=n) + 1.2 * label
    champion, challenger = (common + 0.4 * rng.normal(size=n) for _ in range(2))
    return label, 1 / (1 + np.exp(2 - champion)), 1 / (1 + np.exp(2 - challenger))


def verdict_of(rows: tuple[Codes, Floats, Floats], **values: object) -> Verdict:
    return replace(decide(*rows, policy=Policy()), **values)  # type: ignore[arg-type]


def test_report_holds_headline_reasons_numbers_and_facts() -> None:
    rows = scored()
    verdict = verdict_of(rows)
    page = Page(render(verdict, *rows, facts=FACTS))
    assert page.open == []
    assert HEADLINES[verdict.verdict].format(champion="champion", challenger="challenger") in (
        page.text
    )
    for sentence in (*verdict.reasons, *FACTS, *FACTS.values()):
        assert sentence in page.text
    skipped = {"verdict", "reasons", "strategy", "confidence_level", "power"}
    for name in set(verdict.to_mapping()) - skipped:
        assert page.text.count(name) >= 1
    assert f"{verdict.effect_size:.4g}" in page.text
    assert "every row is taken as independent" in page.text


def test_report_has_words_for_every_metric() -> None:
    assert set(METRICS_IN_WORDS) == set(METRICS)


@pytest.mark.parametrize(
    ("outcome", "metric"),
    [("promote", "auprc"), ("keep_champion", "log_loss"), ("inconclusive", "f1")],
)
def test_report_words_every_outcome(outcome: str, metric: str) -> None:
    rows = scored(300)
    verdict = verdict_of(rows, verdict=outcome, metric=metric, n_units=70)
    page = Page(render(verdict, *rows, facts={}, names=("model 3", "model 4")))
    assert HEADLINES[outcome].format(champion="model 3", challenger="model 4") in page.text
    assert METRICS_IN_WORDS[metric] in page.text
    assert "rows of one unit may depend on each other" in page.text


def test_report_asks_for_nothing_over_the_network() -> None:
    rows = scored()
    html = render(verdict_of(rows), *rows, facts=FACTS)
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "http" not in html
    assert "@import" not in html
    loads = [(name, value) for _, name, value in page.attributes if name in {"src", "xlink:href"}]
    assert all(value.startswith("#") for _, value in loads)
    assert html.count("url(") == html.count("url(#")


def test_report_pictures_have_words_and_ids_of_their_own() -> None:
    rows = scored()
    page = Page(render(verdict_of(rows), *rows, facts=FACTS))
    labels = [value for tag, name, value in page.attributes if (tag, name) == ("svg", "aria-label")]
    assert page.tags["svg"] == len(labels) == 5
    assert len(set(labels)) == 5
    assert all(len(label) > 40 for label in labels)
    assert max(page.ids.values()) == 1
    used = {value[1:] for _, name, value in page.attributes if name == "xlink:href"}
    assert used <= set(page.ids)


def test_report_follows_the_reader_into_the_dark_and_to_narrow_screens() -> None:
    rows = scored()
    html = render(verdict_of(rows), *rows, facts=FACTS)
    assert "@media (prefers-color-scheme: dark)" in html
    assert "width=device-width" in html
    colours = {"var(--ink)", "var(--champion)", "var(--challenger)", "var(--grid)"}
    pictures = html[html.index("<main>") :]
    assert all(colour in pictures for colour in colours)
    assert "#0" not in pictures.replace('"#', "").replace("url(#", "")


def test_report_escapes_what_callers_say() -> None:
    rows = scored(300)
    evil = '<script>alert("$x^1$")</script> 1.23456 #010101'
    html = render(
        verdict_of(rows, reasons=(evil,)), *rows, facts={evil: evil}, names=(evil, f"new {evil}")
    )
    page = Page(html)
    assert page.open == []
    assert page.tags["script"] == 0
    assert page.text.count(evil) >= 8


def test_report_links_only_addresses_that_cannot_run() -> None:
    rows = scored(300)
    links = {
        "run": "https://mlflow.example/#/runs/1",
        "table": "scores.parquet",
        "trap": "javascript:alert(1)",
        "store": "s3://bucket/key",
    }
    page = Page(render(verdict_of(rows), *rows, facts={}, links=links))
    targets = [value for tag, name, value in page.attributes if (tag, name) == ("a", "href")]
    assert targets == ["https://mlflow.example/#/runs/1", "scores.parquet"]
    assert "trap: javascript:alert(1)" in page.text
    assert "store: s3://bucket/key" in page.text


def test_report_is_the_same_to_the_byte() -> None:
    rows = scored(500)
    one, other = (render(verdict_of(rows), *rows, facts=FACTS) for _ in range(2))
    assert one == other


def test_report_stays_small_for_a_million_rows() -> None:
    rows = scored(1_000_000)
    assert len(render(verdict_of(rows), *rows, facts=FACTS).encode()) < 150_000


def test_report_takes_scores_of_any_scale_unknown_numbers_and_weights() -> None:
    """A constant champion, a challenger on the whole line, one row of class 1."""
    label = np.array([0, 0, 0, 1])
    rows = label, np.zeros(4), np.array([-3.0, 2.0, -1.0, 5.0])
    verdict = decide(*rows, policy=Policy())
    assert math.isnan(verdict.standard_error)
    html = render(verdict, *rows, facts={}, weight=[1, 2, 3, 0.5])
    assert "unknown" in Page(html).text


def test_report_refuses_rows_that_cannot_be_compared() -> None:
    rows = scored(300)
    with pytest.raises(RetrainingError, match=r"^champion has 2 rows and label has 300"):
        render(verdict_of(rows), rows[0], [0.1, 0.2], rows[2], facts={})
