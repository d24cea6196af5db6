"""Rows that are encoded once for all trials of a search."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from retraining.models import pipelines
from retraining.models.encoding import EncodedRows
from retraining.models.search import Candidate

if TYPE_CHECKING:
    from collections.abc import Callable

    from retraining.description.document import Description
    from retraining.models.training import TrainingRows

pytestmark = pytest.mark.spark


@pytest.mark.parametrize("name", ["LogisticRegression", "DecisionTreeClassifier"])
def test_encoded_rows_fit_what_the_whole_pipeline_fits(
    rows: TrainingRows, describe: Callable[..., Description], name: str
) -> None:
    parameters: dict[str, Any] = {"maxIter": 2} if name == "LogisticRegression" else {"maxDepth": 2}
    encoded = EncodedRows(rows, describe(), ["LogisticRegression", "DecisionTreeClassifier"])
    model = encoded.fit(Candidate(0, name, parameters), 7)
    encoded.close()
    whole = pipelines.fit(rows.train, describe(), pipelines.estimator(name, parameters, 7))

    assert [type(s).__name__ for s in model.stages] == [type(s).__name__ for s in whole.stages]
    scores = [m.transform(rows.validation).select("probability").collect() for m in (model, whole)]
    assert scores[0] == scores[1]


def test_encoded_rows_are_encoded_once_without_categories(
    rows: TrainingRows, describe: Callable[..., Description]
) -> None:
    description = describe(features={"plain": ["age", "height"]})
    encoded = EncodedRows(rows, description, ["LogisticRegression", "GBTClassifier"])

    assert list(encoded._frames) == [False]
    encoded.close()
    assert not encoded._frames[False][0].is_cached
