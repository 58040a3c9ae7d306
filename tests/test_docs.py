"""The documentation's pages of code cells: they run, each figure is made, and the prose is true."""

import ast
import json
import re
from collections import Counter
from collections.abc import Iterator
from math import inf
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from plastorch.hebbian.mixtures import compare
from plastorch.report.theme import to_png

DOCS = Path(__file__).parent.parent / "docs"
RESULTS = DOCS.parent / "benchmarks" / "results"
CELL = re.compile(r"^```\{code-cell\}\n((?:---\n.*?^---\n)?)(.*?)^```$", re.MULTILINE | re.DOTALL)
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
NOT_PYTHON = re.compile(r"^[:%].*\n", re.MULTILINE)
"""Tags of a cell and commands of the notebook."""

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")
"""Of torch's exporters."""


class Page(NamedTuple):
    names: dict[str, Any]
    """What the cells leave behind."""
    shown: list[tuple[bool, object]]
    """Per cell, whether it describes a picture, and the value of its last line."""


def executed(name: str, data: Path) -> Iterator[Page]:
    """A page, its cells run in order as Sphinx runs them: in its folder, with no data at hand."""
    text = (DOCS / name).read_text()
    names: dict[str, Any] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PLASTORCH_DATA", raising=False)
        patch.setenv("XDG_CACHE_HOME", str(data))
        patch.chdir(DOCS)
        patch.syspath_prepend(DOCS)  # the pages' own modules
        shown = [("alt:" in head, run(code, names)) for head, code in CELL.findall(text)]
        yield Page(names, shown)


def fixture_of(name: str) -> Any:
    """A page whose cells have been executed."""

    @pytest.fixture(scope="module")
    def executed_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
        yield from executed(name, tmp_path_factory.mktemp("data"))

    return executed_page


page = fixture_of("softhebb.md")
beyond_page = fixture_of("beyond.md")
models_page = fixture_of("models.md")
stpn_page = fixture_of("stpn.md")
spiking_page = fixture_of("spiking.md")
rank_page = fixture_of("rank.md")
files_page = fixture_of("files.md")
efference_page = fixture_of("efference.md")
views_page = fixture_of("views.md")
sklearn_page = fixture_of("sklearn.md")
neuromorphic_page = fixture_of("neuromorphic.md")
faq_page = fixture_of("faq.md")
scale_page = fixture_of("scale.md")


def run(code: str, names: dict[str, Any]) -> object:
    """Runs a cell; the value of its last line, as a notebook shows it."""
    tree = ast.parse(NOT_PYTHON.sub("", code))
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, "cell", "exec"), names)
    return eval(compile(ast.Expression(last.value), "cell", "eval"), names) if last else None


@pytest.mark.parametrize(
    ("name", "count"),
    [
        ("page", 12),
        ("beyond_page", 1),
        ("models_page", 0),
        ("stpn_page", 6),
        ("spiking_page", 14),
        ("rank_page", 4),
        ("files_page", 3),
        ("efference_page", 3),
        ("views_page", 1),
        ("sklearn_page", 1),
        ("neuromorphic_page", 2),
        ("faq_page", 0),
        ("scale_page", 1),
    ],
)
def test_each_cell_that_describes_a_picture_shows_one_and_no_other(
    name: str, count: int, request: pytest.FixtureRequest
) -> None:
    page: Page = request.getfixturevalue(name)
    assert [described for described, _ in page.shown] == [
        isinstance(value, Figure) for _, value in page.shown
    ]
    figures = [value for _, value in page.shown if isinstance(value, Figure)]
    assert len(figures) == count
    for figure in figures:
        assert len(to_png(figure, dpi=50)) > 2000  # a blank one takes less


def test_the_rule_written_out_and_the_network_sent_out_are_the_librarys(page: Page) -> None:
    assert [value for _, value in page.shown if isinstance(value, bool)] == [True] * 2


