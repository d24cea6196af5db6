"""A draft as YAML for people: each column with what was seen, each doubt marked CHECK."""

from __future__ import annotations

from math import isnan
from typing import TYPE_CHECKING, Any, Final

from retraining.description import yaml12
from retraining.drafting import kinds
from retraining.drafting.draft import POOLED
from retraining.drafting.relations import STRONG, are_judged
from retraining.drafting.values import MARKS
from retraining.gate.policy import Policy
from retraining.progress import counted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from retraining.drafting.draft import Draft
    from retraining.drafting.values import Facts

CHECK: Final = "CHECK: "
_LARGE: Final = 1_000_000  # rows; beyond, the first search is smaller
_SHOWN: Final = 4  # categories
_FEW_PERIODS: Final = 5  # of so few, Student's t has hardly any degrees of freedom
_MARGIN: Final = 60  # comments begin there, or after the text
_BASELINE: Final = """
scaler: standard
estimator:
  name: LogisticRegression
  parameters: {regParam: 0.001, maxIter: 50}
"""
_SEARCH: Final = """
search:
  trials: 4
  parallelism: 2
  estimators:
    GBTClassifier:
      maxIter: {quniform: [10, 30, 5]}
      maxDepth: {quniform: [2, 4, 1]}
      stepSize: {loguniform: [0.05, 0.3]}
      maxBins: {choice: [64]}
"""
_MORE_SEARCH: Final = """    RandomForestClassifier:
      numTrees: {quniform: [20, 50, 10]}
      maxDepth: {quniform: [4, 8, 1]}
      maxBins: {choice: [64]}
"""


def write(draft: Draft) -> str:
    """The draft as a description file."""
    sections = (
        _head(draft),
        _files(draft),
        _columns(draft),
        _roles(draft),
        _features(draft),
        _never(draft),
        _split(draft),
        _models(draft),
        _gate(draft),
    )
    return "\n\n".join("\n".join(lines) for section in sections if (lines := [*section])) + "\n"


def checks(text: str) -> list[str]:
    """The doubts in a description file, each with its line."""
    marked = [(n, line) for n, line in enumerate(text.splitlines(), 1) if f"# {CHECK}" in line]
    return [f"line {number}: {line.partition(f'# {CHECK}')[2]}" for number, line in marked]


def _line(text: str, comments: Iterable[str] = ()) -> str:
    """A line with a comment; doubts come last."""
    said = sorted(comments, key=lambda comment: comment.startswith(CHECK))
    if not said:
        return text
    plain = "; ".join(one for one in said if not one.startswith(CHECK))
    doubts = "; ".join(one.removeprefix(CHECK) for one in said if one.startswith(CHECK))
    shown = "  # ".join(part for part in (plain, doubts and CHECK + doubts) if part)
    return f"{text:<{_MARGIN}}  # {' '.join(shown.split())}"


def _head(draft: Draft) -> Iterator[str]:
    sample = draft.sample
    rows = counted(sample.n_rows, "row")
    rows = f"all {rows}" if sample.complete else f"{len(sample.table):,} of about {rows}"
    files = counted(sample.n_files, "file")
    yield f"# A first description, made from {rows} of {files}. Lines marked CHECK hold"
    yield "# guesses: confirm or correct each one."
    yield f"name: {draft.name}"
    about = "" if sample.complete else "About "
    summary = f"{about}{counted(sample.n_rows, 'row')}, {draft.positive_share:.2%} positive."
    yield f"summary: {yaml12.inline(summary)}"


