"""Figures of an agent in its environment: its observations and actions, and its inner states."""

from typing import Any

import numpy as np

from plastorch.report import charts
from plastorch.report.charts import Line, Matrix, Plot
from plastorch.report.load import Array, RunData
from plastorch.report.panel import Panel

AGENT = "stpn"
"""Model whose episode is drawn."""
POSES = 9
"""Number of poses of cart and pole that are drawn side by side."""
APART = 0.7
"""Distance from one pose to the next in the drawing, meters."""
POLE = 0.6
"""Length of the pole, meters."""
COLUMNS = 5
"""Number of frames in a row."""


def agent_panels(run: RunData) -> list[Panel]:
    """Returns the figures of a trained agent's episode that a run has data for."""
    seen = run.arrays.get(f"{AGENT}.observations")
    names = ("activity", "memory", "energy")
    inner = [run.arrays.get(f"{AGENT}.{name}") for name in names]
    panels = []
    if seen is not None and seen.ndim == 3:
        panels.append(_frames(seen))
    elif seen is not None and seen.ndim == 2 and _is_pendulum(run):
        panels.append(_pendulum(seen))
    if all(array is not None and array.ndim for array in inner):
        panels.append(_states(*inner))
    return panels


def _poses(seen: Array) -> Plot:
    """Returns a plot of cart and pole side by side at some times."""
    times = np.linspace(0, len(seen) - 1, POSES).round().astype(int)
    marks = []
    for place, time in enumerate(times):
        x, angle = APART * place + seen[time, 0], seen[time, 1]
        tip = x + POLE * np.sin(angle), POLE * np.cos(angle)
        cart = Line(x=[x - 0.15, x + 0.15], y=[0, 0], color="muted", width=6, marker="")
        pole = Line(x=[x, tip[0]], y=[0, tip[1]], color="ink", marker="")
        marks += [cart, pole]
    ticks = {APART * place: str(time) for place, time in enumerate(times)}
    return Plot(marks=marks, title="cart and pole", x_ticks=ticks, y_ticks={}, aspect=1)


def _is_pendulum(run: RunData) -> bool:
    return str(run.result.get("data", {}).get("name", "")).startswith("InvertedPendulum")


def _frames(seen: Array) -> Panel:
    frames = seen[:, None] / 255
    return Panel(
        name="frames",
        title="What the agent sees",
        caption=f"{len(seen)} frames from the middle of a game that the trained STPN plays, every "
        "fourth one; the agent's bat is on the right. It sees one frame at a time.",
        alt="Frames of a game in the order of time.",
        draw=lambda theme: charts.images({"": frames}, columns=COLUMNS, theme=theme),
    )


def _pendulum(seen: Array) -> Panel:
    steps = np.arange(len(seen))
    position = Line(x=steps, y=seen[:, 0])
    angle = Line(x=steps, y=np.degrees(seen[:, 1]))
    return Panel(
        name="pendulum",
        title="The pole",
        caption=f"An episode of the trained STPN, of {len(seen)} steps. At the top, cart and pole "
        "at some of them, drawn from what the agent sees, with the number of the step.",
        alt=f"Cart and pole side by side at {POSES} times; line plots of position and angle.",
        draw=lambda theme: charts.chart(
            _poses(seen),
            Plot(marks=[position], title="position, meters"),
            Plot(marks=[angle], title="angle, degrees", x="step"),
            share="",
            theme=theme,
        ),
    )


def _states(*inner: Any) -> Panel:
    activity, memory, energy = inner
    steps = np.arange(len(energy))
    length = Line(x=steps, y=np.linalg.norm(memory, axis=1))
    neurons = Matrix(values=activity.T, low=-1, high=1, diverging=True)
    return Panel(
        name="agent-states",
        title="Inside the agent",
        caption="The trained STPN in the same episode: activities of its neurons, distance of its "
        f"synapses from their learned weights, and their energy, {float(energy.mean()):.3g} on "
        "average.",
        alt="Activities of neurons as colors, and line plots of the length of the synaptic state "
        "and of energy, against time.",
        draw=lambda theme: charts.chart(
            Plot(marks=[neurons], title="activity h of each neuron, -1 blue to 1 red"),
            Plot(marks=[length], title="length of F, all synapses"),
            Plot(marks=[Line(x=steps, y=energy)], title="energy of the synapses", x="step"),
            theme=theme,
        ),
    )
