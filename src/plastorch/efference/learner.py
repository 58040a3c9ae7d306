"""A method with a linear probe beside it: what is trained, kept and evaluated as one.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plastorch.efference.method import Method
from plastorch.engine.errors import InputError, check_finite


class Learner(nn.Module):
    """A method, and a linear probe that learns from its features without a say in them.

    The probe starts at 0: its loss is convex.

    Args:
        method: SimCLR, BYOL or ReLIC.
        features: D of its encoder.
        classes: of the labels.

    Raises:
        InputError: if there are fewer than two classes.

    Example:
        >>> from plastorch.efference.methods import SimCLR
        >>> learner = Learner(SimCLR(nn.Flatten(), features=12), features=12, classes=10)
        >>> learner.probe(learner.method.encoder(torch.rand(4, 3, 2, 2))).shape
        torch.Size([4, 10])
    """

    def __init__(self, method: Method, features: int, classes: int) -> None:
        super().__init__()
        if classes < 2:
            raise InputError(f"classes is {classes}; expected 2 or more")
        self.method, self.probe = method, nn.Linear(features, classes)
        nn.init.zeros_(self.probe.weight)
        nn.init.zeros_(self.probe.bias)


@torch.no_grad()
def probe_accuracy(
    learner: Learner, images: Tensor, labels: Tensor, prepare: Callable[[Tensor], Tensor]
) -> float:
    """Share of images whose class the probe finds, of one view each: the image itself.

    Args:
        learner: on the device of the images.
        images: or spectra [N, ...].
        labels: int64 [N].
        prepare: from images to what the encoder takes, such as ``lambda x: x / 255``.

    Returns:
        From 0 to 1; the learner is in evaluation mode meanwhile.

    Raises:
        InputError: if the numbers of images and labels differ, or are 0, or the probe's answers
            are not finite.
    """
    if len(images) != len(labels) or len(images) == 0:
        raise InputError(f"labels are {len(labels)}; expected {max(len(images), 1)}")
    training = learner.training
    learner.eval()
    logits = torch.cat(
        [
            learner.probe(learner.method.encoder(prepare(batch)))
            for batch in torch.split(images, 1000)
        ]
    )
    learner.train(training)
    check_finite(logits=logits)
    return float((logits.argmax(dim=1) == labels).double().mean())