def test_trained_networks_are_listed_from_their_cards(
    tiny_model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(DOCS)
    from results import Models

    table = Models()._repr_html_()
    assert table.count("<tr>") == 2 and "<td>81.26 %</td><td>0.0 MB</td>" in table
    (tiny_model / "tiny.json").unlink()
    assert "No network" in Models()._repr_html_()


def test_theory_is_learned(page: Page) -> None:
    before, after = (
        compare(page.names[name], page.names["causes"]) for name in ("before", "after")
    )
    assert after.found and after.kl < 0.01 < before.kl
    assert after.cross_entropy < before.cross_entropy


def test_loss_falls_without_labels(page: Page) -> None:
    for course in page.names["courses"].values():
        assert course[-1]["cross_entropy"] < 0.5 * course[0]["cross_entropy"]
        assert course[-1]["test_accuracy"] > 0.7


def test_deep_features_are_useful_before_neurons_settle(page: Page) -> None:
    assert page.names["record"]["test_accuracy"] > 0.9
    radius = torch.cat([block.conv.radius() for block in page.names["net"].blocks])
    assert 0 < ((radius - 1).abs() < 0.01).double().mean() < 0.5


def test_the_readers_ideas_are_drawn_as_they_were_measured(beyond_page: Page) -> None:
    (figure,) = (value for _, value in beyond_page.shown if isinstance(value, Figure))
    assert [value for _, value in beyond_page.shown if isinstance(value, bool)] == [True]
    (axes,) = figure.axes
    drawn = {
        name.get_text(): sorted(points.get_xdata())
        for name, points in zip(axes.get_yticklabels(), axes.lines, strict=True)
    }
    paths = (RESULTS / "softhebb-beyond").glob("quarter-on-off-seed*.json")
    measured = [json.loads(path.read_text())["metrics"]["test_accuracy"] for path in paths]
    assert drawn["ON and OFF"] == pytest.approx(sorted(100 * value for value in measured))
    assert len(measured) == 3 and {len(points) for points in drawn.values()} == {3}


def test_packed_and_padded_sequences_and_other_runtimes_are_the_same(stpn_page: Page) -> None:
    assert [value for _, value in stpn_page.shown if isinstance(value, bool)] == [True] * 3


def test_stpn_is_smaller_and_learns_earlier(stpn_page: Page) -> None:
    stpn, lstm = (stpn_page.names[f"{name}_course"] for name in ("stpn", "lstm"))
    solved = [next((n for n, right in course if right > 95), inf) for course in (stpn, lstm)]
    assert solved[0] < 0.5 * solved[1] and stpn[-1][1] > 99
    assert stpn_page.names["sizes"][1] < stpn_page.names["sizes"][0]


def test_synapses_bind_and_neurons_alone_do_not(stpn_page: Page) -> None:
    """Without the state of its synapses the network is where knowing both values alone leads."""
    kept, unbound = stpn_page.names["kept"], stpn_page.names["unbound"] / 100
    assert kept["both kept"] > 0.99
    for name in ("synapses erased", "synapses of another sequence"):
        assert abs(kept[name] - unbound) < 0.06
    assert max(kept[f"neurons {which}"] for which in ("erased", "of another sequence")) < 0.9


def test_traces_are_where_the_page_shows_them(stpn_page: Page) -> None:
    names = stpn_page.names
    symbols, memories = names["SYMBOLS"], names["memories"]
    for step, memory in enumerate(memories, start=1):
        came = set(names["sequence"][:step])
        filled = {symbols[column] for column in range(len(symbols)) if memory[:, column].any()}
        assert filled == came
    assert names["answer"] == "4"
    lengths = np.linalg.norm(names["stpn"].cells[0].weight.detach().numpy() + memories[0], axis=1)
    first = symbols.index(names["sequence"][0])
    early, late = (np.linalg.norm(memories[step][:, first]) for step in (0, 3))
    assert lengths.mean() < 1 and early < late


def test_window_and_engines_are_what_the_page_says(spiking_page: Page) -> None:
    assert [value for _, value in spiking_page.shown if isinstance(value, bool)] == [True]
    lags, window = spiking_page.names["lags"].double(), spiking_page.names["window"]
    decayed = (-lags.abs() / 0.02).exp()
    expected = torch.where(lags >= -1e-6, 0.01 * decayed, -0.0105 * decayed)
    torch.testing.assert_close(torch.tensor(window).double(), expected, rtol=1e-4, atol=1e-8)


def test_fatigue_finds_the_correlated_inputs_where_stdp_does_not(spiking_page: Page) -> None:
    names = spiking_page.names
    members, fast = names["members"].numpy(), names["fast"].numpy()
    stdp, fatiguing = (names["weights"][name][-1] for name in ("STDP", "fatiguing STDP"))
    assert stdp[members].max() < stdp[fast].min()
    assert fatiguing[members].min() > fatiguing[~members].max()


def test_condition_tells_how_much_fatigue_is_enough(spiking_page: Page) -> None:
    auc, margin = spiking_page.names["auc"], spiking_page.names["margin"]
    assert auc[..., 0].max() < 0.1 and auc[..., -1].min() > 0.95
    assert ((auc > 0.5) == (margin > 0)).mean() > 0.8


def test_short_term_plasticity_follows_what_changes_gradually(spiking_page: Page) -> None:
    """It beats the static circuit and its moving average under a bar that comes, and no other."""
    means = {
        kind: {name: curve[1].mean() for name, curve in curves.items()}
        for kind, curves in spiking_page.names["courses"].items()
    }
    occlusion, abrupt = means["occlusion"], means["abrupt"]
    assert occlusion["ST-STDP"] > 0.15 + max(occlusion["static"], occlusion["static, mean"])
    assert abrupt["ST-STDP"] < abrupt["static"]


def test_answers_come_with_the_cue(rank_page: Page) -> None:
    names = rank_page.names
    early = {}
    for name, decision in names["decisions"].items():
        early[name] = float((decision.step < names["shown"]).double().mean())
    assert early["rank coding"] < 0.1 and early["last step"] > 0.25
    assert names["at_end"] > 0.98
    course = np.array(names["course"])
    steps, computed = course[-50:].mean(axis=0)
    assert tuple(course[0]) == (19.0, 20.0) and steps < 10 and computed < 16


def test_skipping_changes_no_gradient(rank_page: Page) -> None:
    assert [value for _, value in rank_page.shown if isinstance(value, bool)] == [True]


def test_the_trade_off_is_below_the_ideal_observers_and_above_fixed_times(rank_page: Page) -> None:
    ideal, lstm = (
        [rank_page.names["readings"][name].timing(t) for t in rank_page.names["thresholds"]]
        for name in ("ideal observer", "LSTM")
    )
    limit = np.interp(
        [t.mean_step for t in lstm], [t.mean_step for t in ideal], [t.accuracy for t in ideal]
    )
    right = np.array([t.accuracy for t in lstm])
    assert (right < limit + 0.01).all() and (right > limit - 0.05).all()
    fixed = rank_page.names["readings"]["LSTM"].accuracy_at
    for timing in lstm[:5]:
        assert timing.accuracy > float(fixed[round(timing.mean_step)]) + 0.01
    assert rank_page.names["needed"] > 1
    assert rank_page.names["answer"].step < 40


def test_patterns_coincide_as_records_are_similar(files_page: Page) -> None:
    alike, same = files_page.names["alike"], files_page.names["same"]
    assert np.corrcoef(alike, same)[0, 1] > 0.99
    np.testing.assert_allclose(np.polyfit(alike, same, 1), [19 / 20, 1 / 20], atol=0.02)


def test_classes_are_learned_online_and_kept_on_devices(files_page: Page) -> None:
    course, held = files_page.names["course"], files_page.names["held"]
    assert course[-1] > 0.75 > 0.5 > course[0]
    assert min(held["compensated"]) > max(held["compensated"]) - 0.04
    assert held["not compensated"][-1] < held["compensated"][-1]


def test_a_few_labels_name_the_winners(files_page: Page) -> None:
    assert files_page.names["right"] > 0.55


def test_efference_copies_compose_and_weight_0_is_the_baseline(efference_page: Page) -> None:
    assert [value for _, value in efference_page.shown if isinstance(value, bool)] == [True] * 2


def test_actions_are_told_above_chance_and_places_are_kept(efference_page: Page) -> None:
    """All but the flip, which neither view alone says anything of."""
    scale_x, scale_y, _, shift_x, shift_y = efference_page.names["told"][-1]
    found = efference_page.names["found"]
    assert min(scale_x, scale_y, shift_x, shift_y) > 0.2  # of 8 classes
    place = "variance of x, y explained"
    assert found["with copies"][place] > found["without"][place]


def test_views_are_made_again_and_the_way_back_leads_home(views_page: Page) -> None:
    assert [value for _, value in views_page.shown if isinstance(value, bool)] == [True] * 2


def test_features_without_labels_are_above_pixels(sklearn_page: Page) -> None:
    found = sklearn_page.names["found"]
    assert (np.array(found["SoftHebb"]) > np.array(found["pixels"]) + 0.05).all()
    pipeline, images, labels = (sklearn_page.names[n] for n in ("pipeline", "X_test", "y_test"))
    assert pipeline.score(images, labels) > 0.8
    assert sklearn_page.names["scores"].mean() > 0.85


def test_networks_come_back_from_nir_and_devices_learn(neuromorphic_page: Page) -> None:
    shown = [value for _, value in neuromorphic_page.shown if isinstance(value, bool)]
    assert shown == [True] * 2 and len(neuromorphic_page.names["second"].times) > 100
    weight, members = (neuromorphic_page.names[name] for name in ("weight", "members"))
    assert weight[members].mean() > weight[~members].mean() + 0.1


def test_answers_are_right(faq_page: Page) -> None:
    shown = [value for _, value in faq_page.shown if value is not None]
    passed_on = [True, True, False, True, True]
    assert shown == [(torch.float64, torch.device("cpu")), (True, False), False, passed_on, True]


def test_two_workers_are_near_the_model_and_more_of_them_take_less_time(scale_page: Page) -> None:
    predicted, hours, settings = (scale_page.names[n] for n in ("predicted", "hours", "settings"))
    for name in ("cifar10-10", "cifar10-100", "imagenet-8"):
        modeled, measured = predicted(name)
        assert 0.75 < modeled / measured < 1.15
    one, few, many = (settings()[name] for name in ("1 GPU", "8 GPUs", "100 nodes, 800 GPUs"))
    for images in (10, 100):
        times = [hours(*setting, images) for setting in (one, few, many)]
        assert times[0] / 8 < times[1] < times[0] / 5 and times[0] / 800 < times[2] < times[1]
    blocks = [block.bytes for block in scale_page.names["blocks"]()]
    assert blocks[-1] > 0.9 * sum(blocks)


PROSE = ["index", "quickstart", "softhebb", "beyond", "models", "stpn", "spiking", "rank", "files",
         "efference", "sklearn", "neuromorphic", "machines", "faq", "decisions"]  # fmt: skip


@pytest.mark.parametrize("name", PROSE)
def test_prose_quotes_no_measured_figure(name: str) -> None:
    """Numbers come from cells, so that they can't go stale."""
    prose = FENCED.sub("", (DOCS / f"{name}.md").read_text())
    assert not re.findall(r"\d[\d.]*\s*(?:%|per cent|nats|seconds)", prose)


def test_every_committed_result_is_on_a_page() -> None:
    text = "".join(path.read_text() for path in DOCS.glob("*.md"))
    shown = set(re.findall(r'"([a-z0-9-]+)"', "".join(re.findall(r"claims\(([^)]*)\)", text))))
    shown.add("choices")  # choices.md is written from them
    assert {path.name for path in RESULTS.iterdir() if path.is_dir()} <= shown
    drawn = set(re.findall(r'draw_speed\(\s*"([a-z]+)"|<!-- measured: ([a-z]+)-speed', text))
    drawn = {figure or table for figure, table in drawn}
    assert drawn <= {path.stem.removeprefix("bench-") for path in RESULTS.glob("bench-*.json")}
    assert len(drawn) >= 5


def test_tables_of_claims_say_what_the_results_say(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(DOCS)
    from results import claims, draw_speed

    (result,) = (json.loads(path.read_text()) for path in (RESULTS / "fstdp-synthetic").glob("*"))
    outcomes = Counter(claim["holds"] for claim in result["claims"])
    html = claims("fstdp-synthetic", "none-such")._repr_html_()
    total = outcomes[True] + outcomes[False]
    assert f"{outcomes[True]} of {total} asserted claims hold" in html
    assert html.count("<td>does not hold</td>") == outcomes[False]
    assert "<code>none-such</code>: no whole run is committed yet." in html
    rows = json.loads((RESULTS / "bench-rank.json").read_text())["rows"]
    (axes,) = draw_speed("rank", {row["name"]: row["name"] for row in rows}).axes
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
    assert ends == pytest.approx([row["ratio"] for row in rows])


def test_claims_of_runs_with_other_settings_are_rows_of_their_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(DOCS)
    from results import claims, committed

    kinds = {committed.configuration(run) for run in committed.in_folder("softhebb-bayes")}
    html = claims("softhebb-bayes")._repr_html_()
    assert 1 < len(kinds) == html.count("<tbody>") == len(set(re.findall("rowgroup.*?</th>", html)))


def test_the_figure_of_an_ablation_shows_three_runs_of_each_network(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(DOCS)
    from results import ABLATION, ablation

    assert {name: len(found) for name, found in ablation().items()} == dict.fromkeys(ABLATION, 3)


def test_data_flow_is_a_picture_for_a_phone_and_says_it_all() -> None:
    svg = ElementTree.parse(DOCS / "_static" / "data-flow.svg").getroot()
    words = [text.text for text in svg.iter("{http://www.w3.org/2000/svg}text")]
    way = ["data", "module(x, state)", "(y, state)", "local rule", "loss", "optimizer",
           "readout, metric", "run folder", "report"]  # fmt: skip
    assert [word for word in words if word in way] == way
    assert int(svg.attrib["width"]) <= 350
    sizes = [float(node.get("font-size", "15")) for node in svg.iter() if node.tag.endswith("text")]
    assert min(sizes) >= 12
    index = (DOCS / "index.md").read_text()
    assert re.search(r"```\{image\} _static/data-flow\.svg\n---\nalt: >-\n(  .+\n){3,}", index)
