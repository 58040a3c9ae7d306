"""Ray for the duration of a command: on this machine, or on a cluster that it is part of."""

import contextlib
import importlib
import io
import logging
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plastorch.engine.errors import InputError
from plastorch.engine.stops import kept

REACH_S = 5.0
"""Seconds within which a cluster must answer."""
LOOK_S = 120.0
"""Seconds within which each machine of a cluster must find a path."""
STARTS = 3
"""Number of attempts to start Ray, which gives up after half a minute."""
STORE_BYTES = 1 << 28
"""Size in bytes of memory shared by processes on one machine; plastorch's jobs share little."""
_HELLO = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
"""Start of a gRPC conversation: the preface of HTTP/2 and empty settings."""
_SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "1",  # a job that requests no GPU sees none
}


def needs_ray(part: str = "ray") -> None:
    """Raises InputError unless Ray, or a part of it such as "ray.data", is installed."""
    for name, value in _SETTINGS.items():  # some are read at import
        os.environ.setdefault(name, value)
    try:
        importlib.import_module(part)
    except ImportError:
        raise InputError('ray is missing; expected: pip install "plastorch[ray]"') from None


@contextlib.contextmanager
def cluster(address: str | None) -> Iterator[None]:
    """Connects the process to Ray inside its ``with`` block, without output on the terminal.

    A process that is already connected stays so.

    Args:
        address: HOST:PORT of a cluster that this machine is part of, or auto for the one that was
            started on it. None starts Ray on this machine alone, and stops it afterward.

    Raises:
        InputError: there is no cluster, or Ray doesn't start.
    """
    import ray

    if address not in (None, "auto"):
        check_address(address)
    if ray.is_initialized():
        yield
        return
    with _hushed():
        _start() if address is None else _join(address)
    try:
        yield
    finally:
        ray.shutdown()


def check_address(address: str) -> None:
    """Raises InputError within seconds if nothing like Ray answers at an address.

    Ray itself tries for minutes.

    Example:
        >>> check_address("localhost:1")
        Traceback (most recent call last):
        ...
        plastorch.engine.errors.InputError: address is 'localhost:1'; no Ray cluster answers \
there; start one with: ray start --head --port=1
    """
    host, _, port = address.rpartition(":")
    if not host or "/" in host or not port.isdecimal() or len(port) > 5:
        raise InputError(
            f"address is {address!r}; expected HOST:PORT of a Ray cluster that this machine is "
            "part of, or auto"
        )
    try:
        with socket.create_connection((host.strip("[]"), int(port)), REACH_S) as there:
            there.sendall(_HELLO)
            answers = there.recv(9)[3:4] == b"\x04"  # with its own settings
    except (OSError, OverflowError, UnicodeError):
        answers = False
    if not answers:
        raise InputError(
            f"address is {address!r}; no Ray cluster answers there; start one with: "
            f"ray start --head --port={port}"
        )


def check_shared(path: Path) -> None:
    """Raises InputError naming a machine of the cluster that can't see a path."""
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    nodes = [node for node in ray.nodes() if node["Alive"]]
    if len(nodes) == 1:
        return
    look = ray.remote(num_cpus=0, max_retries=0)(os.path.exists)
    strategies = [NodeAffinitySchedulingStrategy(node["NodeID"], soft=False) for node in nodes]
    looks = [look.options(scheduling_strategy=one).remote(str(path)) for one in strategies]
    for node, found in zip(nodes, looks, strict=True):
        name = node["NodeManagerHostname"]
        try:
            seen = ray.get(found, timeout=LOOK_S)
        except Exception as error:
            raise InputError(f"machine {name} can't be asked for {path}: {reason(error)}") from None
        if not seen:
            raise InputError(
                f"machine {name} does not see {path}; expected a path that all machines share"
            )


def reason(error: BaseException) -> str:
    """Returns the most informative line of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[0] if lines else type(error).__name__


def quiet() -> contextlib.AbstractContextManager[object]:
    """Suppresses stdout, where Ray reports the processes it has lost."""
    return contextlib.redirect_stdout(io.StringIO())


def _start() -> None:
    """Starts Ray on this machine; tries again, as Ray can miss its own deadline on a busy one."""
    for attempt in range(1, STARTS + 1):
        try:
            return _init("local", include_dashboard=False, object_store_memory=STORE_BYTES)
        except Exception as error:
            if attempt == STARTS:
                raise InputError(f"Ray doesn't start: {reason(error)}") from None


def _join(address: str) -> None:
    try:
        _init(address)
    except (Exception, SystemExit) as error:
        if address == "auto" and isinstance(error, ConnectionError):
            raise InputError(
                "address is 'auto'; no Ray cluster runs on this machine; start one with: "
                "ray start --head"
            ) from None
        raise InputError(
            f"address is {address!r}; {reason(error)}; if it asks for a token: "
            "RAY_AUTH_MODE=token plastorch …"
        ) from None


def _init(address: str, **options: Any) -> None:
    """Calls ``ray.init``; SIGTERM acts as Ctrl-C, though Ray takes it over and exits silently."""
    import ray

    with kept():
        try:
            ray.init(address, log_to_driver=False, logging_level=logging.CRITICAL, **options)
        except BaseException as end:
            ray.shutdown()
            if isinstance(end, SystemExit) and end.code == signal.SIGTERM:
                raise KeyboardInterrupt from None
            raise


@contextlib.contextmanager
def _hushed() -> Iterator[None]:
    """Suppresses stderr, even for compiled code that writes to it directly."""
    sys.stderr.flush()
    kept = os.dup(2)
    try:
        with open(os.devnull, "w") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
