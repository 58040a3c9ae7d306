"""Gymnasium environments by id, with a one-line error for anything missing."""

import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plastorch.engine.errors import InputError, require

if TYPE_CHECKING:
    import gymnasium

SIDE = 84
"""Side of a frame in pixels."""
BORDER = 25
"""Number of rows cut off the Atari screen above and below."""


def needs_rl() -> None:
    """Raises InputError if a package of the extra ``rl`` is not installed."""
    for package in ("ray", "gymnasium", "mujoco", "ale_py"):
        require(package, "rl")


def make(env: str, **settings: Any) -> "gymnasium.Env[Any, Any]":
    """Makes an environment.

    Args:
        env: environment id, such as ``InvertedPendulum-v5`` or ``ALE/Pong-v5``.
        settings: settings of the environment.

    Raises:
        InputError: the id is unknown, or the environment is of another kind.
    """
    import ale_py
    import gymnasium

    if "ALE/Pong-v5" not in gymnasium.registry:
        gymnasium.register_envs(ale_py)
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # an outdated id raises an error below
            return gymnasium.make(env, disable_env_checker=True, **settings)
    except gymnasium.error.Error as error:
        reason = str(error).splitlines()[0].rstrip(".")
    except (TypeError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0]
    raise InputError(
        f"env is {env[:100]!r}; expected an id that gymnasium knows, such as InvertedPendulum-v5 "
        f"or ALE/Pong-v5 ({reason[:200]}); for a list: "
        "python -c 'import gymnasium; gymnasium.pprint_registry()'"
    )


def make_vectors(env: str) -> "gymnasium.Env[Any, Any]":
    """Makes an environment whose observations and actions are vectors.

    Raises:
        InputError: the id is unknown, or the environment is of another kind.
    """
    from gymnasium.spaces import Box

    made = make(env)
    spaces = made.observation_space, made.action_space
    if not all(isinstance(space, Box) and len(space.shape) == 1 for space in spaces):
        raise InputError(f"env is {env!r}; expected vectors of numbers as observations and actions")
    return made


def make_frames(env: str, frame_skip: int, sticky: float) -> "gymnasium.Env[Any, Any]":
    """Makes an Atari game whose observations are single gray frames of 84 x 84 bytes.

    A frame is the screen without 25 rows above and below.

    Args:
        env: game id, such as ``ALE/Pong-v5``.
        frame_skip: number of frames for which an action is held.
        sticky: probability that a frame repeats the previous action.

    Raises:
        InputError: the id is unknown, or not an Atari game.
    """
    from gymnasium.spaces import Box
    from gymnasium.wrappers import TransformObservation

    if not env.startswith("ALE/"):
        raise InputError(f"env is {env!r}; expected an Atari game, such as ALE/Pong-v5")
    made = make(env, obs_type="grayscale", frameskip=frame_skip, repeat_action_probability=sticky)
    return TransformObservation(made, frame, Box(0, 255, (SIDE, SIDE), np.uint8))


def frame(screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Crops and resizes a gray screen [210, 160] to the observed frame [84, 84]."""
    cut = Image.fromarray(screen[BORDER:-BORDER])
    return np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def outputs(space: Any) -> int:
    """Returns the number of policy parameters: action scores, or means and spreads."""
    return int(space.n) if hasattr(space, "n") else 2 * int(np.prod(space.shape))


def best_action(policy: Tensor, space: Any) -> NDArray[Any]:
    """Returns the most probable actions: indices [B], or means [B, A / 2] within bounds."""
    if hasattr(space, "n"):
        found: NDArray[Any] = policy.argmax(-1).numpy()
        return found
    mean = policy.chunk(2, dim=-1)[0].numpy()
    within: NDArray[Any] = np.clip(mean, space.low, space.high)
    return within


def drawn_action(policy: Tensor, random: Sequence[torch.Generator]) -> NDArray[Any]:
    """Samples actions [B] by log-probabilities [B, A] up to a constant, a generator for each."""
    pairs = zip(policy.softmax(-1), random, strict=True)
    return np.array([int(torch.multinomial(chance, 1, generator=one)) for chance, one in pairs])


def as_tensor(observations: Any) -> Tensor:
    """Converts observations for agents: bytes stay bytes, all else becomes float32."""
    array = np.asarray(observations)
    kind = np.uint8 if array.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.require(array, kind, "W"))  # Ray's arrays are read-only
