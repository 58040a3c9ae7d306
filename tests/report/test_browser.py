"""The pages in a real browser: headless Chromium, driven by Playwright, without a network."""

from itertools import product
from pathlib import Path

import pytest

from plastorch.experiments.registry import panels_of
from plastorch.report import write_comparison, write_gallery

SCREENS = {"laptop": (1440, 1), "phone": (390, 2)}
"""Width, and pixels of the screen per pixel of the page."""
REACHABLE = "a[href], summary, button, input, select, textarea, [tabindex='0']"
EVIL = "<script>alert(1)</script><img src=x onerror=alert(1)>" + "long" * 40

READ_TEXTS = """() => {
  const rgba = c => c.match(/[\\d.]+/g).map(Number);
  const light = c => { const [r, g, b] = rgba(c).map(v => { v /= 255;
    return v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4 });
    return .2126 * r + .7152 * g + .0722 * b };
  const back = e => { for (; e; e = e.parentElement) {
    const c = getComputedStyle(e).backgroundColor;
    if ((rgba(c)[3] ?? 1) > 0) return c } return 'rgb(255, 255, 255)' };
  return [...document.querySelectorAll('body *')]
    .filter(e => e.checkVisibility()
      && [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
    .map(e => { const s = getComputedStyle(e), a = light(s.color), b = light(back(e));
      return { text: e.textContent.slice(0, 30), size: parseFloat(s.fontSize),
               contrast: (Math.max(a, b) + .05) / (Math.min(a, b) + .05) } }) }"""
UNSEEN = """() => [...document.images].filter(i => { const box = i.getBoundingClientRect();
  return !(i.complete && i.naturalWidth && i.checkVisibility() && box.width > 20 && box.height > 20
    && box.left >= 0 && box.right <= innerWidth) }).map(i => i.alt || i.src)"""
FOCUSED = """selector => { const e = document.activeElement, style = getComputedStyle(e);
  return [[...document.querySelectorAll(selector)].indexOf(e),
          style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2] }"""


@pytest.fixture(scope="module")
def runs(make_run, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("all runs")
    first = make_run(folder)
    second = make_run(folder, stamp="20260131-180000", seed=1, accuracy=0.79, layers=1)
    make_run(folder, experiment="softhebb-mnist", channels=1, quick=True, epochs=2, layers=5,
             notice="A small sample stood in for the data.")  # fmt: skip
    make_run(folder, experiment="interrupted", complete=False)
    make_run(folder, experiment=EVIL[:60], layers=1, epochs=2, notice=EVIL,
             changes={"paper": EVIL, "device": EVIL, "config": {EVIL: EVIL}})  # fmt: skip
    broken = make_run(folder, experiment="broken", layers=1, epochs=1)
    (broken / "result.json").write_text("{")
    write_gallery(folder, panels_of)
    compared = [first, second, next(folder.glob("softhebb-mnist/*/"))]
    write_comparison(compared, folder / "comparison.html")
    return folder


@pytest.fixture(scope="module")
def on_screen(opened):
    """Opens a page on a screen."""

    def on_screen(path: Path, screen: str, scheme: str):
        width, pixels = SCREENS[screen]
        return opened(path, width, scheme, pixels)

    return on_screen


def pages(runs: Path) -> list[Path]:
    return [runs / "index.html", runs / "comparison.html", *sorted(runs.glob("*/*/report.html"))]


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("screen", SCREENS)
def test_every_page_fits_and_can_be_read(on_screen, runs, screen, scheme):
    assert len(pages(runs)) == 7
    for path in pages(runs):
        with on_screen(path, screen, scheme) as page:
            page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
            overflow = page.evaluate(
                "(e => e.scrollWidth - e.clientWidth)(document.scrollingElement)"
            )
            assert overflow <= 0, path
            widths = page.evaluate("[...document.images].map(i => i.complete && i.naturalWidth)")
            assert all(widths), path
            texts = page.evaluate(READ_TEXTS)
            assert texts and min(text["size"] for text in texts) >= 12
            faint = [text for text in texts if text["contrast"] < 4.5]
            assert faint == [], path


def gallery_and_report(runs: Path) -> list[Path]:
    return [runs / "index.html", next(runs.glob("softhebb-cifar10/*-seed0/report.html"))]


@pytest.mark.parametrize(("screen", "scheme"), [*product(SCREENS, ["light"]), ("phone", "dark")])
def test_axe_finds_no_barrier(on_screen, barriers, runs, screen, scheme):
    for path in (*gallery_and_report(runs), runs / "comparison.html"):
        with on_screen(path, screen, scheme) as page:
            assert barriers(page) == [], path


@pytest.mark.parametrize("screen", SCREENS)
def test_every_figure_is_seen(on_screen, runs, screen):
    for path in gallery_and_report(runs):
        with on_screen(path, screen, "light") as page:
            assert page.locator("img").count() > 1
            assert page.evaluate(UNSEEN) == []


@pytest.mark.parametrize("screen", SCREENS)
def test_all_can_be_reached_by_keyboard_in_order(on_screen, runs, screen):
    """Links and folded tables, one after the other, each with a ring around it."""
    for path in gallery_and_report(runs):
        with on_screen(path, screen, "light") as page:
            count = page.locator(REACHABLE).count()
            assert count >= 4
            for place in range(count):
                page.keyboard.press("Tab")
                assert page.evaluate(FOCUSED, REACHABLE) == [place, True]
            folded = page.locator("details")
            if folded.count():
                page.locator("summary").first.focus()
                page.keyboard.press("Enter")
                assert folded.first.evaluate("e => e.open")


@pytest.mark.parametrize("screen", SCREENS)
def test_the_claims_are_seen(on_screen, runs, screen):
    report = next(runs.glob("softhebb-cifar10/*-seed0/report.html"))
    with on_screen(report, screen, "light") as page:
        table = page.get_by_role("table").first
        assert table.is_visible()
        rows = table.locator("tbody tr")
        assert rows.count() == 4
        for index in range(4):
            box, mark = rows.nth(index).bounding_box(), rows.nth(index).locator(".mark")
            assert mark.is_visible() and mark.locator("svg").is_visible()
            assert box["x"] >= 0 and box["x"] + box["width"] <= SCREENS[screen][0]
        assert "does not hold" in rows.nth(2).inner_text()
        assert page.get_by_text("80.12", exact=False).first.is_visible()


def test_dark_pages_show_the_dark_figures(on_screen, runs):
    report = next(runs.glob("softhebb-cifar10/*-seed0/report.html"))
    pictures = {}
    for scheme in ("light", "dark"):
        with on_screen(report, "phone", scheme) as page:
            pictures[scheme] = page.evaluate("document.images[0].currentSrc")
            sizes = page.evaluate("[...document.images].map(i => i.naturalWidth / i.width)")
            assert min(sizes) >= 2  # a pixel of the picture for each of the screen
    assert pictures["light"] != pictures["dark"]


@pytest.mark.parametrize("screen", SCREENS)
def test_the_gallery_opens_the_report(on_screen, runs, screen):
    with on_screen(runs / "index.html", screen, "light") as page:
        page.locator("a[href*=softhebb-cifar10][href*=seed0]").click()
        page.wait_for_load_state("load")
        assert page.url.endswith("/20260131-174502-seed0/report.html")
        assert page.locator("h1").inner_text() == "softhebb-cifar10"
        page.go_back()
        assert page.get_by_role("heading", name="Cannot be read").is_visible()
