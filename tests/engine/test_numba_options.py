from math import inf, nan
from typing import Any

import numpy as np
import pytest
import torch

from plastorch.engine.device import REAL
from plastorch.engine.errors import InputError
from plastorch.engine.numba_options import check_arrays, check_constants, copy_part

F32, I64 = torch.float32, torch.int64


@pytest.mark.parametrize(
    "spec, message",
    [
        ((torch.zeros(1, 5), (1, 7), F32), r"x is \[1, 5\]; expected \[1, 7\]"),
        ((torch.zeros(1, 5), (5,), F32), r"x is \[1, 5\]; expected \[5\]"),
        ((torch.zeros(1, 5), (None, 7), F32), r"x is \[1, 5\]; expected \[any, 7\]"),
        ((torch.zeros(2), (2,), torch.float64), "x is torch.float32; expected torch.float64"),
        ((torch.zeros(2, device="meta"), (2,), F32), "x is on meta; expected cpu"),
        ((torch.tensor([1.0, nan]), (2,), F32), "x holds NaN; expected finite values"),
        ((torch.tensor([-inf, inf]), (2,), F32), "x holds -inf; expected finite values"),
        ((torch.tensor([0.0, inf]), (2,), F32, 0, inf), "x holds inf; expected finite values"),
        ((torch.tensor([nan, 0.0]), (2,), F32, 0, 1), "x holds NaN; expected finite values"),
        ((torch.tensor([-1.0, 2.0]), (2,), F32, 0, inf), "from -1.0 to 2.0; expected 0 or more"),
        ((torch.tensor([0, 9]), (2,), I64, 0, 8), "x goes from 0 to 9; expected 0 to 8"),
        ((np.zeros(2), (2,), np.float32), "x is float64; expected"),
        ((np.array([0, nan]), (2,), np.float64), "x holds NaN; expected finite values"),
        ((np.array([-1, 9]), (2,), np.int64, 0, 8), "x goes from -1 to 9; expected 0 to 8"),
        (
            (torch.zeros(2).half(), (2,), REAL),
            r"x is .*16; expected torch.float32 or torch.float64",
        ),
    ],
)
def test_what_kernels_do_not_take(spec: tuple[Any, ...], message: str) -> None:
    with pytest.raises(InputError, match=message):
        check_arrays(x=spec)


def test_what_kernels_take() -> None:
    check_arrays(
        large=(torch.full((9,), 3e38), (9,), F32),  # whose sum is infinite
        turned=(torch.zeros(2, 3, 4).mT, (2, 4, 3), F32, 0, 1),
        learned=(torch.zeros(2, requires_grad=True), (None,), F32),
        empty=(torch.zeros(0), (0,), F32, 1, 2),
        none=(np.zeros(0), (0,), np.float64, 1, 2),
        bits=(np.frombuffer(b"text", np.uint8), (4,), np.uint8),  # read-only
    )


@pytest.mark.parametrize("constant", [1e300, -1e300, inf, nan])
def test_constants_that_a_type_does_not_have(constant: float) -> None:
    with pytest.raises(InputError, match=f"rest is {constant}".replace("+", r"\+")):
        check_constants(F32, threshold=1.0, rest=constant)
    check_constants(torch.float64, rest=1e300)


def test_what_matrices_have_in_common_is_copied() -> None:
    source, target = np.arange(12.0).reshape(3, 4), np.full((2, 5), -1.0)
    copy_part(source, target)
    assert target.tolist() == [[0, 1, 2, 3, -1], [4, 5, 6, 7, -1]]
    copy_part(target, source)
    assert source.tolist() == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9, 10, 11]]
