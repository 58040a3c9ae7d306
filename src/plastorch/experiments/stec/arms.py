"""Arms of the experiments with efference copies: trainings that are compared."""

from typing import Literal, NamedTuple

from plastorch.efference import ESSL, AugSelf, EquiMod
from plastorch.efference.method import Head

METHODS = {"simclr": "SimCLR", "byol": "BYOL", "relic": "ReLIC"}
SWEPT = (0.0, 0.1, 0.3, 1.0, 3.0, 10.0)
"""Weights of the inverse model in a sweep."""
Role = Literal["baseline", "stec", "augself", "equimod", "essl", "shuffled", "swept"]
RIVALS: dict[str, tuple[str, Head]] = {
    "augself": ("AugSelf", AugSelf),
    "equimod": ("EquiMod", EquiMod),
    "essl": ("E-SSL", ESSL),
}
"""Titles and heads of other ways to learn from actions."""


class Arm(NamedTuple):
    """One training of a comparison."""

    method: str
    role: Role
    """Without efference copies, with them, with another head, with copies of other pairs, or part
    of a sweep."""
    weight: float
    """λ_M."""
    seed: int
    """Random seed; arms of one seed start alike and see the same images in the same views."""

    @property
    def kind(self) -> str:
        """Returns the arm's name without its seed; a swept weight is in thousandths."""
        of = f"{1000 * self.weight:.0f}" if self.role == "swept" else ""
        return f"{self.method}-{self.role}{of}"

    @property
    def name(self) -> str:
        """Returns the name of the arm's phase in a run."""
        return f"{self.kind}-{self.seed}"
