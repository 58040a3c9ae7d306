"""An encoder learns from digits without labels, and from what was done to its views of them.

    python examples/efference_copies.py

SimCLR throws away how a view was made. Here a model also has to tell what leads from one view to
the other (the efference copy), so that features keep where things are. This is a short run on 2,000
digits: the experiments of ``plastorch list`` say what the method is worth.
"""

import torch

from plastorch import efference
from plastorch.data import load_images
from plastorch.efference import IMAGE_FACTORS, ImageViews, SimCLR, Weights

VIEWS = ImageViews(28, scale=(0.4, 1.0), ratio=(0.6, 1.6), flip=0.1, jitter=0.0, gray=0.0)
BINS = efference.estimate_bins(VIEWS, "egocentric", torch.Generator().manual_seed(0), 10_000)


def learn(images: torch.Tensor, weights: Weights, batches: int) -> tuple[efference.Encoder, dict]:
    """An encoder that was trained on images uint8 [N, 3, H, W], and its last log entry."""
    torch.manual_seed(0)
    encoder = efference.small_resnet(width=16)
    method = SimCLR(encoder, encoder.features, BINS.sizes, weights, 64, 32, temperature=0.2)
    pretraining = efference.Pretraining(
        "pre-training",
        efference.Learner(method, encoder.features, classes=10),
        efference.Sources(images, labels=torch.full((len(images),), -1)),
        VIEWS,
        efference.Training(batches, batch_size=128, every=batches // 2, learning_rate=0.8),
        targets=lambda a, b: efference.targets(a, b, BINS, "egocentric"),
        factors=IMAGE_FACTORS,
    )
    while pretraining.position < pretraining.total:
        (record,) = pretraining.step()
    return encoder, record


def main(batches: int = 120, train: int = 2000, test: int = 500) -> dict[str, float]:
    """Returns the share of digits whose nearest neighbors are of their class, for both methods."""
    digits = load_images("mnist")
    images, labels = digits.train_images[:train].expand(-1, 3, -1, -1), digits.train_labels[:train]
    others = digits.test_images[:test].expand(-1, 3, -1, -1), digits.test_labels[:test]
    found = {}
    for name, weights in {"SimCLR": Weights(), "and actions": Weights(manipulation=1.0)}.items():
        encoder, record = learn(images, weights, batches)
        features, held_out = (efference.extract(encoder, x) for x in (images, others[0]))
        found[name] = efference.knn_accuracy(features, labels, held_out, others[1])
        print(f"{name:11}  {found[name]:.1%} of new digits lie among digits of their class")
    for factor in ("scale_x", "scale_y", "shift_x", "shift_y"):  # of eight equally likely classes
        print(f"{factor:11}  {record[f'accuracy_{factor}']:.1%} of actions told; by chance 12.5%")
    return found


if __name__ == "__main__":
    main()
