"""Events for TensorBoard are those of metrics.jsonl."""

import struct
from pathlib import Path

from plastorch.engine.run import RunFolder
from plastorch.engine.tensorboard import events_to


def scalars(folder: Path) -> list[tuple[str, int, float]]:
    """Reads event files by their format: a length, its checksum, an event, its checksum."""
    from tensorboardX.proto.event_pb2 import Event

    found = []
    for file in sorted(folder.iterdir()):
        data, place = file.read_bytes(), 0
        while place < len(data):
            (length,) = struct.unpack_from("<Q", data, place)
            event = Event.FromString(data[place + 12 : place + 12 + length])
            found += [(v.tag, event.step, v.simple_value) for v in event.summary.value]
            place += length + 16
    return found


def test_numbers_are_scalars_by_phase_and_step(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path, "e", {"seed": 0})
    with events_to(run.path / "tensorboard") as write:
        run.also_log = write
        run.log([{"phase": "train", "epoch": 1, "loss": 0.5, "note": "text"}])
        run.log([{"phase": "train", "epoch": 2, "loss": 0.25, "layer": 3}])
    assert scalars(run.path / "tensorboard") == [
        ("train/loss", 1, 0.5),
        ("train/loss/layer-3", 2, 0.25),
    ]
    assert len(run.records()) == 2
