"""The page of labels: what it shows, that nothing in a name does harm, how it reads."""

import shutil

import pytest

from plastorch.report.file_labels import MOST_CLASSES, LabeledFile, Labels, labels_page

EVIL = "<script>alert(1)</script>\u202etxt.exe\n" + "long" * 60


def labels(**changes: object) -> Labels:
    arguments: dict[str, object] = {
        "title": "labels.sqlite",
        "lead": "Labels of a folder.",
        "counted": "files",
        "named": "File",
        "counts": {"code": 30, "image": 15},
        "facts": [("Classes", "2")],
        "confident": [LabeledFile("/a/b.py", "code", 0.987, "size, owner")],
        "doubtful": [LabeledFile("/a/c.png", "image", 0.5, "")],
        "tables": {"Keys": {"size": "20, number"}},
    }
    return Labels(**arguments | changes)  # type: ignore[arg-type]


def test_it_shows_classes_counts_and_files() -> None:
    page = labels_page(labels())
    for words in ("labels.sqlite", "45", "width:100.0%", "width:50.0%", "/a/b.py", "98.7", "50.0"):
        assert words in page
    for words in ("Most doubtful", "Most confident", "size, owner", "20, number"):
        assert words in page
    assert page.index("Most doubtful") < page.index("Most confident")


def test_a_model_has_no_files() -> None:
    page = labels_page(labels(confident=(), doubtful=(), tables=None, counts={"code": 0}))
    assert "Most" not in page and "width:0.0%" in page


def test_many_classes() -> None:
    counts = {f"class {place}": 1 for place in range(MOST_CLASSES + 5)}
    page = labels_page(labels(counts=counts))
    assert f"The {MOST_CLASSES} largest of {MOST_CLASSES + 5}." in page
    assert page.count('class="bar"') == MOST_CLASSES


def hostile() -> str:
    file = LabeledFile(EVIL, EVIL, 1.0, EVIL)
    return labels_page(
        labels(
            title=EVIL,
            counts={EVIL: 1, "b": 1},
            confident=[file],
            doubtful=[file],
            facts=[("Classes", EVIL)],
            tables={EVIL: {EVIL: EVIL}},
        )
    )


def test_hostile_names_are_spelt_out() -> None:
    page = hostile()
    assert "<script" not in page and "&lt;script&gt;" in page
    assert page.count("\\u202etxt.exe\\n") == 1 + 2 * 3


@pytest.mark.parametrize("width", [390, 1440])
def test_it_reads_on_a_phone_and_on_a_desk(width: int, tmp_path: object) -> None:
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("no chromium on the path")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu"]
        )
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme="dark")
        for content in (labels_page(labels()), hostile()):
            page.set_content(content)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.evaluate("getComputedStyle(document.body).backgroundColor") == (
                "rgb(18, 21, 26)"
            )
        browser.close()
