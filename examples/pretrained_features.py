"""Classify your own images from the features of a pretrained network, with scikit-learn.

    python examples/pretrained_features.py FOLDER    # with CLASS/*.png or *.jpg, of any size
    python examples/pretrained_features.py           # digits from the package

The network learned without labels from CIFAR-10, and is not trained further.
"""

import sys
from pathlib import Path

import torch
from PIL import Image
from sklearn.linear_model import RidgeClassifierCV
from sklearn.model_selection import cross_val_score
from torchvision.transforms.functional import pil_to_tensor

from plastorch import SoftHebbNet
from plastorch.data import load_images


def main(images: list[torch.Tensor], classes: list[str], name: str = "cifar10") -> float:
    """Returns the cross-validated accuracy."""
    net = SoftHebbNet.from_pretrained(name)
    with torch.no_grad():
        features = torch.cat([net.features(net.prepare([image])) for image in images])
    classifier = RidgeClassifierCV(alphas=(1, 1e2, 1e4, 1e6))
    right = cross_val_score(classifier, features.numpy(), classes).mean()
    print(f"{len(images)} images, {features.shape[1]} features each: {right:.1%} right")
    return right


if __name__ == "__main__":
    digits = load_images("mnist")
    images, classes = list(digits.train_images[:500]), digits.train_labels[:500].tolist()
    if len(sys.argv) > 1:
        files = [file for kind in ("png", "jpg") for file in Path(sys.argv[1]).glob(f"*/*.{kind}")]
        images = [pil_to_tensor(Image.open(file).convert("RGB")) for file in files]
        classes = [file.parent.name for file in files]
    main(images, classes)
