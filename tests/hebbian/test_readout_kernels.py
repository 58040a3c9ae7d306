"""Products of a layer that learns from narrow features."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from plastorch.engine.errors import InputError
from plastorch.hebbian.readout import DropoutMask
from plastorch.hebbian.readout_kernels import TILE, NarrowBatch

TYPES = [torch.float16, torch.bfloat16, torch.float8_e5m2, torch.float8_e4m3fn]


@pytest.mark.parametrize("dtype", TYPES)
def test_every_finite_number_of_a_type_is_read_exactly(dtype: torch.dtype) -> None:
    count = 256**dtype.itemsize
    codes = torch.arange(count).to(torch.uint8 if count == 256 else torch.uint16)
    features = codes.view(torch.uint8).view(dtype)
    features = features[features.float().isfinite()].view(1, -1)
    width = features.shape[1]
    batch = NarrowBatch(1, torch.zeros(width), torch.ones(width), bits=1, dropped=0)
    batch.products(
        features, DropoutMask(0, "cpu").octets(1, width, generator(0)), torch.ones(1, width)
    )
    found, expected = batch.sums(torch.ones(1, 1)), features.float()
    smallest = torch.finfo(torch.float32).smallest_normal
    expected[expected.abs() < smallest] = 0  # kernels read such numbers as zeros
    assert torch.equal(found, expected)


@pytest.mark.parametrize("threads", [1, 2])
@given(
    features=st.sampled_from([1, 127, 128, 129, TILE, 2 * TILE + 500]),
    rows=st.integers(1, 20),
    classes=st.sampled_from([1, 3, 10]),
    p=st.sampled_from([0.0, 0.5, 0.75, 0.3125]),
    seed=st.integers(0, 100),
)
@settings(max_examples=30, deadline=None)
def test_products_and_sums_equal_those_in_double_precision(
    threads: int, features: int, rows: int, classes: int, p: float, seed: int
) -> None:
    torch.manual_seed(seed)
    mask = DropoutMask(p, "cpu")
    weights, error = torch.randn(classes, features), torch.randn(20, classes)
    mean, scale = torch.randn(features), torch.rand(features) + 0.5
    batch = NarrowBatch(20, mean, scale / (1 - p), bits=mask.bits, dropped=int(p * 2**mask.bits))
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        for count in (20, rows):  # what an earlier batch left must not matter
            x = torch.randn(count, features).half()
            found = batch.products(x, mask.octets(count, features, generator(seed)), weights)
            sums = batch.sums(error[:count])
    finally:
        torch.set_num_threads(before)
    kept = mask((rows, features), generator(seed)).double()
    seen = (x.double() - mean.double()) * scale.double() * kept
    torch.testing.assert_close(found.double(), seen @ weights.double().T, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(sums.double(), error[:rows].double().T @ seen, rtol=1e-5, atol=1e-4)


def test_features_of_another_number_are_refused() -> None:
    batch = NarrowBatch(2, torch.zeros(17), torch.ones(17), bits=1, dropped=1)
    with pytest.raises(InputError, match="features has 16 values per row; expected 17"):
        batch.products(torch.ones(2, 16).half(), torch.zeros(2, 3).byte(), torch.ones(3, 17))


def generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
