"""In a LightningModule, a plastic layer learns from digits without labels; a readout uses labels.

This shows the loop; on digits, random weights do as well. Needs pytorch-lightning, half a minute:
    python examples/lightning_loop.py
"""

import pytorch_lightning as lightning
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

import plastorch


class PlasticNet(lightning.LightningModule):
    """Optimization is manual: the plastic layer's update is not the gradient of a loss."""

    def __init__(self) -> None:
        super().__init__()
        self.automatic_optimization = False
        conv = plastorch.SoftHebbConv2d(1, 64, 5, padding=2)
        self.plastic = nn.Sequential(conv, plastorch.Triangle(0.7), nn.AvgPool2d(4), nn.Flatten())
        self.readout = nn.Sequential(nn.BatchNorm1d(64 * 7 * 7), nn.Linear(64 * 7 * 7, 10))

    def configure_optimizers(self) -> list[torch.optim.Optimizer]:
        adam = torch.optim.Adam(self.readout.parameters(), lr=2e-3)
        return [torch.optim.SGD(self.plastic.parameters(), lr=0.08), adam]

    def training_step(self, batch: list[torch.Tensor], number: int) -> None:
        images, labels = batch
        local, adam = self.optimizers()
        if self.current_epoch == 0:
            plastorch.learn(self.plastic, images)  # writes the update into .grad
            local.step()
        with torch.no_grad():
            features = self.plastic(images)
        loss = F.cross_entropy(self.readout(features), labels)
        adam.zero_grad()
        self.manual_backward(loss)
        adam.step()

    def test_step(self, batch: list[torch.Tensor], number: int) -> None:
        images, labels = batch
        right = self.readout(self.plastic(images)).argmax(1) == labels
        self.log("right", right.float().mean())


def main(images: plastorch.data.ImageSet, epochs: int = 4, seed: int = 0) -> float:
    """Trains on the training images; returns the accuracy on test images."""
    lightning.seed_everything(seed)
    trainer = lightning.Trainer(max_epochs=epochs, logger=False, enable_checkpointing=False)
    known = TensorDataset(images.train_images / 255, images.train_labels)
    trainer.fit(net := PlasticNet(), DataLoader(known, batch_size=20, shuffle=True))
    new = TensorDataset(images.test_images / 255, images.test_labels)
    return trainer.test(net, DataLoader(new, batch_size=500))[0]["right"]


if __name__ == "__main__":
    print(f"{main(plastorch.data.load_images('mnist')):.1%} of the test images right")
