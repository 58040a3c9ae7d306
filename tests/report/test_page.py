import errno
import json
import os
import sys
from pathlib import Path

import pytest
from PIL import Image

from plastorch.cli import main
from plastorch.engine.errors import InputError
from plastorch.experiments.softhebb.panels import panels
from plastorch.report import write_gallery, write_report

EVIL = '"><script>alert(1)</script><img src=http://evil.example/x onerror=alert(1)>$\\frac{'


@pytest.fixture(scope="module")
def full(make_run, tmp_path_factory) -> Path:
    run = make_run(tmp_path_factory.mktemp("runs"))
    assert write_report(run, panels) == run / "report.html"
    return run


@pytest.fixture(scope="module")
def page(full, parse):
    return parse(full / "report.html")


def test_the_page_says_what_was_measured(page):
    for words in ("softhebb-cifar10", "Journé", "80.12\u00a0%", "test accuracy on CIFAR-10",
                  "3\u00a0min 07\u00a0s", "NVIDIA H100", "3.21 GB", "50\u202f000 training",
                  "31 Jan 2026, 17:45", "complete"):  # fmt: skip
        assert words in page.text, words
    assert "Smoke run" not in page.text and "--resume" not in page.text


def test_every_claim_is_there_with_its_outcome(page):
    assert "2 of 3 asserted claims hold; 1 is not asserted here" in page.text
    for words in ("within one point", "≥ 79.30\u00a0%", "0.1312", "does not hold", "not asserted"):
        assert words in page.text
    marks = [attrs["class"] for attrs in page.all("span") if "mark" in (attrs.get("class") or "")]
    assert marks == ["mark good", "mark good", "mark good", "mark bad", "mark open"]


def test_configuration_versions_and_data_are_there(page):
    for words in ("inverse_temperature", "softkrotov", "2.13.0", "cifar-10-batches-py", "6d958be0"):
        assert words in page.text
    assert len(page.all("details")) == 4


def test_nothing_is_fetched(page):
    (paper,) = page.all("a")
    assert paper == {"href": "https://arxiv.org/abs/2209.11883"}
    addresses = [address for address in page.addresses() if address != paper["href"]]
    assert len(addresses) == 1 + 2 * 6
    assert all(address.startswith("data:") for address in addresses)
    assert not page.all("script") and not page.all("iframe")
    assert "url(" not in page.style and "@import" not in page.style


def test_figures_have_words_and_files(page, full):
    images = page.all("img")
    assert len(images) == len(page.all("figcaption")) == 6
    assert all(len(image["alt"]) > 20 for image in images)
    files = sorted(path.stem for path in (full / "figures").iterdir())
    assert files == ["confusion", "convergence", "learning-curve", "receptive-fields",
                     "thumbnail", "weight-norms", "winner-probability"]  # fmt: skip
    with Image.open(full / "figures" / "weight-norms.png") as image:
        image.verify()


def test_without_matplotlib_the_page_says_what_figures_need_and_gets_them_later(
    make_run, parse, tmp_path, monkeypatch, capsys
):
    run = make_run(tmp_path)
    with monkeypatch.context() as without:
        without.setitem(sys.modules, "matplotlib", None)
        assert main(["report", str(tmp_path)]) == 0
        assert "matplotlib is missing" in capsys.readouterr().err
        page = parse(run / "report.html")
        assert 'pip install "plastorch[figures]"' in page.text and "80.12\u00a0%" in page.text
        assert not page.all("img") and not (run / "figures").exists()
    assert main(["report", str(tmp_path)]) == 0
    assert "matplotlib" not in capsys.readouterr().err
    page = parse(run / "report.html")
    assert "plastorch[figures]" not in page.text and page.all("img")


def test_the_page_is_small_and_no_part_file_is_left(full):
    assert (full / "report.html").stat().st_size < 3e6
    assert not [path for path in full.rglob(".*")]


