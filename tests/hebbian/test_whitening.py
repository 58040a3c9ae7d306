"""Whitening of patches, against scikit-learn's principal components and a loop over patches."""

import re

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

import plastorch
from plastorch.engine.errors import InputError
from plastorch.hebbian.whitening import PatchWhitening, triangular_whitening, whitening


def correlated(count: int, size: int, seed: int = 0) -> torch.Tensor:
    random = torch.Generator().manual_seed(seed)
    mixing = torch.randn(size, size, generator=random, dtype=torch.float64)
    return torch.randn(count, size, generator=random, dtype=torch.float64) @ mixing + 3


def digits() -> torch.Tensor:
    """Returns small real digits [1797, 1, 8, 8] in [0, 1]."""
    return torch.from_numpy(load_digits().images).float().unsqueeze(1) / 16


def test_whitened_patches_have_the_covariance_of_principal_components() -> None:
    patches = correlated(500, 7)
    mean, matrix = whitening(patches, regularization=1e-9)
    components = PCA(whiten=True).fit(patches.numpy())
    rotated = torch.from_numpy(components.transform(patches.numpy()) @ components.components_)
    torch.testing.assert_close((patches - mean) @ matrix, rotated, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 6), st.floats(0.01, 1), st.floats(0.1, 100), st.integers(0, 99))
def test_matrix_is_symmetric_and_scales_inversely(
    size: int, regularization: float, scale: float, seed: int
) -> None:
    patches = correlated(30, size, seed)
    mean, matrix = whitening(patches, regularization)
    torch.testing.assert_close(matrix, matrix.mT)
    scaled_mean, scaled = whitening(scale * patches, regularization)
    torch.testing.assert_close(scaled_mean, scale * mean)
    torch.testing.assert_close(scaled, matrix / scale)


@given(st.integers(1, 6), st.floats(0.01, 1), st.integers(0, 99))
def test_triangular_whitening_is_a_rotation_away(
    size: int, regularization: float, seed: int
) -> None:
    patches = correlated(30, size, seed)
    mean, matrix = whitening(patches, regularization)
    same_mean, root = triangular_whitening(patches, regularization)
    torch.testing.assert_close(same_mean, mean)
    assert torch.equal(root, root.tril())
    rotation = torch.linalg.inv(root) @ torch.linalg.inv(matrix)
    unit = torch.eye(size, dtype=torch.float64)
    torch.testing.assert_close(rotation @ rotation.mT, unit, rtol=0, atol=1e-9)


def test_fewer_patches_than_pixels_are_whitened_in_the_directions_that_they_span() -> None:
    patches = correlated(5, 20)
    mean, matrix = whitening(patches, regularization=1e-9)
    white = (patches - mean) @ matrix
    spread = torch.linalg.eigvalsh(torch.cov(white.T))
    torch.testing.assert_close(spread[-4:], torch.ones(4, dtype=torch.float64), rtol=1e-3, atol=0)
    assert spread[:-4].abs().max() < 1e-6


@pytest.mark.parametrize("unit_length", [True, False])
@pytest.mark.parametrize("padding", [0, 2])
def test_convolution_whitens_each_patch(unit_length: bool, padding: int) -> None:
    random = torch.Generator().manual_seed(3)
    images = F.avg_pool2d(torch.rand(12, 2, 18, 18, generator=random), 3, 1)
    module = PatchWhitening(2, 4, padding, unit_length=unit_length).double()
    module.fit(images.double(), patches=4000, generator=random)
    padded = F.pad(images.double(), (padding,) * 4, mode="reflect")
    answer = module(images.double())
    matrix = module.weight.flatten(1)
    mean = -torch.linalg.solve(matrix, module.bias)
    for image in range(2):
        for row in range(answer.shape[2]):
            for column in range(answer.shape[3]):
                patch = padded[image, :, row : row + 4, column : column + 4].flatten()
                white = matrix @ (patch - mean)
                expected = white / white.norm() if unit_length else white
                torch.testing.assert_close(answer[image, :, row, column], expected)


def test_patches_of_images_are_white() -> None:
    images = digits()[:300].double()
    random = torch.Generator().manual_seed(0)
    module = PatchWhitening(images.shape[1], 3, unit_length=False).double()
    module.fit(images, regularization=1e-3, generator=random)
    rows = module(images).permute(0, 2, 3, 1).flatten(0, 2)
    assert (torch.cov(rows.T) - torch.eye(9)).abs().max() < 0.1
    assert rows.mean(dim=0).abs().max() < 0.05


def test_patch_without_contrast_stays_short() -> None:
    images = torch.rand(10, 1, 8, 8, generator=torch.Generator().manual_seed(1))
    module = PatchWhitening(1, 3).fit(images, generator=torch.Generator().manual_seed(2))
    mean = -torch.linalg.solve(module.weight.flatten(1), module.bias)
    flat = module(mean.view(1, 1, 3, 3))
    assert flat.isfinite().all() and flat.norm() < 0.1


def test_same_generator_same_whitening() -> None:
    images = torch.rand(10, 1, 8, 8)
    one, other = (
        PatchWhitening(1, 3).fit(images, patches=100, generator=torch.Generator().manual_seed(4))
        for _ in range(2)
    )
    assert torch.equal(one.weight, other.weight)
    assert not list(one.parameters())
    assert set(one.state_dict()) == {"weight", "bias", "length"}


def test_plastic_layer_behind_it_settles() -> None:
    random = torch.Generator().manual_seed(0)
    images = digits()[:400]
    whiten = PatchWhitening(1, 5).fit(images, generator=random)
    layer = plastorch.SoftHebbConv2d(
        25, 16, 1, competition="soft", inverse_temperature=10, generator=random
    )
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.05)
    for batch in 5 * images.split(10):
        plastorch.learn(torch.nn.Sequential(whiten, layer), batch)
        optimizer.step()
    assert (layer.radius() - 1).abs().max() < 0.1


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: PatchWhitening(0, 3), "in_channels is 0; expected"),
        (lambda: PatchWhitening(1, 3, -1), "padding is -1; expected 0 or more"),
        (lambda: PatchWhitening(1, 3)(torch.rand(2, 3, 8, 8)), "expected (B, 1, H, W)"),
        (lambda: PatchWhitening(1, 9)(torch.rand(2, 1, 8, 8)), "sides of at least 9"),
        (lambda: PatchWhitening(1, 3).fit(torch.ones(2, 1, 8, 8)), "all the same"),
        (lambda: PatchWhitening(1, 3).fit(torch.rand(0, 1, 8, 8)), "images is 0"),
        (lambda: PatchWhitening(1, 3).fit(torch.rand(2, 1, 8, 8), patches=0), "patches is 0"),
        (lambda: whitening(torch.rand(1, 4)), "patches are 1; expected at least 2"),
        (lambda: whitening(torch.rand(9, 4), 0.0), "regularization is 0.0"),
        (
            lambda: triangular_whitening(torch.tensor([[-1.0], [0.0], [1.0]]).repeat(1, 2), 1e-20),
            "regularization is 1e-20",
        ),
        (lambda: whitening(torch.full((9, 4), torch.nan)), "patches"),
    ],
)
def test_bad_input_is_named(call: object, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        call()  # type: ignore[operator]
