"""An encoder learns from a folder of pictures, without labels, in a loop of your own.

python examples/pretrain_on_pictures.py FOLDER    # pictures anywhere below it
python examples/pretrain_on_pictures.py           # digits from the package, as PNG files
"""

import sys
import tempfile
from pathlib import Path

# The complete training, in 25 lines:
import torch
from PIL import Image
from torch.utils.data import DataLoader
from torchvision.transforms.functional import pil_to_tensor

from plastorch.efference import ImageViews, SimCLR, Weights, estimate_bins, small_resnet


def main(folder: Path, epochs: int = 10, side: int = 64, batch: int = 64) -> torch.nn.Module:
    """Returns the encoder, which is also saved as FOLDER/encoder.pt."""
    files = [f for f in folder.rglob("*") if f.suffix.lower() in (".png", ".jpg", ".jpeg")]
    pictures = [pil_to_tensor(Image.open(f).convert("RGB").resize((side, side))) for f in files]
    views = ImageViews(side, jitter=0.5)
    bins = estimate_bins(views, "egocentric")  # what the inverse model predicts: crop and flip
    encoder = small_resnet(stride=4)
    method = SimCLR(encoder, encoder.features, bins.sizes, Weights(manipulation=0.3))
    optimizer = torch.optim.AdamW(method.parameters(), 1e-3)
    for epoch in range(epochs):
        for images in DataLoader(pictures, batch, shuffle=True, drop_last=True):
            (view_a, a), (view_b, b) = views(images), views(images)  # views and their actions
            losses = method(view_a, view_b, bins.targets(a, b), bins.targets(b, a))
            optimizer.zero_grad()
            losses.total.backward()
            optimizer.step()
        print(f"epoch {epoch + 1}: loss {losses.total.item():.3f}")
    torch.save(encoder.state_dict(), folder / "encoder.pt")
    return encoder


if __name__ == "__main__":
    if len(sys.argv) > 1:
        main(Path(sys.argv[1]))
    else:
        from plastorch.data import load_images

        with tempfile.TemporaryDirectory() as name:
            for i, digit in enumerate(load_images("mnist").train_images[:640, 0].numpy()):
                Image.fromarray(digit).save(Path(name) / f"{i}.png")
            main(Path(name), epochs=2)
