"""torch's modules made with weights from a generator, on a device and in a type."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from plastorch.efference import methods
from plastorch.efference.encoders import resnet, small_resnet
from plastorch.efference.heads import InverseModel
from plastorch.efference.method import Weights
from plastorch.efference.rivals import ESSL, AugSelf, EquiMod
from plastorch.engine.errors import InputError
from plastorch.engine.streams import made_with, stream
from plastorch.hebbian import SoftHebbNet, preset
from plastorch.hebbian.shallow import BackpropMlp, ShallowSoftHebb
from plastorch.rank.pictures import PictureLSTM
from plastorch.stp import baselines

LAYERS: dict[str, Callable[..., nn.Module]] = {
    **{
        name: lambda name=name, **made: getattr(baselines, name)(3, 4, **made)
        for name in (
            *("DeltaNet", "FactoredSTPN", "FastWeights", "GRU", "GatedLinearAttention", "HebbFF"),
            *("LSTM", "LinearAttention", "MLP", "ModulatedPlasticity", "RNN", "SoftmaxAttention"),
        )
    },
    "InverseModel": lambda **made: InverseModel(3, (2, 2), **made),
    "AugSelf": lambda **made: AugSelf(3, (1, 1), **made),
    "EquiMod": lambda **made: EquiMod(3, (1, 1), **made),
    "ESSL": lambda **made: ESSL(3, **made),
    **{
        name: lambda name=name, **made: getattr(methods, name)(
            nn.Flatten(), 12, (2, 2), Weights(manipulation=1.0), **made
        )
        for name in ("SimCLR", "BYOL", "ReLIC")
    },
    "resnet": lambda **made: resnet(18, width=2, **made),
    "small_resnet": lambda **made: small_resnet(width=2, **made),
    "SoftHebbNet": lambda **made: SoftHebbNet(preset("mnist", 1, "quarter"), 1, 28, 10, **made),
    "ShallowSoftHebb": lambda **made: ShallowSoftHebb(5, 6, **made),
    "BackpropMlp": lambda **made: BackpropMlp(5, 6, **made),
    "PictureLSTM": lambda **made: PictureLSTM(9, 4, **made),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers_are_made_with_a_generator_on_a_device_and_in_a_type(name: str) -> None:
    def weights(**made: Any) -> list[torch.Tensor]:
        return list(LAYERS[name](**made).state_dict().values())

    first, again = (weights(generator=stream(3)) for _ in range(2))
    other = weights(generator=stream(4))
    assert all(map(torch.equal, first, again)) and not all(map(torch.equal, first, other))
    wide = LAYERS[name](generator=stream(3), dtype=torch.float64)
    assert {of.dtype for of in wide.parameters()} == {torch.float64}
    assert all(of.is_meta for of in LAYERS[name](device="meta").parameters())


def test_a_generator_on_another_device_is_refused() -> None:
    expected = "generator is on cpu; expected cuda"
    with pytest.raises(InputError, match=expected), made_with(stream(3), "cuda"):
        pass


def test_defaults_of_torch_are_left_as_they_were() -> None:
    torch.manual_seed(5)
    expected, generator = nn.Linear(2, 3).weight, torch.Generator().manual_seed(5)
    before = torch.get_rng_state()
    with made_with(generator, dtype=torch.float64):
        made = [nn.Linear(2, 3).weight for _ in range(2)]
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_default_dtype() == torch.float32 and not torch.equal(*made)
    with made_with(torch.Generator().manual_seed(5)):
        assert torch.equal(nn.Linear(2, 3).weight, expected)
    with pytest.raises(ValueError), made_with(generator, "meta", torch.float16):
        raise ValueError
    assert torch.get_default_dtype() == torch.float32 and torch.zeros(1).is_cpu
