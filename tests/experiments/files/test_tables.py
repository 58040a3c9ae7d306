"""files-tables: small runs on made-up tables, stops and restarts, conditions, claims, bad input."""

import gzip
import json
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from plastorch.data.tables.corpus import make_corpus
from plastorch.engine.checkpoint import load_tensors
from plastorch.engine.errors import InputError, Interrupted
from plastorch.engine.loop import Jobs
from plastorch.engine.run import Record
from plastorch.experiments.context import Context
from plastorch.experiments.files import spiking as files_spiking
from plastorch.experiments.files import tables as files_tables
from plastorch.experiments.files import tables_jobs as files_tables_jobs
from plastorch.experiments.files.config import MODELS, FilesTablesConfig
from plastorch.experiments.files.fold import Fold
from plastorch.experiments.files.panels import accuracies
from plastorch.experiments.files.panels import labels as few_labels
from plastorch.experiments.files.spiking import (
    DAY,
    TIMES,
    Supervised,
    Way,
    _other_hash,
    learn,
    supervised,
)
from plastorch.experiments.files.stream import SURE, arriving, moment, sure_enough
from plastorch.experiments.files.tables import measure
from plastorch.experiments.files.tables_claims import TableFigures, best_classical, claims
from plastorch.experiments.files.tables_metrics import field, metrics
from plastorch.experiments.registry import find, resolved
from plastorch.report.load import RunData
from plastorch.spiking.patterns.network import PatternNetwork
from plastorch.spiking.patterns.rule import NO_SPIKE

