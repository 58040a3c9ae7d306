"""Published networks of Journé et al. (ICLR 2023), and their baselines."""

from dataclasses import replace
from typing import Literal, get_args

from plastorch.data.catalog import CATALOG
from plastorch.engine.errors import InputError, check_one_of
from plastorch.hebbian.rule import Competition
from plastorch.hebbian.spec import Activation, BlockSpec, NetworkSpec, Pool

Data = Literal["mnist", "fashion-mnist", "cifar10", "cifar100", "stl10", "imagenette", "imagenet"]
Rule = Literal["soft", "hard", "sampled", "random", "backprop"]
Width = Literal["1x", "2x", "4x", "quarter", "half", "double"]
Architecture = Literal["matched", "published"]

MAX, AVG = Pool("max", 4, 2, 1), Pool("avg", 4, 2, 1)
MAX2, AVG2 = Pool("max", 2, 2), Pool("avg", 2, 2)
IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

_C1 = BlockSpec(96, 5, padding=2, learning_rate=0.08, triangle_power=0.7, pool=MAX)
_C2 = BlockSpec(
    384, 3, padding=1, learning_rate=0.005, inverse_temperature=0.65, triangle_power=1.4, pool=MAX
)
_C3 = BlockSpec(1536, 3, padding=1, learning_rate=0.01, inverse_temperature=0.25, pool=AVG2)
CIFAR = {
    1: (replace(_C1, pool=AVG),),
    2: (replace(_C1, pool=AVG), replace(_C2, pre_triangle=True)),
    3: (_C1, _C2, _C3),
}
STL10 = {
    1: CIFAR[1],
    2: CIFAR[2],
    3: (replace(_C1, pool=AVG), _C2, replace(_C3, inverse_temperature=0.45, pool=AVG)),
    4: (
        replace(_C1, pool=AVG),
        replace(_C2, triangle_power=0.7),
        replace(_C3, inverse_temperature=0.45, triangle_power=1.4, pool=AVG),
        replace(_C3, out_channels=6144),
    ),
}
IMAGENET = tuple(
    BlockSpec(
        channels,
        kernel,
        padding=padding,
        learning_rate=rate,
        inverse_temperature=t,
        triangle_power=power,
        pool=pool,
        rate_power=0.75,
    )
    for channels, kernel, padding, rate, t, power, pool in (
        (48, 5, 2, 0.08, 1.1, 0.7, MAX),
        (192, 3, 1, 0.01, 0.7, 0.7, MAX),
        (768, 3, 1, 0.01, 0.5, 0.7, MAX),
        (3072, 3, 1, 0.01, 0.4, 1.4, MAX),
        (12288, 3, 1, 0.01, 0.25, 1.0, AVG2),
    )
)
MNIST = {
    1: CIFAR[1],
    # Ours, chosen on held-out training digits: sparser than CIFAR's two layers, smoother than its
    # three.
    2: (_C1, replace(_C2, triangle_power=2.0)),
    3: (replace(_C1, pool=AVG), _C2, _C3),
}
SOFTHEBB: dict[str, dict[int, tuple[BlockSpec, ...]]] = {
    "mnist": MNIST,
    "fashion-mnist": MNIST,
    "cifar10": CIFAR,
    "cifar100": CIFAR,
    "stl10": STL10,
    "imagenette": {**CIFAR, 4: STL10[4], 5: IMAGENET},
    "imagenet": {depth: IMAGENET[:depth] for depth in range(1, 6)},
}
PUBLISHED_FOR: dict[Rule, tuple[Data, ...]] = {
    "soft": ("cifar10", "cifar100", "stl10", "imagenette", "imagenet"),
    "hard": ("cifar10", "cifar100", "imagenette", "imagenet"),
    "sampled": (),
    "random": ("cifar10", "cifar100", "stl10", "imagenette"),
    "backprop": ("cifar10", "cifar100", "stl10", "imagenette", "imagenet"),
}
"""Data sets for which the paper's code has an architecture, by rule."""
IMAGES = {name: CATALOG[name].images for name in get_args(Data)}
"""Channels, side in pixels and number of classes of the images."""
GROWTH = {"1x": 1, "2x": 2, "4x": 4}
SCALE = {"quarter": 0.25, "half": 0.5, "double": 2.0}


