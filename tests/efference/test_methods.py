"""SimCLR, BYOL and ReLIC: the plain methods at weight 0, and what efference copies add."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from plastorch.efference.encoders import small_resnet
from plastorch.efference.heads import projection
from plastorch.efference.losses import byol, manipulation, nt_xent, relic
from plastorch.efference.method import BASELINE, Method, Weights
from plastorch.efference.methods import BYOL, ReLIC, SimCLR
from plastorch.engine.errors import InputError

METHODS: list[Any] = [SimCLR, BYOL, ReLIC]
SIZES = (3, 2)


def views(number: int, rows: int = 6) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(number)
    a, b = torch.rand(2, rows, 3, 8, 8, generator=random)
    return a, b


def actions(number: int, rows: int = 6) -> Tensor:
    random = torch.Generator().manual_seed(number)
    return torch.stack([torch.randint(-1, n, (rows,), generator=random) for n in SIZES], dim=1)


def made(kind: Any, weights: Weights = BASELINE, sizes: Any = SIZES, **settings: Any) -> Any:
    torch.manual_seed(0)
    return kind(small_resnet(4), 16, sizes, weights, hidden=10, out=5, **settings)


Loss = Callable[[Tensor, Tensor], Tensor]


def plain(name: str) -> tuple[nn.ModuleDict, Loss, Callable[[float], None]]:
    """The method by itself: its networks, its loss, and what follows an update."""
    torch.manual_seed(0)
    encoder = small_resnet(4)
    head = projection(16, 10, 5, last_norm=name != "BYOL")
    networks = nn.ModuleDict({"encoder": encoder, "projection": head})
    if name == "SimCLR":
        return (
            networks,
            lambda a, b: nt_xent(*head(encoder(torch.cat([a, b]))).chunk(2), 0.5),
            lambda progress: None,
        )
    torch_state = torch.get_rng_state()
    target = nn.Sequential(small_resnet(4), projection(16, 10, 5, last_norm=name != "BYOL"))
    torch.set_rng_state(torch_state)
    target.load_state_dict(nn.Sequential(encoder, head).state_dict())
    if name == "BYOL":
        networks["predictor"] = projection(5, 10, 5, last_norm=False)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        z = head(encoder(torch.cat([a, b])))
        with torch.no_grad():
            t_a, t_b = target(torch.cat([a, b])).chunk(2)
        if name == "BYOL":
            return byol(networks["predictor"](z), torch.cat([t_b, t_a]))
        return relic(*z.chunk(2), t_a, t_b)

    def follow(progress: float) -> None:
        share = 0.004 * (1 + math.cos(math.pi * progress)) / 2
        with torch.no_grad():
            for slow, fast in zip(
                target.parameters(), nn.Sequential(encoder, head).parameters(), strict=True
            ):
                slow.lerp_(fast, share)

    return networks, loss, follow


@pytest.mark.parametrize("kind", METHODS)
def test_with_weight_0_it_is_the_plain_method_bit_for_bit(kind: Any) -> None:
    """Losses, weights after each update, and random numbers."""
    networks, loss, follow = plain(kind.__name__)
    after = torch.rand(3)
    method = made(kind, Weights(manipulation=0.0))
    assert torch.equal(torch.rand(3), after) and method.inverse is None
    reference = torch.optim.SGD(
        [p for p in networks.parameters() if p.requires_grad], 0.1, momentum=0.9
    )
    optimizer = torch.optim.SGD(
        [p for p in method.parameters() if p.requires_grad], 0.1, momentum=0.9
    )
    for number in range(5):
        expected, found = loss(*views(number)), method(*views(number), actions(number))
        assert torch.equal(found.total, expected) and torch.equal(found.discrimination, expected)
        for of, value in ((optimizer, found.total), (reference, expected)):
            of.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            of.step()
        method.after_step((number + 1) / 5)
        follow((number + 1) / 5)
        for name, network in networks.items():
            state = getattr(method, name).state_dict()
            for key, value in network.state_dict().items():
                assert torch.equal(value, state[key])


@pytest.mark.parametrize("kind", METHODS)
def test_efference_copies_leave_the_start_of_the_rest_as_it_is(kind: Any) -> None:
    bare, whole = made(kind, sizes=()), made(kind, Weights(manipulation=1.0))
    state = whole.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in bare.state_dict().items())
    one, other = bare(*views(0)), whole(*views(0), actions(0))
    assert torch.equal(one.discrimination, other.discrimination)


def test_weight_0_trains_as_lightlys_simclr() -> None:
    """Its head, loss and LARS; equal up to the order of sums."""
    heads = pytest.importorskip("lightly.models.modules.heads")
    from lightly.loss import NTXentLoss  # type: ignore[import-untyped]
    from lightly.utils.lars import LARS  # type: ignore[import-untyped]

    method = made(SimCLR)
    encoder, head = small_resnet(4), heads.SimCLRProjectionHead(16, 10, 5)
    encoder.load_state_dict(method.encoder.state_dict())
    values = method.projection.state_dict().items()
    head.load_state_dict({f"layers.{name}": value for name, value in values})
    head.layers[-1].bias.requires_grad_(False)
    criterion = NTXentLoss(temperature=0.5)
    theirs = LARS([*encoder.parameters(), *head.parameters()], 0.1, 0.9, weight_decay=1e-6)
    ours = LARS(list(method.parameters()), 0.1, 0.9, weight_decay=1e-6)
    for number in range(5):
        a, b = views(number)
        z_a, z_b = head(encoder(torch.cat([a, b]))).chunk(2)
        expected, found = criterion(z_a, z_b), method(a, b).total
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
        for of, value in ((theirs, expected), (ours, found)):
            of.zero_grad()
            value.backward()
            of.step()
    for one, other in zip(method.encoder.parameters(), encoder.parameters(), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kind", METHODS)
@pytest.mark.parametrize("both", [True, False])
def test_the_inverse_model_reads_features_of_both_views(kind: Any, both: bool) -> None:
    weights = Weights(discrimination=2.0, manipulation=0.3, factors=(1.0, 3.0))
    method, seen = made(kind, weights), []
    method.inverse.register_forward_hook(lambda _, given, logits: seen.append((given, logits)))
    encoded: list[Tensor] = []
    method.encoder.register_forward_hook(lambda _, given, h: encoded.append(h))
    forth, back = actions(1), actions(2)
    losses = method(*views(0), forth, back if both else None)
    (h,), ((given, logits),) = encoded, seen
    h_a, h_b = h.chunk(2)
    assert torch.equal(torch.cat([h_a, h_b] if both else [h_a]), given[0])
    assert torch.equal(torch.cat([h_b, h_a] if both else [h_b]), given[1])
    targets = torch.cat([forth, back]) if both else forth
    expected, each = manipulation(logits, targets, torch.tensor([1.0, 3.0]))
    assert torch.equal(losses.manipulation, expected) and torch.equal(losses.per_factor, each)
    torch.testing.assert_close(losses.total, 2 * losses.discrimination + 0.3 * expected)
    right = [
        sum(int(row.argmax()) == target for row, target in zip(of, column, strict=True))
        for of, column in zip(logits, targets.T.tolist(), strict=True)
    ]
    assert losses.right.tolist() == right
    assert losses.valid.tolist() == (targets >= 0).sum(dim=0).tolist()
    assert torch.equal(losses.features, h) and not losses.features.requires_grad


def test_its_gradient_reaches_the_encoder_and_no_projection() -> None:
    method = made(SimCLR, Weights(discrimination=0.0, manipulation=1.0))
    method(*views(0), actions(0)).total.backward()
    assert all(bool(p.grad.any()) for p in method.encoder.parameters() if p.dim() > 1)
    assert not any(p.grad.any() for p in method.projection.parameters() if p.grad is not None)


@pytest.mark.parametrize("kind", METHODS)
def test_without_a_valid_target_the_method_alone_learns(kind: Any) -> None:
    method = made(kind, Weights(manipulation=1.0))
    losses = method(*views(0), torch.full((6, 2), -1))
    assert torch.equal(losses.total, losses.discrimination)
    losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)
    assert not any(p.grad.any() for p in method.inverse.parameters())


@pytest.mark.parametrize("kind", [BYOL, ReLIC])
def test_the_target_follows_by_less_and_less(kind: Any) -> None:
    method = made(kind, tau=0.9)
    assert not any(p.requires_grad for p in method.target.parameters())
    slow = [p.clone() for p in method.target.parameters()]
    fast = [*method.encoder.parameters(), *method.projection.parameters()]
    with torch.no_grad():
        for p in fast:
            p.add_(torch.randn_like(p))
    for progress, tau in ((0.0, 0.9), (0.5, 0.95), (1.0, 1.0)):
        method.after_step(progress)
        slow = [tau * one + (1 - tau) * other for one, other in zip(slow, fast, strict=True)]
        for one, other in zip(method.target.parameters(), slow, strict=True):
            torch.testing.assert_close(one, other)


@pytest.mark.parametrize("kind", METHODS)
def test_neither_the_order_of_sources_nor_that_of_views_matters(kind: Any) -> None:
    method = made(kind, Weights(manipulation=1.0), **({"alpha": 0.0} if kind is ReLIC else {}))
    (a, b), forth, back = views(0), actions(1), actions(2)
    expected = method(a, b, forth, back).total
    moved = (of[[3, 5, 0, 1, 4, 2]] for of in (a, b, forth, back))
    torch.testing.assert_close(method(*moved).total, expected)
    torch.testing.assert_close(method(b, a, back, forth).total, expected)


@pytest.mark.parametrize("kind", METHODS)
def test_bfloat16_stays_close(kind: Any) -> None:
    method = made(kind, Weights(manipulation=1.0))
    with torch.no_grad():
        expected = method(*views(0), actions(1)).total
    with torch.autocast("cpu", torch.bfloat16):
        losses = method(*views(0), actions(1))
    assert losses.total.dtype == torch.float32
    torch.testing.assert_close(losses.total, expected, rtol=0.1, atol=0.0)
    losses.total.backward()
    assert all(torch.isfinite(p.grad).all() for p in method.parameters() if p.grad is not None)


def test_any_encoder_will_do() -> None:
    method = SimCLR(nn.Sequential(nn.Flatten(), nn.Linear(192, 7)), 7, SIZES, Weights(1.0, 1.0))
    assert method(*views(0), actions(0)).features.shape == (12, 7)


def test_a_method_says_what_it_discriminates() -> None:
    with pytest.raises(NotImplementedError):
        Method(nn.Flatten(), Weights())(*views(0))


WITH_ACTIONS = Weights(manipulation=1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda a, b, g: made(SimCLR)(a[:1], b[:1]), "expected the same, with two sources"),
        (lambda a, b, g: made(BYOL)(a[:0], b[:0]), "two sources or more"),
        (lambda a, b, g: made(ReLIC)(a, b[:4]), r"shapes \(6, 3, 8, 8\) and \(4, 3, 8, 8\)"),
        (lambda a, b, g: made(SimCLR)(a, b[..., 1:]), "expected the same"),
        (lambda a, b, g: made(SimCLR, WITH_ACTIONS)(a, b), "targets are missing"),
        (lambda a, b, g: made(SimCLR, WITH_ACTIONS)(a, b, g[:5]), "targets are 5 rows; expected 6"),
        (lambda a, b, g: made(SimCLR, WITH_ACTIONS)(a, b, g[:, :1]), r"\(6, 1\) and type"),
        (lambda a, b, g: made(SimCLR, WITH_ACTIONS)(a, b, g, g[:1]), r"shape \(1, 2\); expected"),
        (lambda a, b, g: made(SimCLR, WITH_ACTIONS)(a, b, g + 5), "expected -1 to"),
        (lambda a, b, g: SimCLR(nn.Identity(), 3)(a, b), r"features have shape \(12, 3, 8, 8\)"),
        (lambda a, b, g: made(SimCLR, WITH_ACTIONS, ()), r"sizes is \(\)"),
        (
            lambda a, b, g: made(SimCLR, Weights(factors=(1.0,))),
            "factors has 1 weights; expected 2",
        ),
        (lambda a, b, g: made(SimCLR, temperature=0.0), "temperature is 0.0"),
        (lambda a, b, g: made(ReLIC, temperature=-1.0), "temperature is -1.0"),
        (lambda a, b, g: made(ReLIC, alpha=-1.0), "alpha is -1.0"),
        (lambda a, b, g: made(BYOL, tau=1.5), "tau is 1.5; expected 0 to 1"),
        (lambda a, b, g: Weights(manipulation=-0.1), "manipulation weight is -0.1; expected 0 or"),
        (lambda a, b, g: Weights(discrimination=-1.0), "discrimination weight is -1.0"),
        (lambda a, b, g: Weights(math.nan), "discrimination weight is nan"),
        (lambda a, b, g: Weights(discrimination=0.0), "both weights are 0"),
        (lambda a, b, g: Weights(factors=(1.0, -1.0)), r"factors is \(1.0, -1.0\)"),
        (
            lambda a, b, g: Weights(1.0, 1.0, (0.0, 0.0)),
            "expected weights that are not all",
        ),
    ],
)
def test_bad_input(call: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        call(*views(0), actions(0))


def test_views_go_through_the_encoder_as_one_batch() -> None:
    """Statistics of each view apart would tell which view is which."""
    method, (a, b) = made(SimCLR), views(0)
    found = method(a, b).features
    torch.testing.assert_close(found, made(SimCLR).encoder(torch.cat([a, b])).detach())
    apart = torch.cat([method.encoder(a), method.encoder(b)]).detach()
    assert not torch.allclose(found, apart, rtol=0.01)
