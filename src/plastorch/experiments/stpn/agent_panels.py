"""Figures of an agent in its environment: its observations and actions, and its inner states."""

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from plastorch.report.load import RunData
from plastorch.report.panel import Panel
from plastorch.report.theme import LIGHT, WIDTH, Theme, label, new_axes, new_figure
from plastorch.report.tiles import arrange, bare_image, tile

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

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
    """Returns the figures of a trained agent's episode that a run has data for.

    Example:
        >>> from pathlib import Path
        >>> agent_panels(RunData(Path("run"), {}, [], {}))
        []
    """
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


def draw_frames(frames: NDArray[Any], theme: Theme = LIGHT) -> "Figure":
    """Draws gray frames in rows, in order of time.

    Args:
        frames: frames, bytes [N, H, W].
        theme: colors.

    Returns:
        A figure with one image.

    Example:
        >>> len(draw_frames(np.zeros((7, 84, 84), np.uint8)).axes[0].images)
        1
    """
    tiles = [tile(frame[None] / 255) for frame in frames]
    return bare_image(arrange(tiles, columns=COLUMNS), WIDTH, theme)


def draw_pendulum(seen: NDArray[Any], theme: Theme = LIGHT) -> "Figure":
    """Draws cart and pole at some times, then position and angle at all times.

    Args:
        seen: position in meters, angle in radians, and more [T, 2 or more].
        theme: colors.

    Returns:
        A figure with three axes.

    Example:
        >>> figure = draw_pendulum(np.zeros((100, 4)))
        >>> [axes.get_title("left") for axes in figure.axes]
        ['cart and pole', 'position, meters', 'angle, degrees']
    """
    figure = new_figure(5.2, theme)
    poses, position, angle = new_axes(figure, theme, rows=3, share_x=False)
    _draw_poses(poses, seen, theme)
    steps = np.arange(len(seen))
    position.plot(steps, seen[:, 0], color=theme.series[0])
    angle.plot(steps, np.degrees(seen[:, 1]), color=theme.series[1])
    label(position, theme, title="position, meters")
    label(angle, theme, title="angle, degrees", x="step")
    return figure


def draw_states(
    activity: NDArray[Any], memory: NDArray[Any], energy: NDArray[Any], theme: Theme = LIGHT
) -> "Figure":
    """Draws activities of all neurons, norms of the synaptic states, and energy over an episode.

    Args:
        activity: activities h [T, H].
        memory: norm of each neuron's F [T, H].
        energy: energy of all synapses per step [T].
        theme: colors.

    Returns:
        A figure with three axes.

    Example:
        >>> figure = draw_states(np.zeros((9, 4)), np.ones((9, 4)), np.ones(9))
        >>> figure.axes[1].lines[0].get_ydata()[0].item()
        2.0
    """
    figure = new_figure(5.6, theme)
    neurons, synapses, cost = new_axes(figure, theme, rows=3)
    neurons.imshow(activity.T, "RdBu_r", vmin=-1, vmax=1, aspect="auto", interpolation="nearest")
    neurons.grid(False)
    synapses.plot(np.linalg.norm(memory, axis=1), color=theme.series[0])
    cost.plot(energy, color=theme.series[1])
    label(neurons, theme, title="activity h of each neuron, -1 blue to 1 red")
    label(synapses, theme, title="length of F, all synapses")
    label(cost, theme, title="energy of the synapses", x="step")
    return figure


def _draw_poses(axes: "Axes", seen: NDArray[Any], theme: Theme) -> None:
    times = np.linspace(0, len(seen) - 1, POSES).round().astype(int)
    for place, time in enumerate(times):
        x, angle = APART * place + seen[time, 0], seen[time, 1]
        axes.plot([x - 0.15, x + 0.15], [0, 0], color=theme.series[0], linewidth=6)
        tip = x + POLE * np.sin(angle), POLE * np.cos(angle)
        axes.plot([x, tip[0]], [0, tip[1]], color=theme.series[1], linewidth=2)
    axes.set_aspect("equal")
    axes.set_yticks([])
    axes.set_xticks(APART * np.arange(POSES), [str(time) for time in times])
    label(axes, theme, title="cart and pole")


def _is_pendulum(run: RunData) -> bool:
    return str(run.result.get("data", {}).get("name", "")).startswith("InvertedPendulum")


def _frames(seen: NDArray[Any]) -> Panel:
    return Panel(
        name="frames",
        title="What the agent sees",
        caption=f"{len(seen)} frames from the middle of a game that the trained STPN plays, every "
        "fourth one; the agent's bat is on the right. It sees one frame at a time.",
        alt="Frames of a game in the order of time.",
        draw=lambda theme: draw_frames(seen, theme),
    )


def _pendulum(seen: NDArray[Any]) -> Panel:
    return Panel(
        name="pendulum",
        title="The pole",
        caption=f"An episode of the trained STPN, of {len(seen)} steps. At the top, cart and pole "
        "at some of them, drawn from what the agent sees, with the number of the step.",
        alt=f"Cart and pole side by side at {POSES} times; line plots of position and angle.",
        draw=lambda theme: draw_pendulum(seen, theme),
    )


def _states(*inner: Any) -> Panel:
    activity, memory, energy = inner
    mean = float(energy.mean())
    return Panel(
        name="agent-states",
        title="Inside the agent",
        caption="The trained STPN in the same episode: what its neurons do, how far its synapses "
        f"are from what was learned, and the energy they need, {mean:.3g} in the mean.",
        alt="Activities of neurons as colors, and line plots of the length of the synaptic state "
        "and of energy, against time.",
        draw=lambda theme: draw_states(activity, memory, energy, theme),
    )
