"""A method and its linear probe, trained, saved and evaluated as one.

Scherr, Guo, Moraitis, *Self-Supervised Learning Through Efference Copies*, NeurIPS 2022, arXiv
2210.09224.
"""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from plastorch.efference.method import Method
from plastorch.engine.errors import InputError, check_finite


class Learner(nn.Module):
    """Method with a linear probe that learns from its features without affecting them.

    The probe is initialized at 0, as its loss is convex.

    Args:
        method: method, such as SimCLR, BYOL or ReLIC.
        features: number of features D of its encoder.
        classes: number of label classes.

    Raises:
        InputError: there are fewer than two classes.

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
    """Returns the probe's accuracy on images, each seen as a single view, the image itself.

    Args:
        learner: learner on the device of the images.
        images: images or spectra [N, ...].
        labels: classes, int64 [N].
        prepare: function from images to the encoder's input, such as ``lambda x: x / 255``.

    Returns:
        Accuracy from 0 to 1, measured in eval mode.

    Raises:
        InputError: the numbers of images and labels differ or are 0, or outputs of the probe are
            not finite.
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
