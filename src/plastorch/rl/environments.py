"""Environments of gymnasium by their ids, with one clear line for what is missing."""

import warnings
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from plastorch.engine.errors import InputError

if TYPE_CHECKING:
    import gymnasium

SIDE = 84
"""Pixels of a frame, in height and in width."""
BORDER = 25
"""Rows of an Atari screen that are cut off above and below."""


def needs_rl() -> None:
    """Raises InputError if a package of the extra ``rl`` is not installed."""
    for name in ("ray", "gymnasium", "mujoco", "ale_py"):
        if find_spec(name) is None:
            raise InputError(f"{name} is missing; expected: pip install 'plastorch[rl]'")


def make(env: str, **settings: Any) -> "gymnasium.Env[Any, Any]":
    """An environment.

    Args:
        env: its id, such as ``InvertedPendulum-v5`` or ``ALE/Pong-v5``.
        settings: of the environment.

    Raises:
        InputError: if there is none of that id, or it is of another kind.
    """
    import ale_py
    import gymnasium

    if "ALE/Pong-v5" not in gymnasium.registry:
        gymnasium.register_envs(ale_py)
    ale_py.ALEInterface.setLoggerMode(ale_py.LoggerMode.Error)  # no banner
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of an id that is old, an error follows
            return gymnasium.make(env, disable_env_checker=True, **settings)
    except gymnasium.error.Error as error:
        reason = str(error).splitlines()[0].rstrip(".")
    except (TypeError, ValueError, ImportError) as error:
        reason = str(error).splitlines()[0]
    raise InputError(
        f"env is {env[:100]!r}; expected an id that gymnasium knows, such as InvertedPendulum-v5 "
        f"or ALE/Pong-v5 ({reason[:200]}); all are shown by: "
        "python -c 'import gymnasium; gymnasium.pprint_registry()'"
    )


def make_vectors(env: str) -> "gymnasium.Env[Any, Any]":
    """An environment in which agents see and do vectors of numbers.

    Raises:
        InputError: if there is none of that id, or it is of another kind.
    """
    from gymnasium.spaces import Box

    made = make(env)
    spaces = made.observation_space, made.action_space
    if not all(isinstance(space, Box) and len(space.shape) == 1 for space in spaces):
        raise InputError(f"env is {env!r}; expected vectors of numbers as observations and actions")
    return made


def make_frames(env: str, frame_skip: int, sticky: float) -> "gymnasium.Env[Any, Any]":
    """An Atari game, of which agents see one grey frame of 84 x 84 bytes at a time.

    The frame is the screen without 25 rows above and below.

    Args:
        env: id of the game, such as ``ALE/Pong-v5``.
        frame_skip: frames for which an action is held.
        sticky: chance that a frame takes the action before instead.

    Raises:
        InputError: if there is none of that id, or it is no Atari game.
    """
    from gymnasium.spaces import Box
    from gymnasium.wrappers import TransformObservation

    if not env.startswith("ALE/"):
        raise InputError(f"env is {env!r}; expected an Atari game, such as ALE/Pong-v5")
    made = make(env, obs_type="grayscale", frameskip=frame_skip, repeat_action_probability=sticky)
    return TransformObservation(made, frame, Box(0, 255, (SIDE, SIDE), np.uint8))


def frame(screen: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """What agents see of a grey screen [210, 160]: [84, 84].

    Example:
        >>> frame(np.zeros((210, 160), np.uint8)).shape
        (84, 84)
    """
    cut = Image.fromarray(screen[BORDER:-BORDER])
    return np.asarray(cut.resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def outputs(space: Any) -> int:
    """Numbers that a policy gives: a score of each action, or mean and spread of each number."""
    return int(space.n) if hasattr(space, "n") else 2 * int(np.prod(space.shape))


def best_action(policy: Tensor, space: Any) -> NDArray[Any]:
    """The likeliest actions.

    Args:
        policy: numbers of the policy [B, A].
        space: of actions.

    Returns:
        Indices [B], or means [B, A / 2] within the bounds of the space.
    """
    if hasattr(space, "n"):
        found: NDArray[Any] = policy.argmax(-1).numpy()
        return found
    mean = policy.chunk(2, dim=-1)[0].numpy()
    within: NDArray[Any] = np.clip(mean, space.low, space.high)
    return within


def drawn_action(policy: Tensor, random: Sequence[torch.Generator]) -> NDArray[Any]:
    """Actions that are drawn by their probabilities, where there are so many to choose from.

    Args:
        policy: their log-probabilities up to a constant [B, A].
        random: where each is drawn [B].

    Returns:
        Indices [B].
    """
    pairs = zip(policy.softmax(-1), random, strict=True)
    return np.array([int(torch.multinomial(chance, 1, generator=one)) for chance, one in pairs])


def as_tensor(observations: Any) -> Tensor:
    """Observations as agents take them: bytes, or single precision."""
    array = np.asarray(observations)
    kind = np.uint8 if array.dtype == np.uint8 else np.float32
    return torch.from_numpy(np.require(array, kind, "W"))  # Ray's arrays are read-only
