"""Settings that the experiments with efference copies share.

Paper: Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Literal, get_args

import torch

from plastorch.efference import (
    BYOL,
    FACTORS,
    Kind,
    Method,
    ReLIC,
    SimCLR,
    Training,
    Weights,
)
from plastorch.efference.encoders import Encoder, Stem, resnet, small_resnet
from plastorch.efference.method import Places
from plastorch.efference.optim import Optimizer
from plastorch.efference.places import OUTPUT, shares
from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError, check_names, check_one_of
from plastorch.experiments.preset_defaults import (
    Count,
    Positive,
    Range,
    Rate,
    Repeats,
    Settings,
    Share,
    Size,
    Weight,
)
from plastorch.experiments.stec.arms import METHODS, RIVALS, SWEPT, Arm, Role

PROBE_RATE = 1.0
"""Learning rate of the linear probe beside a method, which gets only a small share of the updates
of a probe that is trained afterwards."""
LEAST_SEEDS = 3
"""Minimum number of seeds for a claim."""
FREE = (
    *("sweep", "methods", "roles", "shuffled"),
    *("efference_at", "efference_weights", "manipulation", *RIVALS),
)
"""Settings that don't decide whether claims are judged."""
RESNET_WIDTH = 64
"""Channels of a ResNet's first stage."""


Published = Mapping[str, float]
"""Test accuracies in the paper by role, baseline and stec."""
WarmUp = Annotated[float, Range(0, 10**9)]
Crop = Annotated[float, Range(0, 1, above=True)]
"""Minimum size of a crop, as a share."""
Jitter = Annotated[float, Range(0, 1.25, below=True)]


