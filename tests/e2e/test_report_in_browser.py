"""The reports in a real browser: Chromium, without a network, narrow and wide, light and dark."""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, get_args

import pytest

from retraining.gate.fields import Outcome
from retraining.report import data_page
from retraining.report.page import render
from tests.samples import COMMANDS, DATA, FACTS, NAMES, make_sample

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

WIDTHS: Final = (1280, 400)
SCHEMES: Final = {"dark": 0, "light": 1}  # the numbers are Chromium's
SMALLEST: Final = 8  # pixels, of a tick label at 400 pixels
READABLE: Final = 4.5  # contrast of text, WCAG 2.2 AA

# Each page lies in a frame of its width; what is measured in it replaces the frames as JSON.
MEASURE: Final = """
const shade = text => {
  const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number);
  const [x, y, z] = [r, g, b].map(c => c / 255).map(
    c => c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4);
  return {light: 0.2126 * x + 0.7152 * y + 0.0722 * z, opaque: a > 0};
};
const ground = (view, node) => {
  for (; node; node = node.parentElement) {
    const found = shade(view.getComputedStyle(node).backgroundColor);
    if (found.opaque) return found.light;
  }
};
const measure = frame => {
  const view = frame.contentWindow, page = frame.contentDocument, width = frame.clientWidth;
  const texts = [...page.body.querySelectorAll("*")].filter(
    node => [...node.childNodes].some(child => child.nodeType == 3 && child.data.trim()));
  const seen = texts.map(node => {
    const style = view.getComputedStyle(node), box = node.getBoundingClientRect();
    const ink = node.closest("svg") ? style.fill : style.color;
    const [low, high] = [shade(ink).light, ground(view, node)].sort((a, b) => a - b);
    const matrix = node.closest("svg") ? node.getScreenCTM() : {a: 1, b: 0};
    return {text: node.textContent.trim().slice(0, 40), contrast: (high + 0.05) / (low + 0.05),
            size: parseFloat(style.fontSize) * Math.hypot(matrix.a, matrix.b), right: box.right};
  });
  const skip = page.querySelector(".skip");
  skip.focus();
  return {
    name: frame.name,
    width,
    scroll: page.documentElement.scrollWidth,
    beyond: seen.filter(t => t.right > width + 1).map(t => t.text),
    faint: seen.filter(t => t.contrast < READABLE).map(t => [t.text, t.contrast]),
    smallest: Math.min(...seen.map(t => t.size)),
    ground: ground(view, page.body),
    loaded: view.performance.getEntriesByType("resource").map(entry => entry.name),
    pictures: page.querySelectorAll("figure svg").length,
    skip: skip.getBoundingClientRect().left,
    headings: [...page.querySelectorAll("h1, h2, h3")].map(node => Number(node.tagName[1])),
  };
};
addEventListener("load", () => {
  const found = [...document.querySelectorAll("iframe")].map(measure);
  document.body.textContent = JSON.stringify(found);
});
"""


@pytest.fixture(scope="module")
def chromium() -> str:
    """The browser on the PATH; without one these tests are skipped."""
    found = shutil.which("chromium")
    if found is None:
        pytest.skip("chromium is not installed: apt-get install chromium")
    return found


class Seen(NamedTuple):
    """What was measured in every frame, and what the browser wrote on its console."""

    scheme: str
    frames: list[dict[str, Any]]
    console: list[str]


def look(chromium: str, folder: Path, pages: Mapping[str, str], scheme: str) -> Seen:
    """Show every page at every width, without a network, and measure it."""
    frames = "".join(
        f'<iframe name="{name}" style="width:{width}px;height:900px;border:0" '
        f'srcdoc="{html.escape(page)}"></iframe>'
        for name, page in pages.items()
        for width in WIDTHS
    )
    script = MEASURE.replace("READABLE", str(READABLE))
    path = folder / "pages.html"
    path.write_text(f"<!doctype html><script>{script}</script><body>{frames}</body>")
    command = [
        chromium,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        f"--user-data-dir={folder / 'profile'}",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--enable-logging=stderr",
        "--virtual-time-budget=10000",
        "--window-size=1400,1000",
        f"--blink-settings=preferredColorScheme={SCHEMES[scheme]}",
        "--dump-dom",
        path.as_uri(),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    body = re.search(r"<body>(\[.*\])</body>", done.stdout, re.DOTALL)
    assert body, done.stderr
    console = [row for row in done.stderr.splitlines() if "CONSOLE" in row]
    return Seen(scheme, json.loads(html.unescape(body[1])), console)


def write_page(outcome: Outcome) -> str:
    """The whole report of a sample."""
    sample = make_sample(outcome)
    return render(
        sample.verdict,
        sample.rows,
        facts=FACTS,
        effects=sample.effects,
        commands=COMMANDS,
        names=NAMES,
    )


@pytest.fixture(scope="module", params=SCHEMES)
def seen(
    chromium: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Seen:
    """A report of every outcome, and the page of a data set."""
    pages = {outcome: write_page(outcome) for outcome in get_args(Outcome)}
    pages["data"] = data_page.render(DATA)
    return look(chromium, tmp_path_factory.mktemp("browser"), pages, request.param)


def test_every_page_is_shown_at_every_width(seen: Seen) -> None:
    shown = [(frame["name"], frame["width"], frame["pictures"]) for frame in seen.frames]
    pictures = dict.fromkeys(get_args(Outcome), 8) | {"data": 2}
    assert shown == [(name, width, count) for name, count in pictures.items() for width in WIDTHS]


def test_no_page_needs_sideways_scrolling(seen: Seen) -> None:
    for frame in seen.frames:
        assert frame["scroll"] <= frame["width"]
        assert frame["beyond"] == []


def test_every_text_can_be_read(seen: Seen) -> None:
    for frame in seen.frames:
        assert frame["faint"] == []
        assert frame["smallest"] > SMALLEST
        assert (frame["ground"] < 0.05) == (seen.scheme == "dark")


def test_a_keyboard_finds_its_way(seen: Seen) -> None:
    for frame in seen.frames:
        assert frame["skip"] >= 0
        levels = frame["headings"]
        assert levels[0] == 1
        assert all(later <= level + 1 for level, later in pairwise(levels))


def test_no_page_loads_or_complains(seen: Seen) -> None:
    assert [frame["loaded"] for frame in seen.frames] == [[]] * len(seen.frames)
    assert seen.console == []


def test_faults_would_be_noticed(chromium: str, tmp_path: Path) -> None:
    """A page that is wrong in every way, and a report that somebody made load a picture."""
    picture = '<img src="http://example.org/picture.png">'
    wrong = (
        '<!doctype html><body style="background:#fff"><a class="skip" href="#x" '
        f'style="position:absolute;left:-99px">skip</a>{picture}<h1>one</h1><h3>three</h3>'
        '<p style="color:#999;width:2000px">faint, wide</p><p style="margin-left:1500px">far</p>'
        "<script>undefined.reason</script></body>"
    )
    report = write_page("promote").replace("<main>", f"<main>{picture}")
    pages = {"wrong": wrong, "report": report}
    frames, console = look(chromium, tmp_path, pages, "dark")[1:]
    assert frames[0]["scroll"] > frames[0]["width"]
    assert frames[0]["beyond"] == ["faint, wide", "far"]
    assert [text for text, _ in frames[0]["faint"]] == ["faint, wide"]
    assert frames[0]["loaded"] == ["http://example.org/picture.png"]
    assert frames[0]["skip"] < 0
    assert frames[0]["headings"] == [1, 3]
    assert any("Uncaught TypeError" in row for row in console)
    assert any("Content Security Policy" in row for row in console)
