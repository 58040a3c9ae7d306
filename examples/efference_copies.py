"""An encoder learns from digits without labels, and from the actions that made its two views.

    python examples/efference_copies.py

SimCLR throws away how a view was made. Here an inverse model also predicts the action that leads
from one view to the other (the efference copy), so that features keep the positions of things. This
is a short run on 2,000 digits; the experiments of ``plastorch list`` measure the method's benefit.
"""

import torch

from plastorch.data import load_images
from plastorch.efference import ImageViews, Losses, SimCLR, Weights, estimate_bins, small_resnet
from plastorch.efference.probes import extract, knn_accuracy

VIEWS = ImageViews(28, scale=(0.4, 1.0), ratio=(0.6, 1.6), flip=0.1, jitter=0.0, gray=0.0)
BINS = estimate_bins(VIEWS, "egocentric", torch.Generator().manual_seed(0))


def learn(images: torch.Tensor, weights: Weights, batches: int) -> tuple[torch.nn.Module, Losses]:
    """An encoder trained on images uint8 [N, 3, H, W], and the losses of the last batch."""
    torch.manual_seed(0)
    encoder = small_resnet(width=16)
    method = SimCLR(encoder, encoder.features, BINS.sizes, weights, out=32, temperature=0.2)
    optimizer = torch.optim.SGD(method.parameters(), lr=0.4, momentum=0.9, weight_decay=1e-6)
    for _ in range(batches):
        batch = images[torch.randint(len(images), (128,))]
        (view_a, a), (view_b, b) = VIEWS(batch), VIEWS(batch)
        losses = method(view_a, view_b, BINS.targets(a, b), BINS.targets(b, a))
        optimizer.zero_grad()
        losses.total.backward()
        optimizer.step()
    return encoder, losses


def main(batches: int = 120, train: int = 2000, test: int = 500) -> dict[str, float]:
    """Returns the nearest-neighbor accuracy of both methods on test digits."""
    digits = load_images("mnist")
    images, labels = digits.train_images[:train].expand(-1, 3, -1, -1), digits.train_labels[:train]
    others = digits.test_images[:test].expand(-1, 3, -1, -1), digits.test_labels[:test]
    found = {}
    for name, weights in {"SimCLR": Weights(), "and actions": Weights(manipulation=1.0)}.items():
        encoder, losses = learn(images, weights, batches)
        features, held_out = (extract(encoder, x) for x in (images, others[0]))
        found[name] = knn_accuracy(features, labels, held_out, others[1])
        print(f"{name:11}  {found[name]:.1%} of new digits lie among digits of their class")
    told = dict(zip(BINS.factors, losses.right / losses.valid, strict=True))
    for factor in ("scale_x", "scale_y", "shift_x", "shift_y"):  # of eight equally likely classes
        print(f"{factor:11}  {told[factor]:.1%} of actions told; by chance 12.5%")
    return found


if __name__ == "__main__":
    main()
