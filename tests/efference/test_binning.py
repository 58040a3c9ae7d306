"""Classes of efference copies: masses, entropies and the published program's formula."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from plastorch.efference.actions import ImageActions
from plastorch.efference.audio_views import AUDIO
from plastorch.efference.binning import (
    COMPATIBLE_BINS,
    Bins,
    equal_edges,
    estimate_bins,
    quantile_edges,
)
from plastorch.efference.copies import (
    FACTORS,
    Kind,
    command,
    compatible,
    egocentric,
)
from plastorch.efference.views import CIFAR, STL10
from plastorch.engine.errors import InputError

PAIRS = 100_000


def random(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.fixture(scope="module")
def pair() -> tuple[ImageActions, ImageActions]:
    """The standard law of crops: area 0.08 to 1, aspect 3/4 to 4/3.

    The figures that are expected of it were measured on crops of whole pixels, 32 × 32, which
    spread a little more than ours do.
    """
    generator = random(1)
    return CIFAR.sample(PAIRS, generator), CIFAR.sample(PAIRS, generator)


def shares(codes: Tensor, size: int) -> Tensor:
    """Of the classes, among valid targets."""
    counts = torch.bincount(codes[codes >= 0], minlength=size).double()
    return counts / counts.sum()


def test_compatible_targets_have_the_entropies_and_majorities_of_the_program(
    pair: tuple[ImageActions, ImageActions],
) -> None:
    codes = COMPATIBLE_BINS.targets(*pair)
    assert COMPATIBLE_BINS.sizes == (6,) * 6
    assert bool((codes[:, [1, 3]] == 2).all())  # both off-diagonal entries
    chance = [-torch.xlogy(p, p).sum() for p in (shares(column, 6) for column in codes.T)]
    expected = {"m11": 1.667, "m22": 0.965, "m13": 1.762, "m23": 1.764}
    for name, entropy in expected.items():
        assert float(chance[FACTORS["compatible"].index(name)]) == pytest.approx(entropy, abs=0.02)
    assert float(sum(chance)) / 6 == pytest.approx(1.026, abs=0.01)
    majority = {"m11": 0.287, "m22": 0.580, "m13": 0.226, "m23": 0.226}
    for name, share in majority.items():
        found = shares(codes[:, FACTORS["compatible"].index(name)], 6).max()
        assert float(found) == pytest.approx(share, abs=0.01)


@given(st.lists(st.floats(-3, 3, width=32), min_size=1, max_size=20))
def test_equal_bins_are_those_of_the_formula(values: list[float]) -> None:
    edges = [-2 + 4 / 6 * k for k in range(7)]
    v = torch.tensor([*values, 0.0, -2.0, 2.0, *(e + 1e-5 for e in edges)])
    expected = ((v + 2) / 4 * 6 - 0.5).round().clamp(0, 5).long()
    clear = ((v + 2) / 4 * 6 - ((v + 2) / 4 * 6).round()).abs() > 1e-5
    clear |= v == 0
    assert torch.equal(Bins((equal_edges(-2, 2),)).encode(v[:, None])[clear, 0], expected[clear])


def test_halves_go_to_the_even_bin_even_when_denormal_numbers_count_as_0() -> None:
    v = torch.tensor([-1.0, 0.0, 1.0, 2.0])  # with 6 bins of width 1 from -3 to 3: edges
    expected = ((v + 3) - 0.5).round().long()
    bins = Bins((equal_edges(-3, 3),))
    assert bins.encode(v[:, None])[:, 0].tolist() == expected.tolist() == [2, 2, 4, 4]
    if torch.set_flush_denormal(True):
        assert bins.encode(v[:, None])[:, 0].tolist() == expected.tolist()


def test_quantile_bins_have_nearly_equal_mass(pair: tuple[ImageActions, ImageActions]) -> None:
    bins = estimate_bins(CIFAR, "egocentric", random(2))
    assert bins.sizes == (8, 8, 2, 8, 8)
    codes = bins.targets(*pair)
    deviation = math.sqrt(1 / 8 * 7 / 8 * 2 / PAIRS)  # of edges and of counts, both from samples
    for k in (0, 1, 3, 4):
        torch.testing.assert_close(
            shares(codes[:, k], 8), torch.full((8,), 1 / 8).double(), rtol=0, atol=4 * deviation
        )
    assert float(shares(codes[:, 2], 2)[0]) == pytest.approx(0.5, abs=0.01)


def test_sextiles_of_the_standard_law(pair: tuple[ImageActions, ImageActions]) -> None:
    scale_x, _, _, *shifts = egocentric(*pair).T
    ratio = [math.exp(edge) for edge in quantile_edges(scale_x, 6)]
    assert ratio == pytest.approx([0.652, 0.839, 1.0, 1.192, 1.533], abs=0.02)
    for shift in shifts:
        assert quantile_edges(shift, 6) == pytest.approx(
            [-0.476, -0.185, 0.0, 0.188, 0.478], abs=0.02
        )


def test_a_frequent_value_is_a_bin_of_its_own() -> None:
    bins = estimate_bins(STL10, "full", random(3))
    sizes = dict(zip(FACTORS["full"], bins.sizes, strict=True))
    assert all(sizes[name] == 8 for name in FACTORS["egocentric"] if name != "flip")
    assert all(sizes[name] == 5 for name in ("brightness", "contrast", "saturation", "hue", "blur"))
    assert all(sizes[name] == 2 for name in ("flip", "gray", "solarized"))
    a, b = (STL10.sample(20_000, random(seed)) for seed in (4, 5))
    codes = bins.targets(a, b)
    for name in FACTORS["full"]:
        p = shares(codes[:, FACTORS["full"].index(name)], sizes[name])
        if sizes[name] > 2:
            assert float(p.min()) > 0.6 / sizes[name], name
            assert float(p.max()) < 1.4 / sizes[name], name
    both_sharp = (a.blur == 0) & (b.blur == 0)
    blur = codes[:, FACTORS["full"].index("blur")]
    assert torch.equal(blur == 2, both_sharp)


def test_what_never_changes_has_no_targets() -> None:
    samples = torch.stack([torch.linspace(0, 1, 100), torch.zeros(100), torch.ones(100)], dim=1)
    pairs = zip(samples.T, (4, 4, 2), strict=True)
    bins = Bins(tuple(quantile_edges(column, count) for column, count in pairs))
    assert bins.sizes == (4, 1, 1)
    codes = bins.encode(samples)
    assert bool((codes[:, 1:] == -1).all())
    assert shares(codes[:, 0], 4).tolist() == [0.25] * 4
    sizes = estimate_bins(CIFAR, "full", random(), 2000).sizes
    assert sizes[FACTORS["full"].index("blur")] == sizes[FACTORS["full"].index("solarized")] == 1


@pytest.mark.parametrize("kind", ["full", "differences"])
def test_colors_are_no_targets_where_a_view_is_gray(kind: Kind) -> None:
    a, b = (
        STL10.sample(300, random(seed))._replace(solarized=torch.zeros(300).bool())
        for seed in (6, 7)
    )
    bins = estimate_bins(STL10, kind, random(8), 5000)
    codes, plain = bins.targets(a, b), bins.encode(command(a, b, kind))
    color = torch.tensor(
        [n in ("brightness", "contrast", "saturation", "hue") for n in FACTORS[kind]]
    )
    for i in range(300):
        masked = color & bool(a.gray[i] or b.gray[i])
        assert bool((codes[i][masked] == -1).all())
        assert torch.equal(codes[i][~masked], plain[i][~masked])
    assert 0.5 < float((codes[:, color][:, 0] >= 0).float().mean()) < 0.8  # expected: 0.8²


@pytest.mark.parametrize("kind", ["egocentric", "compatible"])
def test_solarized_pairs_are_left_out(kind: Kind) -> None:
    a, b = (STL10.sample(300, random(seed)) for seed in (9, 10))
    bins = estimate_bins(STL10, kind, random(11), 5000)
    codes = bins.targets(a, b)
    solarized = a.solarized | b.solarized
    assert bool((codes[solarized] == -1).all()) and bool((codes[~solarized] >= 0).all())


def test_sounds() -> None:
    bins = estimate_bins(AUDIO, "audio", random(12))
    assert bins.sizes == (6,) * len(FACTORS["audio"])
    a, b = (AUDIO.sample(20_000, random(seed)) for seed in (13, 14))
    codes = bins.targets(a, b)
    for name, column in zip(FACTORS["audio"], codes.T, strict=True):
        # shifts are whole bands, so their bins can't be quite even
        tolerance = 0.05 if name == "shift" else 0.015
        assert shares(column, 6).tolist() == pytest.approx([1 / 6] * 6, abs=tolerance)


def test_every_kind_has_names_for_its_numbers() -> None:
    images, sounds = CIFAR.sample(4, random()), AUDIO.sample(4, random())
    for kind, names in FACTORS.items():
        actions = sounds if kind == "audio" else images
        assert command(actions, actions, kind).shape == (4, len(names))
    assert torch.equal(command(images, images, "compatible"), compatible(images, images).flatten(1))


@pytest.mark.parametrize(
    ("edges", "words"),
    [
        ((), r"edges is \(\)"),
        (((1.0, 1.0),), "expected ascending"),
        (((math.nan, 1.0),), "ascend"),
        (((math.nan,),), "finite"),
        (((math.inf,),), "finite"),
    ],
)
def test_bad_edges(edges: tuple[tuple[float, ...], ...], words: str) -> None:
    with pytest.raises(InputError, match=words):
        Bins(edges)


@pytest.mark.parametrize("bad", [math.inf, -math.inf, math.nan])
def test_copies_that_are_no_numbers_have_no_class(bad: float) -> None:
    copies = torch.tensor([[0.0, 1.0], [bad, 0.0]])
    with pytest.raises(InputError, match="NaN or infinite values in command"):
        Bins(((0.5,), (0.5,))).encode(copies)


def test_bad_targets() -> None:
    images, sounds = CIFAR.sample(4, random()), AUDIO.sample(4, random())
    with pytest.raises(InputError, match="kind is None; expected one of egocentric, full"):
        Bins(((0.5,),) * 5).targets(images, images)
    with pytest.raises(InputError, match="command has 5 numbers; expected 6"):
        Bins(COMPATIBLE_BINS.edges, "egocentric").targets(images, images)
    with pytest.raises(InputError, match="actions are a AudioActions; expected ImageActions"):
        COMPATIBLE_BINS.targets(sounds, sounds)
    with pytest.raises(InputError, match="expected AudioActions"):
        estimate_bins(CIFAR, "audio", random(), 10)
    with pytest.raises(InputError, match="command has 2 numbers; expected 6"):
        COMPATIBLE_BINS.encode(torch.rand(10, 2))
    with pytest.raises(InputError, match="pairs is 0"):
        estimate_bins(CIFAR, "full", random(), 0)