@dataclass(frozen=True)
class StecConfig(Settings):
    """Settings that the experiments with efference copies share.

    Args:
        methods: simclr, byol or relic.
        roles: how each method learns: baseline is without efference copies, stec with them;
            augself, equimod and essl have the heads of other papers on the same encoder and views.
        shuffled: methods that also learn from efference copies of other pairs, as a control.
        seeds: number of paired trainings of all arms in a run.
        copy: what the inverse model predicts: "egocentric" is crop and flip, "full" all transforms
            of a view, "compatible" crop and flip as in the authors' program.
        encoder: network that learns; small is a ResNet that can be trained on a CPU.
        width: channels of the small encoder's first stage; a ResNet has 64.
        epochs: number of passes over the images in pre-training.
        batch_size: images per update, each in two views.
        optimizer: optimizer; lars needs lightly (pip install 'plastorch[ssl]').
        learning_rate: learning rate per 256 images of a batch; it falls to 0 along half a cosine.
        weight_decay: weight decay.
        warm_up: number of epochs in which the learning rate rises.
        discrimination: weight of the method's own loss, λ_D.
        manipulation: weight of the inverse model's loss, λ_M.
        factor_weights: weights of the inverse model's factors in its loss; a factor of weight 0 is
            not learned. All equal if empty.
        efference_at: blocks of the encoder that an inverse model reads, such as layer3; output
            means the encoder's features.
        efference_weights: weights of those blocks in the loss. All equal if empty.
        augself: weight of the loss of AugSelf's head.
        equimod: weight of the loss of EquiMod's head.
        essl: weight of the loss of E-SSL's head.
        temperature: temperature of SimCLR and ReLIC.
        tau: share of their parameters that the target networks of BYOL and ReLIC keep per update,
            at first.
        hidden: hidden units of the projections.
        projected: outputs of the projections of SimCLR and ReLIC.
        bfloat16: whether networks compute in bfloat16; slow on CPUs that don't support it.
        transfer: whether encoders are also tested on locating objects.
        validation: test on held-out data, for choosing settings: a tenth of the training images,
            or the validation words.
        sweep: train SimCLR with a range of λ_M instead of methods and roles, and test on held-out
            data.
        preset: "paper" takes the paper's value of each setting that isn't given; for GPUs.
    """

    copies: ClassVar[tuple[Kind, ...]] = ("egocentric", "full", "compatible")
    """Kinds of efference copies for this data."""
    numbers: ClassVar[Mapping[str, Kind]] = {"augself": "differences", "equimod": "full"}
    """Kinds of efference copies that other heads learn as numbers."""
    paper_hidden: ClassVar[Mapping[str, int]] = {"resnet18": 512, "resnet50": 2048}
    """Hidden units of the paper's projections, by encoder."""
    methods: tuple[str, ...] = tuple(METHODS)
    roles: tuple[str, ...] = ("baseline", "stec")
    shuffled: tuple[str, ...] = tuple(METHODS)
    seeds: Repeats = 5
    copy: Kind = "egocentric"
    encoder: Literal["small", "resnet18", "resnet50"] = "small"
    width: Size = 32
    epochs: Count = 9
    batch_size: Size = 256
    optimizer: Optimizer = "sgd"
    learning_rate: Rate = 0.3
    weight_decay: Share = 1e-4
    warm_up: WarmUp = 0.5
    discrimination: Weight = 2.0
    manipulation: Positive = 1.0
    factor_weights: tuple[Weight, ...] = ()
    efference_at: tuple[str, ...] = (OUTPUT,)
    efference_weights: tuple[Weight, ...] = ()
    augself: Positive = 2.0
    equimod: Positive = 2.0
    essl: Positive = 0.8
    temperature: Positive = 0.5
    tau: Share = 0.99
    hidden: Size = 512
    projected: Size = 64
    bfloat16: bool = True
    transfer: bool = True
    validation: bool = False
    sweep: bool = False
    preset: Literal["none", "paper"] = "none"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_names("methods", self.methods, METHODS)
        check_names("roles", self.roles, ("baseline", "stec", *RIVALS))
        if self.shuffled:
            check_names("shuffled", self.shuffled, METHODS)
        object.__setattr__(
            self, "shuffled", tuple(name for name in self.shuffled if name in self.methods)
        )
        check_one_of(self.copies, copy=self.copy)
        if self.encoder != "small":
            if self.width not in (type(self).width, RESNET_WIDTH):
                raise InputError(
                    f"width is {self.width}; expected {RESNET_WIDTH}, the width of {self.encoder}"
                )
            object.__setattr__(self, "width", RESNET_WIDTH)
        if not 0 <= self.warm_up <= self.epochs:
            raise InputError(f"warm_up is {self.warm_up}; expected 0 to {self.epochs}, the epochs")
        self.training(self.batch_size, 1)
        self._check_factor_weights()
        self._check_places()
        self._check_networks()

    @property
    def held_out(self) -> bool:
        """Whether encoders are tested on held-out training data instead of test data."""
        return self.validation or self.sweep

    def preset_settings(self) -> Mapping[str, Any]:
        """Returns the paper's settings if that preset is chosen."""
        if self.preset == "none":
            return {}
        paper = self.paper_settings()
        if not paper:
            raise InputError("preset is 'paper'; expected none: the paper gives no settings")
        encoder = self.encoder if self.given("encoder") else paper.get("encoder", self.encoder)
        return {**paper, "hidden": self.paper_hidden.get(encoder, self.hidden)}

    def paper_settings(self) -> Mapping[str, Any]:
        """Returns the paper's settings by name, where they are known."""
        return {}

    def arms(self) -> list[Arm]:
        """Returns all trainings, seed by seed."""
        found: list[Arm] = []
        for seed in range(self.seeds):
            if self.sweep:
                found += [Arm("simclr", "swept", weight, seed) for weight in SWEPT]
                continue
            for method in self.methods:
                roles = (role for role in get_args(Role) if role in self.roles)
                found += [Arm(method, role, self.weight(role), seed) for role in roles]
                if method in self.shuffled:
                    found.append(Arm(method, "shuffled", self.manipulation, seed))
        return found

    def weight(self, role: Role) -> float:
        """Returns λ_M of the arms of a role."""
        if role in RIVALS:
            return float(getattr(self, role))
        return 0.0 if role == "baseline" else self.manipulation

    @property
    def places(self) -> Places:
        """Blocks that an inverse model reads, with weights."""
        weights = self.efference_weights or (1.0,) * len(self.efference_at)
        return dict(zip(self.efference_at, weights, strict=True))

    def training(self, sources: int, epochs: int, shuffled: bool = False) -> Training:
        """Returns the training of a method for this many sources and epochs."""
        size = min(self.batch_size, sources)
        updates = sources // max(1, size)
        return Training(
            epochs * updates,
            size,
            updates,
            self.optimizer,
            self.learning_rate,
            weight_decay=self.weight_decay,
            warm_up=round(min(self.warm_up, epochs) * updates),
            probe_rate=PROBE_RATE,
            bfloat16=self.bfloat16,
            shuffled=shuffled,
            reverse=self.copy != "compatible",  # the authors' program learns one direction
        )

    def new_encoder(self, stem: Stem, channels: int = 3, stride: int = 2) -> Encoder:
        """Returns a new encoder; the stem is for a ResNet, the stride for the small one."""
        if self.encoder == "small":
            return small_resnet(self.width, channels, stride)
        return resnet(18 if self.encoder == "resnet18" else 50, stem, channels)

    def method(self, arm: Arm, encoder: Encoder, sizes: Sequence[int]) -> Method:
        """Returns an arm's method; ``sizes`` counts classes of its head's factors."""
        rival = RIVALS.get(arm.role)
        factors = () if rival else self.factor_weights
        weights = Weights(self.discrimination, arm.weight, factors=factors)
        given = (encoder, encoder.features, sizes, weights)
        more: dict[str, Any] = {"hidden": self.hidden}
        more |= {"efference": rival[1]} if rival else {"efference_at": self.places}
        if arm.method == "byol":
            return BYOL(*given, **more, tau=self.tau)
        more |= {"out": self.projected, "temperature": self.temperature}
        if arm.method == "relic":
            return ReLIC(*given, **more, tau=self.tau)
        return SimCLR(*given, **more)

    @property
    def ordinary(self) -> bool:
        """Whether all settings that matter to claims are the defaults, or as good.

        A method's claims don't depend on other methods, and a sweep's count seeds themselves.
        Weights and places of heads are chosen on held-out data, and more epochs are no advantage.
        The paper's settings are as good, with any of its data sets.
        """
        names = (*FREE, "seeds", *(("preset", "dataset") if self.preset == "paper" else ()))
        default = type(self)(**{name: getattr(self, name) for name in names})
        enough = self.sweep or self.seeds >= LEAST_SEEDS
        return enough and self == replace(default, epochs=max(self.epochs, default.epochs))

    @property
    def published(self) -> Mapping[str, Published]:
        """Test accuracies in the paper, by method, if it has some with these settings."""
        return {}

    def _check_factor_weights(self) -> None:
        weights = self.factor_weights
        names = FACTORS[self.copy]
        if weights and (len(weights) != len(names) or not any(weights)):
            raise InputError(
                f"factor_weights are {weights}; expected {len(names)}, not all 0: of "
                f"{', '.join(names)}"
            )
        Weights(self.discrimination, self.manipulation, factors=weights)

    def _check_places(self) -> None:
        if len(set(self.efference_at)) != len(self.efference_at) or not self.efference_at:
            raise InputError(
                f"efference_at is {self.efference_at}; expected one block or more, each once"
            )
        if len(self.efference_weights) not in (0, len(self.efference_at)):
            raise InputError(
                f"efference_weights are {self.efference_weights}; expected "
                f"{len(self.efference_at)}, one for each block"
            )
        if self.efference_at != (OUTPUT,):
            with torch.device("meta"):
                shares(self.new_encoder("cifar"), self.places)

    def _check_networks(self) -> None:
        """Checks memory for all networks: they are made before the first one learns."""
        encoder, features = {
            "small": (298 * self.width**2, 4 * self.width),
            "resnet18": (11_000_000, 512),
            "resnet50": (23_000_000, 2048),
        }[self.encoder]
        weights = encoder + self.hidden * (features + self.projected)
        names = ("seeds", "width", "hidden", "projected")
        sizes = {name: getattr(self, name) for name in names}
        check_memory(4 * len(self.arms()) * weights, **sizes)

    def check_batch(self, values: int) -> None:
        """Raises InputError if a batch, two views of this many values per source, doesn't fit."""
        check_memory(2 * 4 * values * self.batch_size, batch_size=self.batch_size)
