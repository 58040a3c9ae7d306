"""SoftHebb layers: like ``nn.Linear`` and ``nn.Conv2d``, with a ``learn`` beside ``forward``."""

import math
from dataclasses import dataclass
from typing import Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from plastorch.engine.errors import InputError, check_one_of, check_positive
from plastorch.hebbian.rule import (
    Competition,
    compete,
    largest,
    less_decay,
    norm_dependent_rate,
    prior_update,
    triangle,
)
from plastorch.hebbian.winograd import Patches
from plastorch.learning import PlasticLayer, Step

Distribution = Literal["normal", "positive"]


@dataclass(frozen=True)
class Rows:
    """Inputs of neurons, as rows ``pre`` [..., N, n]."""

    pre: Tensor

    def responses(self, weight: Tensor) -> Tensor:
        """Returns products [..., N, K] with weights [..., K, n]."""
        return self.pre @ weight.mT

    def sums(self, post: Tensor) -> Tensor:
        """Returns sums [..., K, n] of all rows, weighted by activities [..., N, K]."""
        return post.mT @ self.pre


class SoftHebbLayer(PlasticLayer):
    """Base of linear and convolutional SoftHebb layers; see :class:`SoftHebbConv2d`."""

    weight: nn.Parameter
    bias: nn.Parameter | None
    groups = 1
    pre_triangle = False

    def __init__(
        self,
        competition: Competition,
        inverse_temperature: float,
        rate_power: float,
        initial_radius: float,
        initial_distribution: Distribution,
    ) -> None:
        super().__init__()
        check_positive(inverse_temperature=inverse_temperature, initial_radius=initial_radius)
        if not 0 <= rate_power < math.inf:
            raise InputError(f"rate_power is {rate_power}; expected a finite number from 0")
        check_one_of(get_args(Competition), competition=competition)
        check_one_of(get_args(Distribution), initial_distribution=initial_distribution)
        self.competition: Competition = competition
        self.inverse_temperature = inverse_temperature
        self.initial_radius = initial_radius
        self.initial_distribution = initial_distribution
        self.rate_power = rate_power

    def _set_parameters(
        self, weight: Tensor, bias: bool, generator: torch.Generator | None
    ) -> None:
        self.weight = nn.Parameter(weight, requires_grad=False)
        log_prior = weight.new_empty(len(weight)) if bias else None
        self.bias = None if log_prior is None else nn.Parameter(log_prior, requires_grad=False)
        self.reset_parameters(generator)

    def reset_parameters(self, generator: torch.Generator | None = None) -> None:
        """Draws weights with an expected squared norm of ``initial_radius``²; sets a uniform prior.

        ``normal``: N(0, R²/n). ``positive``: uniform on [0, R sqrt(3/n)], for inputs that are not
        centered. Journé et al. 2023, appendix on initialization, in the form of its published code.
        """
        fan_in = self.weight[0].numel()
        with torch.no_grad():
            if self.initial_distribution == "normal":
                self.weight.normal_(0, self.initial_radius / fan_in**0.5, generator=generator)
            else:
                high = self.initial_radius * (3 / fan_in) ** 0.5
                self.weight.uniform_(0, high, generator=generator)
            if self.bias is not None:
                neurons = self.bias.numel() // self.groups
                log_prior = torch.tensor(1 / neurons, dtype=torch.float64, device="cpu").log()
                self.bias.fill_(float(log_prior) / self.inverse_temperature)

    def radius(self) -> Tensor:
        """Returns Euclidean norms r of neurons' weights [K]; 1 is the rule's equilibrium."""
        weight = at_least_float32(self.weight.detach())
        radius: Tensor = torch.linalg.vector_norm(weight, dim=tuple(range(1, weight.dim())))
        return radius

    def gradients(self, updates: dict[str, Tensor]) -> dict[str, Tensor]:
        """Returns negated changes at a learning rate of 1, from the raw sums of :meth:`learn`.

        For weights: -(|r - 1| + 1e-10)^rate_power raw / max |raw|, with Journé et al.'s
        norm-dependent rate; the raw sums are changed in place. For log-priors:
        -raw / (t max |raw|). Each group has its own maximum.
        """
        raw = updates["weight"]
        rate = norm_dependent_rate(self.radius(), self.rate_power)
        rate = rate.view(-1, *(1,) * (raw.dim() - 1))
        gradients = {"weight": raw.mul_(rate / -largest(raw, self.groups))}
        if "bias" in updates:
            raw = updates["bias"]
            gradients["bias"] = raw / (-self.inverse_temperature * largest(raw, self.groups))
        return gradients

    def post(self, output: Tensor) -> Tensor:
        """Returns the signed activations y of an output, in its shape; they gate plasticity."""
        dim = -1 if self.weight.dim() == 2 else 1
        u = output.movedim(dim, -1)
        u = u.reshape(*u.shape[:-1], self.groups, len(self.weight) // self.groups)
        y = compete(u, self.competition, self.inverse_temperature)
        return y.flatten(-2).movedim(-1, dim)

    def _step(
        self, rows: Rows | Patches, weight: Tensor, teacher: Tensor | None
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """Returns output and updates of rows [..., N, n]; ``weight`` [..., K, n]."""
        weight = at_least_float32(weight)
        u = at_least_float32(rows.responses(weight))  # half precision under autocast
        if self.pre_triangle:
            u = triangle(u, dim=-1)
        if self.bias is None:
            output, bias = u, None
        else:
            bias = self.bias.detach().to(u.dtype).view(weight.shape[:-1])
            output = u + bias.unsqueeze(-2)
        if teacher is None:
            post = compete(output, self.competition, self.inverse_temperature)
        else:
            post = teacher.to(u.dtype)
        sums = rows.sums(post).to(weight.dtype)
        updates = {"weight": less_decay(sums, u, post, weight)}
        if bias is not None:
            updates["bias"] = prior_update(post, bias, self.inverse_temperature)
        return output, updates


class SoftHebbLinear(SoftHebbLayer):
    """Linear layer that learns by SoftHebb's rule: y = softmax(t (W x + b)).

    Paper: Moraitis et al. 2022, arXiv 2107.05747. For initial weights and log-priors see
    :meth:`SoftHebbLayer.reset_parameters`.

    Args:
        in_features: number of inputs n.
        out_features: number of neurons K, which compete.
        bias: whether to learn the log-prior of each neuron.
        competition: competition rule; see :data:`plastorch.hebbian.rule.Competition`.
        inverse_temperature: inverse temperature t = 1 / T of the competition.
        rate_power: exponent q of the norm-dependent learning rate; 0 for a constant rate.
        initial_radius: R, the root of the expected squared norm of the initial weights.
        initial_distribution: "positive" for inputs in [0, 1], "normal" for centered inputs.
        generator: random generator of the initial weights; torch's global one if None.
        device: device of the parameters.
        dtype: type of the parameters.

    Raises:
        InputError: size, temperature or radius that is not positive, or a negative power.

    Example:
        >>> layer = SoftHebbLinear(784, 100)
        >>> layer(torch.rand(32, 784)).shape
        torch.Size([32, 100])
    """

    def __init__(
        self,
        in_features: int,
        out_features: int,
        *,
        bias: bool = False,
        competition: Competition = "soft",
        inverse_temperature: float = 1.0,
        rate_power: float = 0.0,
        initial_radius: float = 25.0,
        initial_distribution: Distribution = "positive",
        generator: torch.Generator | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        super().__init__(
            competition, inverse_temperature, rate_power, initial_radius, initial_distribution
        )
        check_positive(in_features=in_features, out_features=out_features)
        self.in_features, self.out_features = in_features, out_features
        weight = torch.empty(out_features, in_features, device=device, dtype=dtype)
        self._set_parameters(weight, bias, generator)

    def forward(self, x: Tensor) -> Tensor:
        """Returns W x + b, without learning.

        Args:
            x: inputs [..., in_features].

        Returns:
            Pre-activations [..., out_features].

        Raises:
            InputError: last dimension of ``x`` that is not ``in_features``.
        """
        return F.linear(self._checked(x), self.weight, self.bias)

    @torch.no_grad()
    def learn(self, x: Tensor, state: None = None, *, teacher: Tensor | None = None) -> Step:
        """Returns output and updates without changing weights; see :func:`plastorch.set_gradients`.

        Args:
            x: inputs [..., in_features], each row a sample; a vector is one.
            state: None; the layer has no state.
            teacher: activations [..., out_features] used in place of the competition's, for
                instance one-hot labels.

        Returns:
            Output and updates; the weights stay unchanged.

        Raises:
            InputError: last dimension of ``x`` that is not ``in_features``, or a teacher of another
                shape than the output.
        """
        x = self._checked(x)
        shape = (*x.shape[:-1], self.out_features)
        if teacher is not None:
            check_teacher(teacher, shape)
            teacher = teacher.reshape(-1, self.out_features)
        rows = Rows(at_least_float32(x.reshape(-1, self.in_features)))
        output, updates = self._step(rows, self.weight, teacher)
        return Step(output.view(shape).to(self.weight.dtype), None, updates)

    def _checked(self, x: Tensor) -> Tensor:
        if x.shape[-1:] != (self.in_features,):
            raise InputError(f"x has shape {tuple(x.shape)}; expected (..., {self.in_features})")
        return x.to(self.weight.dtype)

    def extra_repr(self) -> str:
        return f"{self.in_features}, {self.out_features}, competition={self.competition!r}"


class Triangle(nn.Module):
    """Triangle activation as a module: relu(u - mean over channels)^power.

    Journé et al. 2023; see :func:`plastorch.hebbian.rule.triangle`.

    Args:
        power: exponent, above 0.

    Raises:
        InputError: power that is not positive.

    Example:
        >>> Triangle(0.7)(torch.randn(2, 8, 4, 4)).shape
        torch.Size([2, 8, 4, 4])
    """

    def __init__(self, power: float = 1.0) -> None:
        super().__init__()
        check_positive(power=power)
        self.power = power

    def forward(self, u: Tensor) -> Tensor:
        """Returns activations in the shape of ``u`` [B, K, ...]."""
        return triangle(u, self.power)

    def extra_repr(self) -> str:
        return f"power={self.power}"


def check_teacher(teacher: Tensor, shape: tuple[int, ...]) -> None:
    """Raises InputError unless a teacher has the shape of the output."""
    if teacher.shape != shape:
        raise InputError(f"teacher has shape {tuple(teacher.shape)}; expected {shape}")


def at_least_float32(x: Tensor) -> Tensor:
    """Widens half precision to float32; keeps other types."""
    return x.float() if x.dtype in (torch.float16, torch.bfloat16) else x
