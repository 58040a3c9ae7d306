"""The packages that plastorch's spikes are measured against, and an environment for each."""

import subprocess
import sys
import venv
from pathlib import Path
from typing import NamedTuple

TORCH = ("torch==2.13.0", "torchvision==0.28.0", "numpy==2.4.6", "tqdm==4.70.1")


class Peer(NamedTuple):
    """A package.

    Args:
        title: its name.
        packages: what is installed, dependencies included.
        alone: what is installed without its dependencies.
        does: what it computes of the work, and how.
        batches: whether it knows mini-batches.
    """

    title: str
    packages: tuple[str, ...]
    alone: tuple[str, ...]
    does: str
    batches: bool = True


PEERS = {
    "bindsnet": Peer(
        "BindsNET",
        (*TORCH, "scipy==1.17.1", "matplotlib==3.11.2", "pandas==3.1.1", "scikit-learn==1.9.1",
         "scikit-image==0.26.0", "gymnasium==1.2.2", "ale-py==0.12.1", "tensorboardX==2.6.5",
         "opencv-python-headless==5.0.0.93"),
        ("bindsnet==0.3.4",),  # it asks for a newer torch, which has no build for CPUs alone
        "`DiehlAndCook2015v2`: adaptive thresholds, lateral inhibition, normalized weights; "
        "potentiation at output spikes, as here",
    ),
    "brian2": Peer(
        "Brian2",
        ("brian2==2.9.0", "numpy==1.26.4"),
        (),
        "C++ standalone, single precision: adaptive thresholds, lateral inhibition, event-driven "
        "potentiation at output spikes; weights not normalized; no mini-batches",
        batches=False,
    ),
    "norse": Peer(
        "Norse",
        (*TORCH, "nir==1.0.8", "nirtorch==2.6"),
        ("norse==1.1.0",),
        "`LIFCell` and `stdp_step_linear` in one step that `torch.compile` compiles; neither "
        "adaptation, nor inhibition, nor normalization",
    ),
    "snntorch": Peer(
        "snnTorch",
        TORCH,
        ("snntorch==1.0.0",),
        "`Leaky` and `STDPLearner`; neither adaptation, nor inhibition, nor normalization",
    ),
    "spikingjelly": Peer(
        "SpikingJelly",
        (*TORCH, "scipy==1.17.1", "matplotlib==3.11.2", "loguru==0.7.3", "tensorboard==2.21.0"),
        ("spikingjelly==2.0.0",),  # it asks for torchaudio, which has no build for this torch
        "`LIFNode` and `STDPLearner`, multi-step: weights change once per presentation; neither "
        "adaptation, nor inhibition, nor normalization",
    ),
    "spyker": Peer(
        "Spyker",
        ("numpy==2.4.6",),
        ("spyker==0.1.0",),
        "`FC` with rate code, Poisson intervals at rates of its own: neurons without leak; the "
        "winner of a presentation learns once, at its end, from who spiked before it",
    ),
}  # fmt: skip


def python_of(name: str, folder: Path) -> Path:
    """Returns the interpreter of a peer's environment, which is made if it is not there.

    Raises:
        RuntimeError: a package can't be installed.
    """
    peer, home = PEERS[name], folder / name
    python, done = home / "bin" / "python", home / "installed"
    wanted = "\n".join((*peer.packages, *peer.alone))
    if not done.is_file() or done.read_text() != wanted:
        venv.create(home, clear=True, with_pip=True)
        _install(python, *peer.packages)
        if peer.alone:
            _install(python, "--no-deps", *peer.alone)
        done.write_text(wanted)
    return python


def _install(python: Path, *packages: str) -> None:
    command = [python, "-m", "pip", "install", "--quiet", "--no-compile", *packages]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    if told.returncode != 0:
        raise RuntimeError(f"pip: {told.stderr.strip().splitlines()[-1]}")
    sys.stderr.write(told.stderr)
