"""Adds the network of a finished run to those inside the package: its weights and its model card.

    python benchmarks/add_model.py RUN NAME    # of softhebb-mnist, softhebb-cifar10, ...

It tests the network once more as it is stored, on the data set of the run, so that one must be at
hand. Figures, seed, command and commit on the card are those of the run's result.json.
"""

import re
import sys
import tempfile
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from plastorch.data import ImageSet, load_images
from plastorch.engine.checkpoint import load_checkpoint, restore, under
from plastorch.engine.errors import InputError, check_one_of
from plastorch.engine.output import write_atomically
from plastorch.engine.run import RunFolder
from plastorch.experiments.registry import find, resolved
from plastorch.experiments.softhebb.config import SoftHebbConfig
from plastorch.hebbian import SoftHebbNet, pretrained
from plastorch.hebbian.prepared import handling
from plastorch.hebbian.readout import accuracy

DATA_LICENSES = {
    "MNIST": "CC BY-SA 3.0",
    "Fashion-MNIST": "MIT",
    "CIFAR-10": "none stated; its authors ask to cite A. Krizhevsky, Learning Multiple Layers of "
    "Features from Tiny Images, 2009",
}
TOLERANCE = 0.005
"""Largest difference between the accuracies of the run and of the network as it is stored."""


def add(run: RunFolder, name: str) -> pretrained.Card:
    """Writes a network and its card into the package; an older one of that name is replaced."""
    if not re.fullmatch("[a-z0-9-]+", name):
        raise InputError(f"name is {name!r}; expected small letters, digits and hyphens")
    result = _finished(run)
    config = _config(result)
    images = load_images(config.preset_data)
    if images.sha256 != result["data"]["sha256"]:
        raise InputError(f"{images.source} has other images than {run.path}; expected the same")
    with tempfile.TemporaryDirectory() as folder:
        partial = Path(folder, "weights")
        _network(run, config, images).save(partial, torch.float16)
        net, weights = SoftHebbNet.load(partial), partial.read_bytes()
        sha256 = pretrained.sha256_of(partial)
    found = accuracy(_classes(net, images.test_images), images.test_labels)
    if abs(found - result["metrics"]["test_accuracy"]) > TOLERANCE:
        raise InputError(
            f"{run.path}: as it is stored, the network gets {found:.2%} right; expected "
            f"{result['metrics']['test_accuracy']:.2%}, as in its result.json"
        )
    card = pretrained.Card(
        name=name,
        experiment=result["experiment"],
        paper=result["paper"],
        data=result["data"]["name"],
        classes=result["data"]["classes"],
        channels=net.in_channels,
        image_size=net.image_size,
        images=handling(net.in_channels, net.image_size),
        accuracies={k: v for k, v in result["metrics"].items() if "accuracy" in k},
        stored_accuracy=found,
        seed=result["seed"],
        command=result["command"],
        commit=result["commit"],
        license="Apache-2.0",
        data_license=DATA_LICENSES[result["data"]["name"]],
        sha256=sha256,
    )
    write_atomically(pretrained.FOLDER / f"{name}.safetensors", weights)
    write_atomically(pretrained.FOLDER / f"{name}.json", f"{card.text()}\n".encode())
    return card


def _finished(run: RunFolder) -> dict[str, Any]:
    """Returns the result of a whole run on a whole data set."""
    result = run.finished()
    if result is None or result["quick"]:
        raise InputError(f"{run.path} has no result of a whole run; expected one without --quick")
    if result["data"]["notice"]:
        raise InputError(f"{run.path} had not the whole data set: {result['data']['notice']}")
    missing = {"command", "commit"} - result.keys()
    if missing:
        raise InputError(f"{run.path}: its result lacks {sorted(missing)}; expected a newer run")
    check_one_of(DATA_LICENSES, data=result["data"]["name"])
    return result


def _config(result: dict[str, Any]) -> SoftHebbConfig:
    """Returns the settings of a run; those that it did not know yet have their defaults."""
    kind = resolved(find(result["experiment"]).config)
    if not issubclass(kind, SoftHebbConfig):
        raise InputError(f"experiment is {result['experiment']}; expected one of deep SoftHebb")
    names = kind().plain().keys()
    config = kind(**{k: v for k, v in result["config"].items() if k in names})
    if config.validation:
        raise InputError(f"validation is {config.validation}; expected 0: all training images")
    if config.networks > 1:
        raise InputError(f"networks is {config.networks}; expected 1: a network by itself")
    return config


def _network(run: RunFolder, config: SoftHebbConfig, images: ImageSet) -> SoftHebbNet:
    """Returns the network at the end of a run."""
    found = load_checkpoint(run.checkpoint)
    if found is None or found[1].get("phase") is not None:
        raise InputError(f"{run.checkpoint} has no network at the end of its training")
    channels, side = images.train_images.shape[1:3]
    net = SoftHebbNet(config.spec(), channels, side, len(images.classes))
    restore(net, under(found[0], "model.0."), run.checkpoint)
    return net


@torch.no_grad()
def _classes(net: SoftHebbNet, images: Tensor) -> Tensor:
    return torch.cat([net(part).argmax(dim=1) for part in torch.split(images, 100)])


if __name__ == "__main__":
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    try:
        print(add(RunFolder(Path(sys.argv[1])), sys.argv[2]).text())
    except InputError as error:
        sys.exit(f"add_model.py: {error}")
