"""Files of many kinds with the same rows."""

from __future__ import annotations

import csv
import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest

from retraining.drafting import draft, sample, writing

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from retraining.drafting.draft import Draft
    from retraining.drafting.sample import Sample

N = 900


@pytest.fixture(scope="session")
def claims() -> pd.DataFrame:
    """Claims: an id, a customer, a day, an amount, a region, a text, and what came of them."""
    rng = np.random.default_rng(2)
    amount = rng.gamma(2, 500, N).round(2)
    fraud = rng.random(N) < 1 / (1 + np.exp(3 - amount / 700))
    return pd.DataFrame(
        {
            "claim_id": np.arange(N) + 10_000,
            "customer_id": rng.integers(1, 120, N),
            "sent_on": pd.Timestamp("2024-03-01") + pd.to_timedelta(np.arange(N) // 9, unit="D"),
            "amount": amount,
            "region": rng.choice(["Nord", "Süd", "West"], N),
            "note": [f'said: {i};\nand "so"' for i in range(N)],
            "paid_out": np.where(fraud, 0.0, amount),
            "fraud": np.where(fraud, "yes", "no"),
        }
    )


@pytest.fixture
def draw(tmp_path: Path) -> Callable[..., Sample]:
    """Write a frame as text, and draw a sample of the file."""

    def write_and_draw(frame: pd.DataFrame, file: str = "claims.csv", **options: object) -> Sample:
        path = tmp_path / file
        if file.endswith("jsonl"):
            rows = frame.to_dict("records")
            path.write_text("".join(json.dumps(row, default=str) + "\n" for row in rows))
        elif file.endswith("parquet"):
            frame.to_parquet(path)
        else:
            frame.to_csv(path, **{"index": False} | options)  # type: ignore[call-overload]
        return sample.draw(str(path))

    return write_and_draw


@pytest.fixture
def sketch(draw: Callable[..., Sample]) -> Callable[..., Draft]:
    """Write a frame as text, and make a draft of the file."""

    def make(frame: pd.DataFrame, *, index: bool = False, **named: str) -> Draft:
        drawn = draw(frame, quoting=csv.QUOTE_MINIMAL, index=index)
        return draft.make(drawn, name="claims", **named)

    return make


@pytest.fixture
def text_of() -> Callable[[Draft], str]:
    """The YAML of a draft."""
    return writing.write
