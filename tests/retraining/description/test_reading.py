"""What a YAML file says and where: every mistake is named with its line."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
import yaml

from retraining.description.reading import from_mapping, load
from retraining.description.splitting import Period, TimeSplit
from retraining.errors import RetrainingError

DATASETS = Path(__file__).parents[3] / "steps" / "datasets"
SMALL = """\
name: small
columns:
  id: {type: bigint}
  on: {type: string}
  country:
    type: string
    allowed: [no, se, dk]
  ill: {type: string, allowed: [yes, no]}
  at: {type: timestamp, min: 2018-01-01}
label: {column: ill, positive: yes}
row_key: id
event_time: at
features:
  categorical: [country, on]
split:
  by: time
  train: {start: 2018-04-01, end: 2018-08-08}
  validation: {start: 2018-08-08, end: 2018-08-15}
  holdout: {start: 2018-08-15, end: 2019-08-22}
estimator: {name: LogisticRegression, parameters: {tol: 1e-5, maxIter: 012}}
search:
  estimators:
    LogisticRegression: {regParam: {loguniform: [1e-5, 1e-1]}}
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path


def refuse(path: Path, before: str, after: str) -> str:
    """Change the small description in one place and return the error without the folder."""
    assert SMALL.count(before) == 1
    path.write_text(SMALL.replace(before, after))
    with pytest.raises(RetrainingError) as caught:
        load(path)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{path.parent}/")


def test_yes_no_and_on_are_text(small: Path) -> None:
    description = load(small)
    assert description.label.positive == "yes"
    assert description.columns["ill"].allowed == ("yes", "no")
    assert description.columns["country"].allowed == ("no", "se", "dk")
    assert description.features.categorical == ("country", "on")


def test_numbers_and_dates_are_those_of_yaml_1_2(small: Path) -> None:
    description = load(small)
    assert description.estimator.parameters == {"tol": 1e-5, "maxIter": 12}
    assert isinstance(description.estimator.parameters["tol"], float)
    space = description.search.estimators["LogisticRegression"]["regParam"]
    assert space.loguniform == (1e-5, 0.1)
    assert description.columns["at"].min == date(2018, 1, 1)
    assert isinstance(description.split, TimeSplit)
    assert description.split.holdout == Period(start=date(2018, 8, 15), end=date(2019, 8, 22))


@pytest.mark.parametrize(
    ("before", "after", "place", "shown"),
    [
        ("id: {type: bigint}", "id: {type: long}", "line 3: columns.id.type", ("'long'", "bigint")),
        ("    type: string\n", "    type: text\n", "line 6: columns.country.type", ("'text'",)),
        ("[no, se, dk]", "[true, se]", "line 5: columns.country", ("True", "string")),
        ("[no, se, dk]", "[01, 02]", "line 5: columns.country", ("1", "string", "quotes")),
        ("  on: {type", "  12: {tpe", "line 4: columns.12.tpe", ("allowed: type",)),
        ("row_key: id", "row_key: key", "line 11: row_key", ("key", "id, on, country")),
        ("event_time: at", "event_tme: at", "line 12: event_tme", ("allowed: name, summary",)),
        ("positive: yes", "positive: 1", "line 10: label.positive", ("1", "string")),
        ("{column: ill, positive: yes}", "{positive: yes}", "line 10: label.column", ("missing",)),
        ("[country, on]", "[country, off]", "line 14: features.categorical", ("off", "on")),
        ("end: 2018-08-08", "end: 8 August", "line 17: split.train.end", ("'8 August'",)),
        ("2018-08-15, end: 2019-08-22", "2018-08-01, end: 2019-08-22", "line 19: split.hold", ()),
        ("  by: time", "  by: week", "line 16: split.by", ("'week'",)),
        ("{name: LogisticRegression, p", "{name: Logit, p", "line 20: estimator.name", ("Logit",)),
        ("1e-5, 1e-1", "1:30, 1_000", "line 23: search.estimators.Log", ("'1:30'", "number")),
    ],
)
def test_mistake_is_named_with_its_line(
    small: Path, before: str, after: str, place: str, shown: tuple[str, ...]
) -> None:
    message = refuse(small, before, after)
    assert message.startswith(f"small.yaml {place}")
    assert [part for part in shown if part not in message] == []


def test_every_mistake_has_its_line(small: Path) -> None:
    message = refuse(small, "{type: bigint}\n  on: {type: string}", "{type: a}\n  on: {type: b}")
    first, second = message.split("; ")
    assert first.startswith("small.yaml line 3: columns.id.type: 'a'")
    assert second.startswith("line 4: columns.on.type: 'b'")


def test_key_that_is_missing_has_no_line(small: Path) -> None:
    label = "label: {column: ill, positive: yes}\n"
    assert refuse(small, label, "").startswith("small.yaml: label: ")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("name: [", "fraud.yaml line 1: "),
        ("name: a\nfiles: {\n  header: : true}", "fraud.yaml line 3: "),
        ("name: a\nunit: b\nname: c", "fraud.yaml line 3: key name is already on line 1: "),
        ("name: !secret a", "fraud.yaml line 1: "),
        ("name: \0", "fraud.yaml: "),
        ("- a", "fraud.yaml is not a mapping: "),
        ("", "fraud.yaml is not a mapping: "),
        ("columns: &a {b: *a}", "fraud.yaml: "),
    ],
)
def test_load_refuses_what_is_not_a_description(tmp_path: Path, text: str, shown: str) -> None:
    path = tmp_path / "fraud.yaml"
    path.write_text(text)
    with pytest.raises(RetrainingError) as caught:
        load(path)
    assert str(caught.value).startswith(f"{tmp_path}/{shown}")
    assert "\n" not in str(caught.value)


def test_load_refuses_missing_and_unreadable_files(tmp_path: Path) -> None:
    with pytest.raises(RetrainingError, match=r"none.yaml: No such file or directory: "):
        load(tmp_path / "none.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe")
    with pytest.raises(RetrainingError, match=r"binary.yaml: not UTF-8 text: "):
        load(tmp_path / "binary.yaml")


@pytest.mark.parametrize("name", ["fraud", "drivers"])
def test_shipped_descriptions_mean_the_same_in_yaml_1_1(name: str) -> None:
    path = DATASETS / f"{name}.yaml"
    assert from_mapping(yaml.safe_load(path.read_text())) == load(path)