EXPERIMENT = "files-tables"
CONFIG = FilesTablesConfig(
    tables=("mushroom", "corpus"), models=("snn", "stdp", "logistic", "raster", "k-modes")
)
TIMED = ("seconds", "microseconds")
"""What the end of such a figure's name is that no two runs have in common."""


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A table that passes for mushrooms: a class that the first of three keys tells mostly."""
    random = np.random.default_rng(0)
    odor = random.integers(0, 4, 120)
    label = np.where(random.random(120) < 0.1, random.integers(0, 2, 120), odor > 1)
    lines = ["label,odor,cap,size"] + [
        f"{'pe'[c]},{o},{'xyz'[random.integers(3)]},{random.normal():.3f}"
        for o, c in zip(odor, label.astype(int), strict=True)
    ]
    folder = tmp_path_factory.mktemp("data") / "metadata"
    folder.mkdir()
    (folder / "mushroom.csv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return folder.parent


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files_tables, "QUICK_RECORDS", 120)
    monkeypatch.setattr(files_tables_jobs, "PAIRS", 300)


def untimed(path: Path) -> list[Record]:
    lines = (path / "metrics.jsonl").read_text().splitlines()
    return [
        {name: value for name, value in json.loads(line).items() if not name.endswith(TIMED)}
        | ({"at": value} if (value := json.loads(line).get("seconds")) else {})
        for line in lines
    ]


def test_a_run_stopped_in_every_part_ends_as_if_it_never_was(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    whole = measure(CONFIG, context(tmp_path / "whole", data=root))
    assert whole["complete"] and whole["data"]["n_test"] == 240
    assert len(whole["data"]["sha256"]) == 64
    assert all(claim["holds"] is None for claim in whole["claims"])
    ids = {claim["id"] for claim in whole["claims"]}
    assert {"snn-mushroom", "snn-ahead", "memristive-corpus", "stream", "early", "hash"} <= ids
    assert {"encoding-corpus", "raster", "silent", "distance"} <= ids
    figures = whole["metrics"]
    assert next(iter(figures)) == "test_accuracy"
    assert figures["mushroom_logistic_accuracy"] > 0.75
    assert figures["mushroom_inputs_correlation"] > 0.9
    step, stops = Jobs.step, {"tables-mushroom": 2, "tables-corpus": 5, "pictures": 0}

    def stopping(phase: Jobs) -> list[Record]:
        if stops.get(phase.name) == phase.position:
            del stops[phase.name]
            signal.raise_signal(signal.SIGINT)
        return step(phase)

    monkeypatch.setattr(Jobs, "step", stopping)
    for _ in range(3):
        with pytest.raises(Interrupted):
            measure(CONFIG, context(tmp_path / "stopped", data=root))
        assert not json.loads((tmp_path / "stopped" / "result.json").read_text())["complete"]
    measure(CONFIG, context(tmp_path / "stopped", data=root))
    assert untimed(tmp_path / "whole") == untimed(tmp_path / "stopped")
    arrays = [load_tensors(tmp_path / n / "arrays.safetensors") for n in ("whole", "stopped")]
    assert arrays[0].keys() == arrays[1].keys()
    assert all(torch.equal(value, arrays[1][name]) for name, value in arrays[0].items())
    assert arrays[0]["example_bins"].shape == (3, 100)
    assert arrays[0]["example_similarity"][0] == 1 > arrays[0]["example_similarity"][1]


def fold() -> Fold:
    return Fold(make_corpus(600), 0, folds=3, neurons=120, references=50, seed=0)


SETTINGS = Supervised(
    hidden=32,
    epochs=25,
    ways=(Way(0.1, True),),
    weight_noise=0.04,
    pairs=1,
    instances=6,
    tested=120,
    hashes=3,
)


def test_what_the_supervised_network_is_measured_by() -> None:
    made = fold()
    found = supervised(made, SETTINGS, shown=True)
    by: dict[str, list[Record]] = {}
    for record in found:
        by.setdefault(str(record["model"]), []).append(record)
    assert list(by) == ["snn", "confusion", "memristive", "other-hash", "stream", "early"]
    (snn,) = by["snn"]
    assert float(snn["accuracy"]) > 0.55 and float(snn["kappa"]) > 0.4
    assert snn["distance_before"] == pytest.approx(79, abs=2)  # nearly silent
    assert 0 < float(snn["distance"]) < 160  # as far as one that is wrong each time
    assert snn["input_spikes"] == 120 and float(snn["hidden_spikes"]) > 0
    spikes = 120 * 32 + float(snn["hidden_spikes"]) * 6
    assert snn["operations"] == pytest.approx(spikes)
    assert snn["energy_nj"] == pytest.approx(spikes / 100)
    assert snn["parameters"] == 120 * 32 + 32 + 32 * 6 + 6
    assert sum(int(row["count"]) for row in by["confusion"]) == 200
    right = sum(int(row["count"]) for row in by["confusion"] if row["class"] == row["answer"])
    assert right / 200 == pytest.approx(float(snn["accuracy"]))
    devices = by["memristive"]
    assert len(devices) == 6 * len(TIMES) * 2
    ideal = float(devices[0]["ideal"])
    day = [float(r["accuracy"]) for r in devices if (r["seconds"], r["compensated"]) == (DAY, 1)]
    assert abs(np.mean(day) - ideal) < 0.1
    assert len(by["stream"]) == 6 and by["stream"][-1]["keys"] == 1
    assert by["stream"][-1]["accuracy"] == snn["accuracy"] > float(by["stream"][0]["accuracy"])
    waits = [float(row["milliseconds"]) for row in by["stream"]]
    expected = 50 * np.cumsum(1 / np.arange(6, 0, -1))  # of ordered exponential delays
    np.testing.assert_allclose(waits, expected, rtol=0.25)
    (early,) = by["early"]
    assert float(early["milliseconds"]) < float(early["all_milliseconds"])
    assert 0 < float(early["early"]) < 1 and float(early["keys"]) < 1
    assert float(early["accuracy"]) > float(early["whole_accuracy"]) - 0.15
    assert np.mean([float(row["kappa"]) for row in by["other-hash"]]) < 0.2


def test_the_way_to_learn_is_chosen_on_records_that_are_not_learned_from(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, tried = Fold(make_corpus(300), 0, folds=3, neurons=60, references=50, seed=0), []

    def look(network: PatternNetwork, bins: Tensor, labels: Tensor, *at: Any, **more: Any) -> None:
        way = Way(more["dropout"], more["key_of_neuron"] is not None)
        tried.append((way, more["epochs"], len(bins), len(labels)))
        torch.nn.init.zeros_(network.output_weight)
        network.output_bias.data.fill_(-1)
        if way == good:  # answers with the most frequent class
            most = int(np.bincount(made.train_labels).argmax())
            network.output_bias.data[most] = 1

    monkeypatch.setattr(files_spiking, "train", look)
    ways = (Way(0.1, False), Way(0.2, False), Way(0.2, True))
    for good in ways:
        tried.clear()
        record = learn(made, replace(SETTINGS, ways=ways, epochs=30)).record
        assert tried == [*((way, 30, 160, 160) for way in ways), (good, 30, 200, 200)]
        assert (record["dropout"], record["partial"]) == good
        held = made.train_labels[made.validation()[0].numpy()]
        most = np.bincount(made.train_labels).argmax()
        assert record["validation_accuracy"] == pytest.approx((held == most).mean())


def test_keys_arrive_at_a_network_that_has_learned_from_partial_records(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, learned = fold(), []
    monkeypatch.setattr(
        files_spiking,
        "train",
        lambda *_, key_of_neuron, **__: learned.append(key_of_neuron is not None),
    )
    for partial, expected in ((True, [True]), (False, [False, True])):
        learned.clear()
        supervised(made, replace(SETTINGS, ways=(Way(0.1, partial),)), shown=False)
        assert learned == expected
    spans = made.encoder.spans.values()
    assert made.key_of_neuron.tolist() == [
        key for key, span in enumerate(spans) for _ in range(span.start, span.stop)
    ]


def test_after_the_first_fold_devices_are_read_at_one_day_only() -> None:
    made = Fold(make_corpus(150), 1, folds=3, neurons=30, references=50, seed=0)
    found = supervised(
        made, replace(SETTINGS, hidden=8, epochs=1, ways=(Way(0.0, False),), tested=20), shown=False
    )
    rows = [record for record in found if record["model"] == "memristive"]
    assert {(row["seconds"], row["compensated"]) for row in rows} == {(DAY, 1)} and len(rows) == 2
    assert {str(record["model"]) for record in found} == {"snn", "memristive"}


def test_keys_arrive_in_their_order() -> None:
    made = fold()
    bins = made.test_bins[:5]
    order = torch.stack([torch.randperm(6) for _ in range(5)])
    steps = list(arriving(made, bins, order))
    assert len(steps) == 6 and torch.equal(steps[-1], bins)
    spans = list(made.encoder.spans.values())
    for number, part in enumerate(steps, start=1):
        for record in range(5):
            there = {int(key) for key in order[record, :number]}
            for key, span in enumerate(spans):
                expected = bins[record, span] if key in there else NO_SPIKE
                assert bool((part[record, span] == expected).all())


def test_records_are_decided_once_the_network_is_sure_enough() -> None:
    random = torch.Generator().manual_seed(0)
    sure = torch.rand(500, 5, generator=random).sort(dim=1).values
    right = torch.rand(500, 5, generator=random) < sure
    for threshold in (0.3, 0.9, 2.0):
        expected = [next((m for m in range(5) if row[m] >= threshold), 4) for row in sure.tolist()]
        assert moment(sure, threshold).tolist() == expected
    threshold = sure_enough(sure, right)
    whole = float(right[:, -1].double().mean())
    for at, enough in ((threshold, True), (SURE[SURE.index(threshold) - 1], False)):
        found = right.gather(1, moment(sure, at)[:, None]).double().mean()
        assert (float(found) >= whole - 0.01) is enough
    never = torch.zeros(10, 3, dtype=torch.bool)
    never[:, -1] = True
    assert sure_enough(torch.ones(10, 3), never) == 2


def test_another_hash_tells_the_network_nothing() -> None:
    made = fold()
    _, network, record, _ = learn(made, SETTINGS)
    kappas = [float(_other_hash(made, network, number)["kappa"]) for number in range(6)]
    assert abs(np.mean(kappas)) < 0.15 < float(record["kappa"])


def test_figures_are_means_over_folds() -> None:
    row: Record = {"phase": "tables-adult", "table": "adult", "fold": 0}
    rows: list[Record] = [
        row | {"model": "snn", "accuracy": 0.8, "silent": 0.0},
        row | {"model": "snn", "fold": 1, "accuracy": 0.9, "silent": 0.2},
        row | {"model": "logistic", "accuracy": 0.7},
        row | {"model": "logistic", "fold": 1, "accuracy": 0.8},
        row | {"model": "k-modes", "accuracy": 0.6, "labeled": 1.0},
        row | {"model": "k-modes", "accuracy": 0.2, "labeled": 0.01},
        *(
            row
            | {"model": "memristive", "seconds": DAY, "compensated": c, "accuracy": a, "ideal": 0.8}
            for c, a in ((1, 0.7), (1, 0.8), (0, 0.5))
        ),
        *(
            row | {"model": "stream", "keys": k, "accuracy": a}
            for k, a in ((1.0, 0.8), (0.25, 0.2), (0.75, 0.5), (0.5, 0.6))
        ),
        row | {"model": "confusion", "class": "a", "answer": "b", "count": 3},
    ]
    found = metrics(rows)
    assert found["test_accuracy"] == found["adult_snn_accuracy"] == pytest.approx(0.85)
    assert found["adult_snn_accuracy_deviation"] == pytest.approx(0.1 / np.sqrt(2))
    assert found["adult_snn_silent"] == 0.1
    assert found["adult_logistic_accuracy"] == 0.75
    assert found["adult_first_logistic_accuracy"] == 0.7
    assert found["adult_k_modes_accuracy"] == 0.6
    assert found["adult_k_modes_accuracy_1_percent"] == 0.2
    assert found["adult_memristive_day_accuracy_loss"] == pytest.approx(0.05)
    assert found["adult_memristive_day_uncompensated_accuracy"] == 0.5
    assert found["adult_stream_largest_fall_of_accuracy"] == pytest.approx(0.1)
    assert found["adult_stream_accuracy_half_of_keys"] == 0.6
    assert not any("confusion" in name for name in found)


def measured(**changes: float) -> dict[str, float]:
    """TableFigures of two tables with which every claim holds."""
    table = {
        "snn_accuracy": 0.9,
        "logistic_accuracy": 0.88,
        "linear_svm_accuracy": 0.87,
        "rbf_svm_accuracy": 0.89,
        "first_logistic_accuracy": 0.88,
        "raster_accuracy": 0.88,
        "snn_silent": 0.001,
        "snn_distance_before": 90.0,
        "snn_distance": 20.0,
        "memristive_day_accuracy_loss": 0.002,
        "stdp_accuracy": 0.8,
        "stdp_first_accuracy": 0.78,
        "stdp_first_kappa": 0.5,
        "k_means_accuracy": 0.7,
        "k_modes_accuracy": 0.75,
        "k_medoids_accuracy": 0.8,
        "inputs_correlation": 0.996,
        "inputs_rank_correlation": 0.98,
        "stream_largest_fall_of_accuracy": 0.001,
        "stream_accuracy_all_keys": 0.9,
        "early_accuracy": 0.895,
        "early_whole_accuracy": 0.9,
        "early_early": 0.8,
        "other_hash_kappa": 0.01,
        "other_hash_kappa_largest": 0.2,
        "other_hash_hashes": 10,
    }
    found = {f"{name}_{figure}": x for name in ("adult", "corpus") for figure, x in table.items()}
    return found | changes


def failing(**changes: float) -> set[str]:
    rows = claims(measured(**changes), ("adult", "corpus"), True)
    return {row.id for row in rows if not row.holds}


def test_claims_hold_or_not() -> None:
    assert failing() == set()
    assert all(row.holds is None for row in claims(measured(), ("adult", "corpus"), False))
    assert failing(adult_rbf_svm_accuracy=0.92) == {"snn-adult", "snn-any-adult"}
    assert failing(adult_boosting_accuracy=0.92) == {"snn-any-adult"}
    assert failing(adult_rbf_svm_accuracy=0.905, corpus_logistic_accuracy=0.905) == {"snn-ahead"}
    worse = failing(corpus_snn_accuracy=0.79, corpus_logistic_accuracy=0.85)
    assert worse == {"snn-corpus", "snn-any-corpus", "snn-logistic", "snn-stdp"}
    assert failing(adult_memristive_day_accuracy_loss=0.015) == {"memristive-adult"}
    both = {"memristive-adult", "memristive"}
    assert failing(adult_memristive_day_accuracy_loss=0.025) == both
    assert failing(adult_stdp_accuracy=0.72) == {"stdp-adult"}
    assert failing(adult_stdp_first_accuracy=0.74) == {"stdp-first", "stdp-medoids"}
    assert failing(adult_stdp_first_kappa=0.1) == {"stdp-chance"}
    assert failing(corpus_inputs_correlation=0.98) == {"encoding-corpus"}
    assert failing(corpus_inputs_rank_correlation=0.9) == {"encoding-ranks"}
    assert failing(corpus_raster_accuracy=0.86) == {"raster"}
    assert failing(corpus_snn_silent=0.02) == {"silent"}
    assert failing(corpus_snn_distance=95.0) == {"distance"}
    assert failing(corpus_stream_largest_fall_of_accuracy=0.02) == {"stream"}
    assert failing(corpus_early_early=0.05) == {"early", "early-half"}
    assert failing(corpus_early_early=0.3) == {"early-half"}
    assert failing(corpus_early_accuracy=0.87) == {"early-accuracy"}
    assert failing(corpus_other_hash_kappa=0.2) == {"hash"}


def test_claims_name_the_table_and_the_learner() -> None:
    rows = {row.id: row for row in claims(measured(), ("adult", "corpus"), True)}
    assert rows["snn-adult"].target == pytest.approx(0.88) and "RBF SVM" in (
        rows["snn-adult"].statement
    )
    assert rows["snn-ahead"].measured == 2
    changed = measured(corpus_snn_silent=0.005)
    rows = {row.id: row for row in claims(changed, ("adult", "corpus"), True)}
    assert rows["silent"].measured == 0.005 and "on corpus" in rows["silent"].statement
    changed = measured(corpus_other_hash_kappa=0.03, adult_other_hash_kappa_largest=0.4)
    (row,) = [row for row in claims(changed, ("adult", "corpus"), True) if row.id == "hash"]
    assert row.measured == 0.03 and "mean over 10 hashes, first fold: most, on corpus" in (
        row.statement
    )
    assert row.statement.endswith("with a single hash 0.4000 at most")
    assert best_classical(TableFigures({}, ()), "adult") is None
    assert claims({"adult_snn_accuracy": 0.9}, ("adult",), True) == []


def test_a_learner_of_fewer_records_is_named_and_no_one_is_ahead_of_it() -> None:
    counts = {
        f"{table}_{model}_learned_from": float(count)
        for table, fewer in (("adult", 12_000), ("corpus", 40_000))
        for model, count in (("logistic", 40_000), ("linear_svm", 40_000), ("rbf_svm", fewer))
    }
    rows = {row.id: row for row in claims(measured(**counts), ("adult", "corpus"), True)}
    words = "RBF SVM learned from 12,000 of 40,000 records"
    assert rows["snn-adult"].statement.endswith(f"; {words}")
    assert "learned from" not in rows["snn-corpus"].statement
    assert rows["snn-ahead"].measured == 1
    assert rows["snn-ahead"].statement.endswith(f", without adult, where {words}")
    behind = measured(**counts, adult_logistic_accuracy=0.905)
    rows = {row.id: row for row in claims(behind, ("adult", "corpus"), True)}
    assert rows["snn-ahead"].statement.endswith("than each of them")


def page(*rows: Record) -> RunData:
    shared: Record = {"phase": "tables-adult", "table": "adult", "fold": 0}
    return RunData(Path("run"), {}, [shared | row for row in rows], {})


def test_the_report_names_learners_of_fewer_records() -> None:
    snn: Record = {"model": "snn", "accuracy": 0.9}
    rows: list[Record] = [
        {"model": model, "fold": fold, "accuracy": 0.8, "learned_from": count + fold}
        for model, count in (("logistic", 40_000), ("raster", 40_000), ("rbf-svm", 12_000))
        for fold in (0, 1)
        if model != "raster" or fold == 0
    ]
    panel = accuracies(page(snn, *rows))
    assert panel and "Learned from fewer records than others did there: RBF SVM, 12,000 (" in (
        panel.caption
    )
    assert "raster, 40" not in panel.caption
    panel = accuracies(page(snn, *(row for row in rows if row["model"] != "rbf-svm")))
    assert panel and "fewer records" not in panel.caption


def test_a_fold_is_one_value_in_the_report() -> None:
    device: Record = {"model": "memristive", "seconds": DAY, "compensated": 1, "accuracy": 0.8}
    rows = [device, device, device, device | {"fold": 1, "accuracy": 0.6}]
    panel = accuracies(page(*rows, {"model": "logistic", "accuracy": 0.72}))
    assert panel and panel.caption.endswith("The most accurate: adult: logistic regression.")


def test_the_report_draws_the_readout_that_it_describes() -> None:
    rows: list[Record] = [
        {"model": model, "labeled": 1.0, "accuracy": 0.8} for model in ("stdp", "stdp-first")
    ]
    assert few_labels(page(rows[0])) is None
    panel = few_labels(page(rows[1]))
    assert panel and "the one that fires first" in panel.caption


def test_folds_count_alike_however_often_weights_are_written() -> None:
    row: Record = {"table": "adult", "model": "memristive", "seconds": DAY, "compensated": 1}
    rows = [
        row | {"fold": fold, "accuracy": accuracy, "ideal": 0.9}
        for fold, accuracy in ((0, 0.8), (0, 0.8), (0, 0.8), (1, 0.6))
    ]
    found = metrics(rows)
    assert found["adult_memristive_day_accuracy"] == pytest.approx(0.7)
    assert found["adult_memristive_day_accuracy_loss"] == pytest.approx(0.2)


def test_names_of_figures_have_no_hyphens() -> None:
    assert field("adult", "linear-svm") == "adult_linear_svm"


def test_the_largest_agreement_with_other_hashes_is_kept() -> None:
    row: Record = {"table": "adult", "model": "other-hash", "fold": 0, "accuracy": 0.5}
    found = metrics([row | {"hash": i, "kappa": kappa} for i, kappa in enumerate((0.0, 0.3))])
    assert found["adult_other_hash_kappa"] == pytest.approx(0.15)
    assert found["adult_other_hash_kappa_largest"] == 0.3
    assert found["adult_other_hash_hashes"] == 2


def test_a_missing_table_is_named_before_any_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, context: Callable[..., Context]
) -> None:
    monkeypatch.setattr(Jobs, "step", lambda self: pytest.fail("it began to work"))
    with pytest.raises(InputError, match=r"metadata is not in .*; to get it"):
        measure(CONFIG, context(tmp_path / "run", data=tmp_path))
    assert not list((tmp_path / "run").iterdir())


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"tables": ("iris",)}, r"tables are \['iris'\]; expected some of \['adult'"),
        ({"models": ()}, r"models are \[\]"),
        ({"folds": 1}, "folds is 1; expected 2 to 100"),
        ({"hidden_per_class": 0}, "hidden_per_class is 0"),
        ({"least_hidden": 600}, "least_hidden is 600; expected at most 512"),
        ({"least_epochs": 150}, "least_epochs is 150; expected at most 100"),
        ({"population": 0}, "population is 0; expected 1 to 1,000,000"),
        (
            {name: 10**6 for name in ("population", "least_hidden", "most_hidden")},
            "population is 1000000 and pairs is 1: needs about",
        ),
    ],
)
def test_bad_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(InputError, match=words):
        FilesTablesConfig(**settings)


def test_sizes_follow_from_records_keys_and_classes() -> None:
    config = FilesTablesConfig()
    table = make_corpus(50)
    assert config.neurons(table) == 400
    assert [config.epochs(n) for n in (1000, 40_000, 1_000_000)] == [100, 40, 15]
    assert [config.hidden(n) for n in (2, 10, 58)] == [128, 300, 512]


def test_it_is_registered() -> None:
    experiment = find("files-tables")
    assert resolved(experiment.config) is FilesTablesConfig and experiment.data == "metadata"
    assert FilesTablesConfig(models=list(MODELS)).models == MODELS  # type: ignore[arg-type]