def preset(
    data: Data,
    depth: int | None = None,
    width: Width = "4x",
    rule: Rule = "soft",
    architecture: Architecture = "matched",
) -> NetworkSpec:
    """Returns the published network for a data set, at a depth and width, or a baseline.

    Args:
        data: data set that the network was published for (MNIST: ours, found on a validation
            split).
        depth: number of plastic layers; that of the deepest network if None.
        width: growth of the channels from layer to layer ("4x", "2x", "1x") after the published
            first layer, or scale of all layers of the "4x" network ("quarter", "half", "double").
        rule: "soft" is SoftHebb, "hard" the hard winner-take-all, "sampled" weights that are
            patches of each layer's input, "random" untrained weights, "backprop" end-to-end
            learning with ReLU.
        architecture: "matched" gives baselines SoftHebb's own architecture, "published" the one
            in the paper's code.

    Returns:
        Specification for :class:`SoftHebbNet`.

    Raises:
        InputError: no such preset.

    Example:
        >>> [block.out_channels for block in preset("cifar10").blocks]
        [96, 384, 1536]
        >>> [block.out_channels for block in preset("cifar10", width="1x").blocks]
        [96, 96, 96]
    """
    check_one_of(SOFTHEBB, preset=data)
    check_one_of(get_args(Width), width=width)
    check_one_of(get_args(Rule), rule=rule)
    check_one_of(get_args(Architecture), architecture=architecture)
    by_depth = SOFTHEBB[data]
    depth = max(by_depth) if depth is None else depth
    if depth not in by_depth:
        raise InputError(f"depth is {depth}; expected one of {sorted(by_depth)} for {data}")
    blocks = by_depth[depth]
    if architecture == "published":
        blocks = _published(data, rule, depth)
    elif rule == "hard":
        blocks = tuple(replace(block, competition="hard") for block in blocks)
    elif rule == "backprop":
        blocks = tuple(replace(block, activation="relu") for block in blocks)
    blocks = _widened(blocks, width)
    name = f"{data}-{depth}-{width}-{rule}-{architecture}"
    dropout = 0.4 if (data, depth) == ("stl10", 3) else 0.5
    if data in ("imagenet", "imagenette"):
        return NetworkSpec(name, blocks, dropout, IMAGENET_MEAN, IMAGENET_STD)
    return NetworkSpec(name, blocks, dropout)


def _widened(blocks: tuple[BlockSpec, ...], width: Width) -> tuple[BlockSpec, ...]:
    first = blocks[0].out_channels
    if width in SCALE:
        return tuple(replace(b, out_channels=round(b.out_channels * SCALE[width])) for b in blocks)
    return tuple(
        replace(block, out_channels=first * GROWTH[width] ** i) for i, block in enumerate(blocks)
    )


def _published(data: Data, rule: Rule, depth: int) -> tuple[BlockSpec, ...]:
    """Returns the architecture in the paper's code; that of a baseline can differ."""
    if data not in PUBLISHED_FOR[rule]:
        raise InputError(
            f"architecture is 'published' for {rule} on {data}; expected 'matched': the paper's "
            "code has no such network"
        )
    if rule == "backprop":
        return _published_backprop(data, depth)
    if rule == "hard":
        small = data in ("cifar10", "cifar100")
        return _published_hard_cifar(depth) if small else _published_hard_imagenet(depth)
    if rule == "random" and data == "imagenette" and depth < 5:
        return _large_kernels("softkrotov", initial_radius=2.0)[:depth]
    return SOFTHEBB[data][depth]


def _published_hard_cifar(depth: int) -> tuple[BlockSpec, ...]:
    if depth == 1:
        return (replace(CIFAR[1][0], competition="hard"),)
    hard = BlockSpec(
        96, 5, padding=1, learning_rate=0.05, pool=MAX, rate_power=0.75, competition="hard"
    )
    second = replace(hard, out_channels=384, kernel_size=3)
    third = replace(hard, out_channels=1536, kernel_size=3, padding=0, pool=MAX2)
    return (hard, second, third)[:depth]


def _published_hard_imagenet(depth: int) -> tuple[BlockSpec, ...]:
    blocks = _large_kernels("hard", initial_radius=25.0 if depth == 5 else 2.0)
    last = replace(blocks[-1], out_channels=12288, kernel_size=1, padding=0, groups=768, pool=MAX2)
    return (*blocks, last)[:depth]


def _large_kernels(competition: Competition, initial_radius: float) -> tuple[BlockSpec, ...]:
    """Returns four layers of the ImageNet networks whose first kernels are larger.

    Lowers rates evenly: they are only known to lie between .07 and .01.
    """
    return tuple(
        BlockSpec(
            48 * 4**i,
            kernel,
            padding=kernel // 2,
            learning_rate=rate,
            pool=MAX,
            rate_power=0.75,
            competition=competition,
            initial_radius=initial_radius,
        )
        for i, (kernel, rate) in enumerate(zip((7, 5, 3, 3), (0.07, 0.05, 0.03, 0.01), strict=True))
    )


def _published_backprop(data: Data, depth: int) -> tuple[BlockSpec, ...]:
    """Returns layers of ReLU; those of ImageNet's networks of 1 and 5 layers have Triangle.

    The pools of STL-10's networks are not known; they are taken to be ImageNet's.
    """
    small, imagenet = data in ("cifar10", "cifar100"), data in ("imagenette", "imagenet")
    channels = 48 if imagenet else 96
    activation: Activation = "triangle" if imagenet and depth in (1, 5) else "relu"
    first = BlockSpec(channels, 5, padding=2, learning_rate=0.001, pool=MAX, activation=activation)
    if small and depth == 1:
        return (replace(first, pool=AVG),)
    blocks = [
        replace(first, out_channels=channels * 4**i, kernel_size=kernel, padding=kernel // 2)
        for i, kernel in enumerate((5, 3) if small else (7, 5, 3, 3))
    ]
    last = channels * 4 ** len(blocks)
    grouped = replace(first, out_channels=last, kernel_size=1, padding=0, pool=MAX2)
    return (*blocks, replace(grouped, groups=192 if small else 768))[:depth]
