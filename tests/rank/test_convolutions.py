"""Causal convolutions against torch's own, and reading in parts."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from plastorch.engine.errors import InputError
from plastorch.rank import RankCoder
from plastorch.rank.committee import Committee
from plastorch.rank.convolutions import CausalConvolutions


def series(steps: int = 20) -> torch.Tensor:
    return torch.randn(steps, 3, 2, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("normalized", [True, False])
def test_activities_are_means_and_maxima_so_far(normalized: bool) -> None:
    torch.manual_seed(0)
    core, x = CausalConvolutions(2, 4, layers=3, normalized=normalized).eval(), series()
    values, layers = x.permute(1, 2, 0), []
    for place, layer in enumerate(core.convolutions):
        assert isinstance(layer, nn.Conv1d)
        padded = F.pad(values, (4 * 2**place, 0))
        new = F.conv1d(padded, layer.weight, layer.bias, dilation=2**place)
        mean, variance = new.mean(dim=1, keepdim=True), new.var(dim=1, keepdim=True, correction=0)
        new = ((new - mean) / (variance + 1e-5).sqrt() if normalized else new).relu()
        values = new + values if place else new
        layers.append(values)
    features = torch.cat(layers, dim=1)
    for step in (0, 1, 7, 19):
        part = features[:, :, : step + 1]
        expected = torch.cat([part.mean(dim=2), part.amax(dim=2)], dim=1)
        torch.testing.assert_close(core(x)[0][step], expected)


@pytest.mark.parametrize("cores", ["convolutions", "gru", "lstm"])
def test_parts_give_what_the_whole_gives(cores: str) -> None:
    """For a committee as well, of which some samples leave in between."""
    torch.manual_seed(0)
    kinds = {"gru": nn.GRU, "lstm": nn.LSTM}
    members = [
        RankCoder(
            core := (
                CausalConvolutions(2, 4, layers=3)
                if cores == "convolutions"
                else kinds[cores](2, 5)
            ),
            nn.Linear(int(core.hidden_size), 3),
        )
        for _ in range(2)
    ]
    coder, x = RankCoder(Committee(members), nn.Identity(), threshold=1.0, chunk=4).eval(), series()
    lengths = torch.tensor([3, 20, 9])
    whole, decision = coder.all_steps(x), coder(x, lengths)
    torch.testing.assert_close(decision.logits, whole[lengths - 1, torch.arange(3)])
    chances = [member.all_steps(x).softmax(dim=2) for member in members]
    mean = (chances[0] * chances[1]).sqrt()
    torch.testing.assert_close(whole.exp(), mean / mean.sum(dim=2, keepdim=True))


def test_inputs_as_wide_as_the_features_are_not_added() -> None:
    core = CausalConvolutions(4, 4, layers=2).eval()
    layer = core.convolutions[0]
    assert isinstance(layer, nn.Conv1d) and layer.bias is not None
    nn.init.zeros_(layer.weight)
    nn.init.constant_(layer.bias, -1.0)
    assert not bool(core(torch.ones(5, 1, 4))[0][:, :, :4].any())


def test_one_channel_cannot_be_normalized() -> None:
    with pytest.raises(InputError, match="channels is 1; expected 2 or more"):
        CausalConvolutions(3, 1)
