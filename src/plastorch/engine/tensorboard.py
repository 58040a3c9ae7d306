"""Logged metrics of a run, as events for TensorBoard."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from plastorch.engine.run import Record

_COUNTERS = ("epoch", "step", "examples")


@contextmanager
def events_to(folder: Path) -> Iterator[Callable[[Sequence[Record]], None]]:
    """Yields a function that writes records as scalars ``PHASE/NAME``, by epoch or step.

    ``tensorboard --logdir RUNS`` shows them. A resumed run adds a file of events; steps that are
    done again are shown once.
    """
    from tensorboardX import SummaryWriter

    with SummaryWriter(str(folder)) as writer:

        def write(records: Sequence[Record]) -> None:
            for record in records:
                step = next((record[name] for name in _COUNTERS if name in record), None)
                layer = f"/layer-{record['layer']}" if "layer" in record else ""
                for name, value in record.items():
                    if isinstance(value, int | float) and name not in (*_COUNTERS, "layer"):
                        tag = f"{record.get('phase', 'run')}/{name}{layer}"
                        writer.add_scalar(tag, value, step)

        yield write
