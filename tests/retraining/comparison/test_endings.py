"""Campaigns that something else ends than their own result."""

from __future__ import annotations

import dataclasses

import mlflow
import pytest

from retraining.comparison import campaigns, endings
from retraining.errors import RetrainingError
from retraining.gate.ledger import MOVED, REPLACED, charged
from retraining.tracking import registry, tags
from tests.retraining.comparison.looking import (
    DUE,
    POLICY,
    alphas,
    begin,
    finish,
    holdout,
    judge,
    look,
    pair,
)

pytestmark = pytest.mark.usefixtures("three_versions")


@pytest.mark.parametrize("why", [MOVED, REPLACED])
def test_a_campaign_that_others_end_is_charged_what_it_could_not_promote_any_more(why: str) -> None:
    stands = [look("a", 0), look("b", 1)][-1]
    endings.end_campaigns("fraud", why)
    assert alphas() == {"b": pytest.approx(DUE - stands.returnable)}
    progress, _ = begin("c", 2)
    assert (progress.campaign, progress.number) == ("", 1)
    tag = registry.version_of("fraud", 2).tags[tags.CAMPAIGN]
    assert tag == f"2 of 8 against version 1: {why}"
    waits = {tags.WAITS} & registry.version_of("fraud", 2).tags.keys()
    assert bool(waits) == (why == MOVED)


def test_the_campaign_of_the_new_challenger_goes_on_when_the_others_end() -> None:
    look("a", 0)
    endings.end_campaigns("fraud", REPLACED, but="models:/fraud/2")
    assert begin("b", 1)[0].number == 2


def test_the_page_of_the_challenger_shows_the_campaign_unless_somebody_wrote_there() -> None:
    for week, own in enumerate(("", "mine")):
        if own:
            registry.describe(registry.version_of("fraud", 2), own)
        look(f"look {week}", week)
        entry = charged(registry.tests_of("fraud"))[-1]
        endings.show(entry, "Because.")
    version = registry.version_of("fraud", 2)
    assert version.tags[tags.CAMPAIGN] == "2 of 8 against version 1: open"
    assert version.description == "mine"


def test_another_policy_charges_another_campaign() -> None:
    look("a", 0)
    first = look("b", 1)
    policy = dataclasses.replace(POLICY, min_effect_size=0.01)
    found = campaigns.find(pair(), policy, holdout(2))
    assert found is not None
    endings.end_campaign_of("fraud", "models:/fraud/1", "models:/fraud/2")
    assert alphas() == {"b": pytest.approx(DUE - first.returnable)}


def test_a_look_whose_campaign_is_ended_meanwhile_does_not_count() -> None:
    look("a", 0)
    with mlflow.start_run() as run:
        started = begin("b", 1, run_id=run.info.run_id)
        endings.end_campaigns("fraud", MOVED)
        with pytest.raises(RetrainingError, match=f"has ended meanwhile: {MOVED}"):
            finish(started, 9.0, "promote")
    assert set(alphas()) == {"a"}
    with mlflow.start_run():
        first = begin("c", 2)
        endings.end_campaigns("fraud", REPLACED)
        with pytest.raises(RetrainingError, match=f"has ended meanwhile: {REPLACED}"):
            finish(first, 1.0)


def test_a_promotion_is_refused_if_its_campaign_was_ended() -> None:
    with mlflow.start_run() as run:
        progress, charge = begin("a", 0, run_id=run.info.run_id)
        stands, _ = judge(progress, 9.0, "promote")
        settled = charge.judge(stands, 1.0, 0.01, costs=True)
        settled.settle()
        mlflow.set_tag(tags.CHARGE, settled.entry.write())
    test = mlflow.get_run(run.info.run_id)
    endings.refuse_ended("fraud", test)
    registry.record_test("fraud", settled.entry.ended(REPLACED, 0.01))
    with pytest.raises(RetrainingError, match="has ended meanwhile: replaced"):
        endings.refuse_ended("fraud", test)
