import os
from pathlib import PurePath
from statistics import fmean, stdev
from urllib.parse import unquote

import pytest
from PIL import Image

from plastorch.engine.errors import InputError
from plastorch.report import write_gallery, write_report
from plastorch.report.gallery import Card, gallery, seed_means

SMALL = {"layers": 1, "epochs": 2}


def entry(seed, accuracy, stamp="20260101-000000", **changes) -> Card:
    result = {
        "experiment": "e",
        "config": {"seed": seed, "depth": 3},
        "data": {"name": "CIFAR-10"},
        "seed": seed,
        "complete": True,
        "quick": False,
        "metrics": {"test_accuracy": accuracy},
    }
    return Card(PurePath("e", f"{stamp}-seed{seed}"), result | changes)


def test_gallery_writes_every_report_and_links_it(make_run, parse, tmp_path):
    runs = tmp_path / "my runs"
    first = make_run(runs, **SMALL)
    second = make_run(runs, experiment="a#b ?%20", complete=False, layers=1)
    page = parse(write_gallery(runs))
    links = [attrs["href"] for attrs in page.all("a")]
    papers = {link for link in links if link.startswith("https:")}
    assert papers == {"https://arxiv.org/abs/2209.11883"}
    targets = {(runs / unquote(link)).resolve() for link in links if link not in papers}
    assert targets == {(run / "report.html").resolve() for run in (first, second)}
    assert all(target.is_file() for target in targets)
    for run in (first, second):
        back = next(attrs["href"] for attrs in parse(run / "report.html").all("a"))
        assert (run / back).resolve() == (runs / "index.html").resolve()
    assert "2 runs of 2 experiments." in page.text
    assert "2/3 claims hold" in page.text and "not finished" in page.text
    inside = set(page.addresses()) - papers
    assert all(not a.startswith(("http", "/")) and "://" not in a for a in inside)
    (image,) = page.all("img")
    assert (runs / unquote(image["src"])).is_file()


def test_a_card_without_filters_shows_the_first_figure(make_run, parse, tmp_path):
    run = make_run(tmp_path, **SMALL)
    (run / "arrays.safetensors").unlink()
    page = parse(write_gallery(tmp_path))
    assert not [tag for tag in page.all("div") if tag.get("class") == "blank"]
    (picture,) = page.all("img")
    with (
        Image.open(tmp_path / unquote(picture["src"])) as small,
        Image.open(run / "figures" / "curves-1.png") as first,
    ):
        assert 250 < small.width < 400 < first.width
        assert small.width / small.height == pytest.approx(first.width / first.height, rel=0.02)


def test_reports_are_only_redrawn_when_out_of_date(make_run, tmp_path):
    run = make_run(tmp_path, **SMALL)
    write_gallery(tmp_path)
    report = run / "report.html"
    kept = '<link rel="up">kept'
    report.write_text(kept)
    write_gallery(tmp_path)
    assert report.read_text() == kept
    later = report.stat().st_mtime + 5
    os.utime(run / "result.json", (later, later))
    write_gallery(tmp_path)
    assert report.read_text() != kept


def test_a_page_from_before_the_gallery_is_written_again_to_link_it(make_run, parse, tmp_path):
    run = make_run(tmp_path, **SMALL)
    page = write_report(run)
    assert not page.read_text().count("index.html")
    write_gallery(tmp_path)
    assert parse(page).all("nav") and 'rel="up" href="../../index.html"' in page.read_text()
    write_report(run)
    assert parse(page).all("nav")


def test_unreadable_runs_are_listed_with_the_reason(make_run, parse, tmp_path):
    make_run(tmp_path, **SMALL)
    broken = make_run(tmp_path, experiment="<b>broken</b>", **SMALL)
    (broken / "result.json").write_text("{")
    lost = make_run(tmp_path, experiment="lost", **SMALL)
    (lost / "result.json").unlink()
    page = parse(write_gallery(tmp_path))
    assert "1 run of 1 experiment, 2 that cannot be read." in page.text
    assert "<b>broken<" in page.text and not page.all("b")[1:]
    assert "broken JSON" in page.text and "result.json: expected a file, found none" in page.text
    assert len(page.all("a")) == 2  # the run, and its paper


def test_a_gallery_of_unreadable_runs_still_says_so(make_run, parse, tmp_path):
    run = make_run(tmp_path, **SMALL)
    (run / "result.json").unlink()
    assert "1 that cannot be read" in parse(write_gallery(tmp_path)).text


def test_mean_and_sd_over_seeds():
    values = [0.80, 0.79, 0.81]
    ((figure, words),) = seed_means([entry(seed, value) for seed, value in enumerate(values)])
    mean, spread = 100 * fmean(values), 100 * stdev(values)
    assert figure == f"{mean:.2f} ± {spread:.2f}\u00a0%"
    assert words == "test accuracy, mean ± sd of seeds 0, 1, 2"


def test_only_the_same_configuration_and_data_are_averaged():
    deeper = [entry(s, 0.9, config={"seed": s, "depth": 4}) for s in (0, 1)]
    other = entry(2, 0.1, data={"name": "sample"})
    (_, flat), (_, deep) = seed_means([entry(0, 0.8), entry(1, 0.8), *deeper, other])
    assert "depth 3" in flat and "seeds 0, 1" in flat and "depth 4" in deep


def test_quick_incomplete_and_repeated_runs_are_not_averaged():
    runs = [entry(0, 0.1), entry(0, 0.8, stamp="20260202-000000"), entry(1, 0.8)]
    poor = [entry(2, 0.0, quick=True), entry(3, 0.0, complete=False)]
    ((figure, _),) = seed_means([*runs, *poor])
    assert figure == "80.00 ± 0.00\u00a0%"
    assert seed_means([entry(0, 0.1), entry(0, 0.8, stamp="20260202-000000")]) == []


def test_bad_folders_are_refused(tmp_path):
    with pytest.raises(InputError, match="missing: expected a folder of runs, found none"):
        write_gallery(tmp_path / "missing")
    (tmp_path / "notes" / "today").mkdir(parents=True)
    with pytest.raises(InputError, match="found no run"):
        write_gallery(tmp_path)
    assert not (tmp_path / "index.html").exists()


def test_cards_say_what_sets_their_settings_apart(tmp_path):
    settings = {"depth": 3, "quick": False}
    runs = [
        entry(0, 0.8, config={"seed": 0, "rule": "soft"} | settings, claims=[]),
        entry(1, 0.6, config={"seed": 1, "rule": "hard"} | settings | {"quick": True}, claims=[]),
    ]
    runs[1].result["data"] = runs[0].result["data"] | {"n_test": 1000}
    page = gallery(runs, [], tmp_path)
    assert "test samples 1\u202f000" in page and "quick" not in page
    assert "rule soft" in page and "rule hard" in page and "depth" not in page
    assert "rule soft" not in gallery(runs[:1], [], tmp_path)