def _files(draft: Draft) -> Iterator[str]:
    form, numerals = draft.sample.form, draft.numerals
    found: dict[str, tuple[Any, list[str]]] = {}
    if form is not None:
        doubts = [] if form.header_is_sure else [f"{CHECK}does the first line name the columns?"]
        found["header"] = form.header, doubts
        if form.separator != ",":
            found["separator"] = form.separator, []
        if form.encoding != "UTF-8":
            is_sure = form.encoding.startswith("UTF")
            found["encoding"] = (
                form.encoding,
                [] if is_sure else [f"{CHECK}do the letters look right?"],
            )
        if form.comment:
            found["comment"] = form.comment, []
    marks = dict.fromkeys(m for fact in draft.facts.values() for m in fact.marks if m in MARKS)
    if marks:
        found["null_values"] = [*marks], []
    if numerals.decimal != ".":
        found["decimal"] = numerals.decimal, []
    if numerals.thousands:
        found["thousands"] = numerals.thousands, []
    if found:
        yield "files:"
        for key, (value, comments) in found.items():
            yield _line(f"  {key}: {yaml12.inline(value)}", comments)


def _columns(draft: Draft) -> Iterator[str]:
    for note in draft.sample.notes:
        yield f"# {CHECK}{note}"
    yield "columns:"
    for name, fact in draft.facts.items():
        is_growing = fact.type == "int" and name in (draft.roles.key, draft.roles.unit)
        rules: dict[str, Any] = {"type": "bigint" if is_growing else fact.type}
        if fact.source != name:
            rules["source"] = fact.source
        if fact.format:
            rules["format"] = fact.format
        if own := [mark for mark in fact.marks if mark not in MARKS]:
            rules["null_values"] = own  # elsewhere such a word may be a category
        if not fact.n_missing:
            rules["not_null"] = True
        if name == draft.roles.key:
            rules["unique"] = True
        doubts = [CHECK + doubt for doubt in fact.doubts]
        yield _line(f"  {name}: {yaml12.inline(rules)}", [*_seen(fact), *doubts])
    if draft.label.is_count:
        source = draft.label.column
        rules = {"type": "boolean", "expression": f"{source} > 0", "not_null": True}
        yield f"  {_label_of(draft)}: {yaml12.inline(rules)}"


def _seen(fact: Facts) -> Iterator[str]:
    """What the sample shows of a column."""
    given = fact.values.dropna()
    if fact.n_missing:
        yield f"{fact.n_missing / len(fact.values):.1%} missing"
    if fact.is_time and len(given):
        first, last = given.min(), given.max()
        if fact.type == "date":
            first, last = first.date(), last.date()
        yield f"{first} to {last}"
    elif fact.is_number and len(given):
        low, high = (
            f"{end:{'' if fact.is_year else ','}.0f}" if end % 1 == 0 else f"{end:g}"
            for end in (given.min(), given.max())
        )
        yield f"{low} to {high}, {counted(fact.n_distinct, 'value')}"
    elif len(given):
        shares = given.value_counts(normalize=True)
        if len(shares) > len(given) / 2:
            yield counted(len(shares), "value")
            return
        shown = ", ".join(f"{_short(text)} {share:.0%}" for text, share in shares[:_SHOWN].items())
        yield f"{counted(len(shares), 'value')}: {shown}"


def _short(text: object) -> str:
    flat = " ".join(str(text).split()).replace("#", "")
    return flat if len(flat) <= 24 else f"{flat[:23]}…"


def _label_of(draft: Draft) -> str:
    return f"{draft.label.column}_positive" if draft.label.is_count else draft.label.column


def _roles(draft: Draft) -> Iterator[str]:
    label, found = draft.label, draft.roles
    content: dict[str, Any] = {"column": _label_of(draft)}
    is_of_two = draft.facts[label.column].n_distinct == 2
    positive = label.positive[0] if is_of_two else [*label.positive]
    content["positive"] = True if label.is_count else positive
    comments = [f"{draft.positive_share:.2%} of the rows", *(CHECK + d for d in label.doubts)]
    if not are_judged(label.is_positive):
        comments.append(f"{CHECK}one class has too few rows to judge any column by")
    if found.time:
        content["delay"] = "0 days"
        comments.append(f"{CHECK}how long after the event is it known?")
    yield _line(f"label: {yaml12.inline(content)}", comments)
    if draft.label.is_positive.isna().any():
        missing = draft.label.is_positive.isna().mean()
        yield _line(
            f"known_when: {label.column} IS NOT NULL",
            [f"{CHECK}{missing:.1%} of the rows have no label: are they like those that have one?"],
        )
    named = (
        ("row_key", [*found.together] or found.key),
        ("event_time", found.time),
        ("unit", found.unit),
    )
    for key, column in named:
        if column:
            doubts = [CHECK + found.doubts[key]] if key in found.doubts else []
            yield _line(f"{key}: {yaml12.inline(column)}", doubts)
        elif key == "row_key":
            yield _line(
                "# row_key:", [f"{CHECK}no column identifies a row: an id is made of its content"]
            )
    years = (n for n, fact in draft.facts.items() if kinds.is_year(n, fact))
    if found.time is None and (year := next(years, None)):
        doubt = f"{CHECK}does a row happen in this year? then describe with event_time={year}"
        yield _line(f"# event_time: {year}", [doubt])
    if draft.weight:
        doubt = f"{CHECK}is this how much a row counts? then remove it from the features, too"
        yield _line(f"# weight: {draft.weight}", [doubt])


def _features(draft: Draft) -> Iterator[str]:
    features = draft.features
    categorical = [name for name, fact in features.items() if fact.type == "string"]
    plain = [name for name in features if name not in categorical]
    pooled = [name for name in categorical if features[name].n_distinct > POOLED]
    yield "features:"
    for kind, names in (("plain", plain), ("categorical", categorical)):
        if names:
            yield f"  {kind}:"
            for name in names:
                alone = draft.relations[name]
                seen = [] if isnan(alone) else [f"AUROC alone {alone:.3f}"]
                doubts = [f"{CHECK}is it known before the label?"] if alone > STRONG else []
                yield _line(f"    - {name}", [*seen, *doubts])
    missing = [name for name in features if features[name].n_missing]
    if missing:
        yield "  fill:"
        for name in missing:
            fact = features[name]
            fill = "missing" if fact.type == "string" else "median"
            yield f"    {name}: {'most_frequent' if fact.type == 'boolean' else fill}"
    if indicated := [name for name in missing if name in plain]:
        yield f"  missing: {yaml12.inline(indicated)}"
    if pooled:
        yield "  categories:"
        for name in pooled:
            yield _line(
                f"    {name}: {{pool: {POOLED}}}", [f"{features[name].n_distinct:,} values"]
            )


def _never(draft: Draft) -> Iterator[str]:
    unused = {name: why for name, why in draft.unused.items() if name != draft.roles.key}
    if unused:
        yield "never_features:"
        for name, (why, is_sure) in unused.items():
            yield _line(f"  - {name}", [why if is_sure else CHECK + why])


def _split(draft: Draft) -> Iterator[str]:
    comments = []
    least = Policy().minimum_positives
    if draft.holdout_positives < least:
        comments.append(
            f"{CHECK}about {draft.holdout_positives} of the rarer class in the holdout, "
            f"but the gate decides nothing below {least}: give more rows"
        )
    if draft.roles.time and not draft.sample.complete:
        comments.append(f"{CHECK}do all files together cover as long a time as the sample?")
    if draft.roles.time:
        length, unit = draft.split["holdout"].split()
        if unit.startswith(("year", "month")) and int(length) < _FEW_PERIODS:
            comments.append(
                f"{CHECK}the holdout has {counted(int(length), 'day')} with rows, too few for the "
                "gate to see what rows of a day share: write period: none below if they do not"
            )
    yield _line(f"split: {yaml12.inline(draft.split)}", comments)


def _models(draft: Draft) -> Iterator[str]:
    yield "# The baseline can be read; the search looks for something better."
    yield _BASELINE.strip()
    yield ""
    yield _SEARCH.strip()
    if draft.sample.n_rows < _LARGE:
        yield _MORE_SEARCH.rstrip()


def _gate(draft: Draft) -> Iterator[str]:
    yield "gate:"
    yield "  metric: auroc"
    yield "  tests_per_year: 12"
    if draft.slices:
        yield f"slices: {yaml12.inline([*draft.slices])}"
