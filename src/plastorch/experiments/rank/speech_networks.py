"""Networks that are compared on spoken words, and their settings."""

from dataclasses import dataclass
from itertools import product, starmap
from typing import Annotated, Literal, NamedTuple

from torch import nn

from plastorch.engine.device import check_memory
from plastorch.engine.errors import InputError
from plastorch.experiments.preset_defaults import Count, Fraction, Range, Rate, Settings, Size
from plastorch.rank import RankCoder
from plastorch.rank.convolutions import CausalConvolutions
from plastorch.rank.criterion import effective_threshold
from plastorch.rank.objectives import Objective

LAYERS, CONVOLUTIONS = 2, 5
"""Numbers of layers of an LSTM, and of convolutions."""
CHUNK = 16
"""Frames after which answered words leave the batch: 160 ms."""

Threshold = Annotated[float, Range(0, 1, above=True, below=True)]
EntropyWeight = Annotated[float, Range(0, 10, below=True)]


class WordNetwork(NamedTuple):
    """A network of the comparison."""

    objective: Objective
    """Trained outputs."""
    threshold: float = 0.95
    """Threshold θ."""
    entropy_weight: float = 0.0
    """Weight β of the entropy."""

    @property
    def name(self) -> str:
        """Name of the network in its run."""
        return rank_name(*self[1:]) if self.objective == "first" else self.objective


@dataclass(frozen=True)
class RankSpeechConfig(Settings):
    """Settings of rank-speech.

    Networks learn one after the other: one at the last step, one at all steps, one for each further
    objective, and a rank-coded one for each threshold and each entropy weight. They start with the
    same weights and see the same batches.

    Args:
        dataset: Google's Speech Commands, or the Free Spoken Digits.
        split: official, or by speaker, for the digits, whose official split is not by speaker: the
            seed chooses the test speaker, and the next one is for validation.
        core: core of all networks, an LSTM of two layers or five causal convolutions.
        objectives: further objectives of training: hybrid (answers held to the end) or cost (their
            expected price).
        thresholds: thresholds θ.
        entropy_weights: entropy weights β, small enough that evidence can cross each θ.
        hidden_size: number of neurons of each layer of an LSTM; convolutions have half as many
            features each.
        varied: whether training words also differ in speed and loudness each time.
        dropout: share of activities left out in training.
        epochs: number of passes over the training words.
        batch_size: words per update.
        learning_rate: learning rate of Adam at the start; it falls to 0 along half a cosine.
        listen: WAV file to listen to, with a network trained earlier if there is one, else after
            training.
        trained: run folder of that network; if not given, the newest complete one beside this run.
    """

    dataset: Literal["speech-commands", "fsdd"] = "speech-commands"
    split: Literal["official", "speaker"] = "official"
    core: Literal["lstm", "convolutional"] = "lstm"
    objectives: tuple[Literal["hybrid", "cost"], ...] = ()
    thresholds: tuple[Threshold, ...] = (0.5, 0.7, 0.9, 0.97)
    entropy_weights: tuple[EntropyWeight, ...] = (0.0, 0.1, 0.25)
    hidden_size: Size = 96
    varied: bool = False
    dropout: Fraction = 0.3
    epochs: Count = 40
    batch_size: Size = 32
    learning_rate: Rate = 2e-3
    listen: str | None = None
    trained: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("thresholds", "entropy_weights"):
            if not getattr(self, name):
                raise InputError(f"{name} are empty; expected one or more")
        if self.core == "convolutional" and self.hidden_size < 2:
            raise InputError("hidden_size is 1; expected 2 or more, a feature for each convolution")
        networks = len(self.models())
        asked = 2 + len(self.objectives) + len(self.thresholds) * len(self.entropy_weights)
        if networks < asked:
            raise InputError(
                f"objectives are {self.objectives}, thresholds {self.thresholds} and "
                f"entropy_weights {self.entropy_weights}; expected each once, numbers also when "
                "rounded to thousandths, which name the networks"
            )
        weights = 4 * self.hidden_size * (2 * LAYERS - 1) * self.hidden_size
        check_memory(4 * networks * weights, hidden_size=self.hidden_size)
        for theta, beta in product(self.thresholds, self.entropy_weights):
            if effective_threshold(theta, beta) >= 1:
                raise InputError(
                    f"entropy_weights are {self.entropy_weights}; expected less than {beta:g}, at "
                    f"which no evidence is enough to cross {theta:g}"
                )
        if self.split == "speaker" and self.dataset != "fsdd":
            raise InputError(
                f"split is speaker; expected official for {self.dataset}, which is by speaker"
            )
        if self.trained is not None and self.listen is None:
            raise InputError(f"trained is {self.trained!r}; expected a file to listen to as well")

    def models(self) -> dict[str, WordNetwork]:
        """Returns all networks; the numbers in their names are θ and β in thousandths."""
        ranked = product(("first",), self.thresholds, self.entropy_weights)
        objectives: tuple[Objective, ...] = ("last", "all", *self.objectives)
        plain = map(WordNetwork, objectives)
        return {net.name: net for net in (*plain, *starmap(WordNetwork, ranked))}

    def network(self, model: WordNetwork, bands: int, words: int) -> RankCoder:
        """Returns a new model; gates of an LSTM let it remember from the start."""
        size = self.hidden_size
        core: nn.Module
        if self.core == "convolutional":
            core = CausalConvolutions(
                bands, size // 2, layers=CONVOLUTIONS, dropout=self.dropout, normalized=False
            )
            size = core.hidden_size
        else:
            core = nn.LSTM(bands, size, LAYERS, dropout=self.dropout)
            for layer in range(LAYERS):
                getattr(core, f"bias_ih_l{layer}").data[size : 2 * size] = 1
        readout = nn.Sequential(nn.Dropout(self.dropout), nn.Linear(size, words))
        return RankCoder(
            core,
            readout,
            threshold=model.threshold,
            entropy_weight=model.entropy_weight,
            chunk=CHUNK,
        )


def rank_name(threshold: float, entropy_weight: float) -> str:
    """Returns the name of a rank-coded network, such as rank-950-30: both values in thousandths."""
    return f"rank-{threshold * 1000:.0f}-{entropy_weight * 1000:.0f}"
