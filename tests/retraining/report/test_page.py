"""The report as a reader, a browser and an auditor get it."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser
from typing import TYPE_CHECKING, get_args

import numpy as np
import pytest

from retraining.gate.decision import decide
from retraining.gate.fields import Outcome
from retraining.gate.policy import Policy
from retraining.gate.verdict import FalsePromotionRate, Opinion, Slice
from retraining.gate.wording import number
from retraining.report import glossary
from retraining.report.metric_table import compare_metrics
from retraining.report.page import SLICES_ON_PAGE, render
from retraining.report.summary import headline
from retraining.statistics.checks import check_rows
from tests.samples import COMMANDS, FACTS, NAMES, Sample, make_sample

if TYPE_CHECKING:
    from retraining.gate.verdict import Verdict

VOID = {"meta", "br", "hr", "link", "img", "input", "path", "use"}
OUTCOMES = get_args(Outcome)
PICTURES = {"effect", "distribution", "power", "roc", "pr", "reliability", "scores", "ledger"}


class Page(HTMLParser):
    """Tags, ids, headings and text of a page, and whether every tag that was opened is closed."""

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
        """All words, single-spaced, with minus signs as a keyboard has them."""
        return " ".join(" ".join(self.words).split()).replace("\N{MINUS SIGN}", "-")

    def values(self, tag: str, attribute: str) -> list[str]:
        """Every value of an attribute of a tag."""
        return [value for t, name, value in self.attributes if (t, name) == (tag, attribute)]


def html_of(sample: Sample, **values: object) -> str:
    """The whole report of a sample; values replace fields of its verdict."""
    return render(
        replace(sample.verdict, **values),  # type: ignore[arg-type]
        sample.rows,
        facts=FACTS,
        effects=sample.effects,
        commands=COMMANDS,
        names=NAMES,
    )


def bare(verdict: Verdict) -> Verdict:
    """Without anything that not every verdict has."""
    return replace(
        verdict,
        cross_check=None,
        guardrails=(),
        slices=(),
        opinions=(),
        maturities=(),
        ledger=None,
        n_units=None,
    )


@pytest.mark.parametrize("outcome", OUTCOMES)
def test_report_holds_the_whole_verdict(outcome: Outcome) -> None:
    sample = make_sample(outcome)
    verdict = sample.verdict
    page = Page(html_of(sample))
    assert page.open == []
    assert headline(verdict, NAMES) in page.text
    shown = [*verdict.reasons, *FACTS, *FACTS.values(), *COMMANDS, *COMMANDS.values()]
    shown += [item.sentence for item in verdict.guardrails]
    shown += [item.name for item in verdict.slices]
    shown += [text for item in verdict.opinions for text in (item.because, item.strategy)]
    shown += [item.false_promotion_rate.describe() for item in verdict.opinions]
    shown += [f"{item.extra_days} more days" for item in verdict.maturities]
    assert [sentence for sentence in shown if sentence not in page.text] == []
    scalars = [name for name, value in verdict.to_mapping().items() if not hasattr(value, "keys")]
    assert [name for name in scalars if name not in page.text and name != "reasons"] == []
    for value in (verdict.effect_size, verdict.standard_error, verdict.cross_check.ci_lower):  # type: ignore[union-attr]
        assert f"{value:.4g}" in page.text


def test_report_explains_every_number_and_word() -> None:
    page = Page(html_of(make_sample("promote")))
    sentences = [text for name, text in glossary.TERMS.items() if "." not in name]
    sentences += [glossary.meaning(name, "ledger") for name in ("spent", "budget", "left")]
    assert [text for text in sentences if text not in page.text] == []


def test_report_has_a_table_of_all_metrics() -> None:
    sample = make_sample("promote")
    page = Page(html_of(sample))
    for line in compare_metrics(sample.rows, sample.verdict.confidence_level):
        assert f"{line.name} {number(line.champion)} {number(line.challenger)}" in page.text


def test_report_says_status_in_words_and_labels_rules_that_do_not_hold() -> None:
    page = Page(html_of(make_sample("inconclusive")))
    assert "3 failed" in page.text
    assert "✕ failed" in page.text
    assert "✕ worse" in page.text
    assert "✓ passed" in page.text
    assert page.text.count("✕ not valid") == 3
    small = "Too small to be judged alone: amount_band=above 200 (445 rows, 18 positives, loss not"
    assert small in page.text


def test_report_says_why_a_section_is_empty() -> None:
    sample = make_sample("promote")
    page = Page(render(bare(sample.verdict), sample.rows, facts={}))
    for sentence in (
        "No guardrails were checked",
        "There is no picture of the resamples",
        "names no slices",
        "The models are not registered",
        "The other strategies were not run",
    ):
        assert sentence in page.text
    assert "cross_check.pvalue" not in page.text
    assert "Label maturity" not in page.text
    assert page.tags["svg"] == len(PICTURES) - 2


def test_a_first_test_has_no_picture_of_the_tests() -> None:
    sample = make_sample("promote")
    assert sample.verdict.ledger
    first = replace(sample.verdict, ledger=replace(sample.verdict.ledger, past=()))
    assert "Line: their sum" in html_of(sample)
    assert "Line: their sum" not in html_of(Sample(first, sample.rows, sample.effects))


def test_report_asks_for_nothing_over_the_network() -> None:
    html = html_of(make_sample("promote"))
    page = Page(html)
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert "://" not in html
    assert page.values("meta", "content")[1] == "default-src 'none'; style-src 'unsafe-inline'"
    assert "@import" not in html
    loads = [value for _, name, value in page.attributes if name in {"src", "xlink:href"}]
    assert all(value.startswith("#") for value in loads)
    assert html.count("url(") == html.count("url(#")


def test_report_pictures_have_words_and_ids_of_their_own() -> None:
    page = Page(html_of(make_sample("promote")))
    labels = page.values("svg", "aria-label")
    assert len(set(labels)) == len(labels) == len(PICTURES)
    assert all(len(label) > 40 for label in labels)
    strips = page.values("svg", "aria-hidden")
    assert len(strips) == page.tags["svg"] - len(PICTURES)
    assert max(page.ids.values()) == 1
    assert {value[1:] for value in page.values("use", "xlink:href")} <= set(page.ids)


def test_report_can_be_read_without_eyes_or_mouse() -> None:
    page = Page(html_of(make_sample("promote")))
    assert page.tags["h1"] == page.tags["main"] == page.tags["header"] == page.tags["nav"] == 1
    jumps = [value[1:] for value in page.values("a", "href") if value.startswith("#")]
    assert set(jumps) <= set(page.ids)
    assert jumps[0] == "why"
    assert page.tags["table"] == page.tags["caption"]
    assert set(page.values("th", "scope")) == {"col", "row"}


def test_report_follows_the_reader_into_the_dark_and_to_narrow_screens() -> None:
    html = html_of(make_sample("promote"))
    assert "@media (prefers-color-scheme: dark)" in html
    assert "width=device-width" in html
    pictures = html[html.index("<main>") :]
    colours = {"var(--ink)", "var(--champion)", "var(--challenger)", "var(--grid)", "var(--quiet)"}
    assert all(colour in pictures for colour in colours)
    assert "#0" not in pictures.replace('"#', "").replace("url(#", "")


def test_report_escapes_what_callers_say() -> None:
    sample = make_sample("promote")
    evil = '<script>alert("$x^1$")</script> 1.23456 #010101'
    verdict = replace(
        sample.verdict,
        reasons=(evil,),
        slices=(replace(sample.verdict.slices[0], name=evil, status="worse"),),
        guardrails=(replace(sample.verdict.guardrails[0], sentence=evil),),
        opinions=(replace(sample.verdict.opinions[0], because=evil),),
    )
    page = Page(
        render(
            verdict,
            sample.rows,
            facts={evil: evil},
            commands={evil: evil},
            names=(evil, f"new {evil}"),
        )
    )
    assert page.open == []
    assert page.tags["script"] == 0
    assert page.text.count(evil) >= 10


def test_report_distinguishes_models_with_long_names() -> None:
    """Drawn in full they would leave no room for the axes, of which matplotlib warns."""
    sample = make_sample("promote")
    names = (f"{'long_' * 40} version 3", f"{'long_' * 40} version 4")
    page = Page(render(sample.verdict, sample.rows, facts={}, names=names))
    assert names[0] in page.text
    pictures = " ".join(page.values("svg", "aria-label"))
    assert all(text in pictures for text in ("_ version 3", "_ version 4"))
    assert max(map(len, pictures.split())) < 40


def test_report_is_the_same_to_the_byte() -> None:
    sample = make_sample("keep_champion")
    assert html_of(sample) == html_of(sample)


def test_report_stays_small_for_many_rows_slices_and_tests() -> None:
    sample = make_sample("promote")
    repeated = 100
    rows = sample.rows._replace(
        label=np.tile(sample.rows.label, repeated),
        scores=tuple(np.tile(score, repeated) for score in sample.rows.scores),
        weight=np.tile(sample.rows.weight, repeated),
        unit=None,
    )
    noise = np.random.default_rng(0).normal(scale=1e-6, size=rows.label.size)
    rows = rows._replace(scores=tuple(np.clip(score + noise, 0, 1) for score in rows.scores))
    nothing = (math.nan,) * 8
    slices = tuple(
        replace(sample.verdict.slices[0], name=f"shop={shop}", effect_size=float(shop))
        for shop in range(2_000)
    )
    slices += tuple(Slice(f"street={n}", 5, 0, *nothing, "too_small") for n in range(2_000))
    ledger = sample.verdict.ledger
    assert ledger is not None
    ledger = replace(ledger, past=tuple(("2018-06-11T04:10:00+00:00", 1e-4) for _ in range(400)))
    html = html_of(Sample(replace(sample.verdict, slices=slices, ledger=ledger), rows, np.empty(0)))
    assert len(html.encode()) < 500_000
    text = Page(html).text
    assert f"shop={SLICES_ON_PAGE - 1}" in text
    assert f"shop={SLICES_ON_PAGE} " not in text
    assert "1,900 more, in which" in text
    assert "; and 1,900 more." in text


def test_report_takes_scores_of_any_scale_unknown_numbers_and_weights() -> None:
    """A constant champion, a challenger on the whole line, one positive."""
    label = np.array([0, 0, 0, 1])
    scores = {"champion": np.zeros(4), "challenger": np.array([-3.0, 2.0, -1.0, 5.0])}
    verdict = decide(label, *scores.values(), policy=Policy())
    assert math.isnan(verdict.standard_error)
    page = Page(render(verdict, check_rows(label, scores, weight=[1, 2, 3, 0.5]), facts={}))
    assert "unknown" in page.text
    assert "the scores are not probabilities" in page.text
    assert "more rows could show is unknown" in page.text


def test_report_takes_cells_of_rows() -> None:
    sample = make_sample("promote")
    tenth = tuple(np.round(score, 1) for score in sample.rows.scores)
    size = np.full(sample.rows.label.size, 7.0)
    rows = sample.rows._replace(scores=tenth, weight=size, square=size, size=size, unit=None)
    assert rows.n_rows == 84_000
    page = Page(render(bare(sample.verdict), rows, facts=FACTS, effects=sample.effects))
    assert page.tags["svg"] == len(PICTURES) - 1


def test_report_shows_a_strategy_without_an_interval() -> None:
    sample = make_sample("promote")
    rate = FalsePromotionRate(0.186, None)
    opinion = Opinion("disjoint_split", "promote", "So.", 0.1, *(math.nan,) * 3, False, rate)  # noqa: FBT003
    page = Page(html_of(sample, opinions=(opinion,)))
    assert "+0.1 no interval" in page.text