def test_every_string_is_escaped(make_run, parse, tmp_path):
    claim = dict.fromkeys(("id", "statement", "target", "measured", "origin"), EVIL)
    run = make_run(
        tmp_path,
        experiment=EVIL,
        classes=[EVIL, "<script>", *"abcdefgh"],
        notice=EVIL,
        epochs=2,
        changes={
            "paper": EVIL,
            "device": EVIL,
            "seed": EVIL,
            "config": {EVIL: EVIL},
            "versions": {EVIL: [EVIL]},
            "metrics": {EVIL: 1.0, f"{EVIL}_s": 2.0},
            "claims": [{**claim, "holds": None}],
            "complete": False,
        },
    )
    rows = [{"phase": EVIL, "step": s, EVIL: s} for s in (1, 2)]
    with (run / "metrics.jsonl").open("a") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)
    page = parse(write_report(run, panels))
    assert not page.all("script")
    assert len(page.all("img")) == 7
    assert not [name for _, attrs in page.tags for name in attrs if name.startswith("on")]
    assert all(address.startswith("data:") for address in page.addresses())
    assert page.text.count(EVIL) >= 15


def test_lone_surrogates_do_not_stop_the_page(make_run, parse, tmp_path):
    run = make_run(tmp_path, epochs=2, layers=1, changes={"paper": "half \ud800 a pair"})
    assert "half \\ud800 a pair" in parse(write_report(run)).text


def test_an_interrupted_run_says_how_to_go_on(make_run, parse, tmp_path):
    run = make_run(tmp_path / "my runs", complete=False, layers=1)
    page = parse(write_report(run))
    assert f"plastorch run softhebb-cifar10 --resume '{run}'" in page.text
    assert "not finished" in page.text and "no result yet" in page.text
    assert "asserted" not in page.text


def test_a_run_that_has_not_logged_anything_has_a_page(make_run, parse, tmp_path):
    run = make_run(tmp_path, complete=False)
    (run / "metrics.jsonl").write_text("")
    assert not parse(write_report(run)).all("img")
    assert list((run / "figures").iterdir()) == []


def test_quick_runs_and_stand_in_data_are_loud(make_run, parse, tmp_path):
    run = make_run(tmp_path, channels=1, quick=True, epochs=2, layers=1, notice="A small sample.")
    page = parse(write_report(run))
    assert "Smoke run: its figures are not results." in page.text
    assert "A small sample." in page.text and "reduced data" in page.text
    assert "Claims" not in page.text and "asserted" not in page.text
    assert [attrs.get("class") for attrs in page.all("div")].count("banner") == 2


def test_a_result_without_accuracy_shows_its_first_metric(make_run, parse, tmp_path):
    changes = {"metrics": {"train_s": 3.0, "mean_reward": 199.5}, "data": {}, "claims": []}
    run = make_run(tmp_path, layers=1, epochs=1, changes=changes)
    text = parse(write_report(run)).text
    assert "199.5mean reward" in text and "Claims" not in text


def test_a_thousand_classes_stay_small(make_run, tmp_path):
    run = make_run(tmp_path, layers=1, classes=[f"class {k}" for k in range(1000)])
    assert write_report(run, panels).stat().st_size < 3e6


def test_the_page_is_replaced_whole(full, monkeypatch):
    before = (full / "report.html").read_bytes()

    def refuse(source, target):
        raise OSError(errno.ENOSPC, "disk full")

    monkeypatch.setattr(os, "replace", refuse)
    (full / "metrics.jsonl").touch()
    for write in (lambda: write_report(full, panels), lambda: write_gallery(full.parent.parent)):
        with pytest.raises(InputError, match=r"can't write .*/figures/.*\.png: disk full"):
            write()
    monkeypatch.undo()
    assert (full / "report.html").read_bytes() == before
    assert not list(full.rglob("*.partial"))


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing: expected a run folder"):
        write_report(tmp_path / "missing")
    with pytest.raises(InputError, match=r"result\.json: expected a file, found none"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []
