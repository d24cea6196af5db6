"""A registered model without files."""

from __future__ import annotations

import pytest
from mlflow import MlflowClient


@pytest.fixture
def three_versions(tracking: str) -> None:
    """Versions of `fraud`, the first of them champion."""
    client = MlflowClient()
    client.create_registered_model("fraud")
    for _ in range(3):
        client.create_model_version("fraud", "file:///nowhere")
    client.set_registered_model_alias("fraud", "champion", "1")
