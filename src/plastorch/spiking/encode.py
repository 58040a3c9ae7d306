"""Encodes numbers and pictures as spikes: by rate, correlation, latency, rank or change."""

from math import ceil, inf, isclose, sqrt

import torch
from torch import Tensor

from plastorch.engine.errors import InputError, check_positive
from plastorch.spiking.events import Events, gather
from plastorch.spiking.neurons import Random, check_not_negative

MOST_STEPS = 2**31
"""Limit on the number of steps per pattern, as spikes are counted in each step."""
ROUNDING = 1e-7
"""Relative difference between two durations that counts as rounding, in single precision too."""
FARTHEST = 5
"""Standard deviations of jitter from beyond which no spike moves into the spike trains."""
DRAWS = 20
"""Maximum number of draws of a spike's shift, until it finds a step without a spike."""


def poisson(rates: Tensor, duration: float, generator: Random = None) -> Events:
    """Draws the spikes of Poisson processes in continuous time.

    Args:
        rates: firing rates, Hz [B, N].
        duration: length of the spike trains, seconds.
        generator: random generator on the CPU.

    Returns:
        Spikes of B networks with N inputs.

    Raises:
        InputError: if a rate is negative or not finite, or the duration not positive.

    Example:
        >>> poisson(torch.full((2, 3), 1e4), duration=1.0).networks
        2
    """
    check_positive(duration=duration)
    _check_rates(rates, "B, N")
    # Given their number, the spikes of a Poisson process are independent and uniform in time.
    counts = torch.poisson(rates.double().cpu() * duration, generator).long().flatten()
    times = duration * torch.rand(int(counts.sum()), dtype=torch.float64, generator=generator)
    process = torch.arange(rates.numel()).repeat_interleave(counts)
    networks, inputs = rates.shape
    events = gather(times, process % inputs, process // inputs, networks)
    return Events(*(part.to(rates.device) for part in events))


def bernoulli(
    rates: Tensor,
    duration: float,
    *,
    dt: float = 1e-3,
    generator: Random = None,
) -> Events:
    """Draws spikes in time steps, with probability rate dt in each; compiled, on a CPU.

    The cost grows only with the number of spikes.

    Args:
        rates: firing rates, Hz [B, N], or [S, B, N] for S patterns that follow one another; 0 for a
            pause.
        duration: duration of each pattern, seconds, a multiple of ``dt``.
        dt: duration of a time step, seconds.
        generator: random generator on the CPU.

    Returns:
        Spikes of B networks with N inputs, at the beginnings of time steps.

    Raises:
        InputError: if a rate times dt is not in [0, 1], or a duration is not positive, or not a
            multiple of ``dt``.

    Example:
        >>> events = bernoulli(torch.full((2, 1, 9), 500.0), duration=0.1)
        >>> 0.1 < float(events.times.max()) < 0.2
        True
    """
    from plastorch.spiking.events_kernels import draw  # importing numba takes a second

    check_positive(duration=duration, dt=dt)
    patterns = rates[None] if rates.dim() == 2 else rates
    _check_rates(patterns, "S, B, N", dt)
    if not duration / dt < MOST_STEPS:
        raise InputError(
            f"duration is {duration} s; expected less than {MOST_STEPS} steps of {dt} s"
        )
    steps = round(duration / dt)
    if not isclose(steps * dt, duration, rel_tol=ROUNDING):
        raise InputError(f"duration is {duration} s; expected a multiple of dt, {dt} s")
    chances = patterns.detach().double() * dt
    seeds = torch.randint(2**62, chances.shape[:2], generator=generator)
    found = draw(chances.contiguous().numpy(), steps, dt, seeds.numpy())
    return Events(*(torch.from_numpy(array) for array in found))


def correlated(
    rates: Tensor,
    correlation: float,
    members: Tensor,
    duration: float,
    *,
    networks: int = 1,
    dt: float = 1e-3,
    jitter: float = 0.0,
    generator: Random = None,
) -> Events:
    """Draws processes of given rates, some of which share events.

    In each time step, a mother process draws one number in [0, 1]. A member takes that number with
    probability sqrt(c), and otherwise draws its own, as nonmembers always do; an input spikes if
    its number is below rate dt. Rates thus don't reveal the members, and members of unequal rates
    share events as well. Two members of equal rate have the correlation c.

    Args:
        rates: firing rates, Hz [N].
        correlation: correlation c of two members, in [0, 1].
        members: inputs that share events, bool [N].
        duration: length of the spike trains, seconds.
        networks: number B of networks, each with its own processes.
        dt: duration of a time step, seconds.
        jitter: standard deviation of the time shift of spikes from the mother process, seconds.
        generator: random generator on the CPU.

    Returns:
        Spikes at the beginnings of time steps. Jitter moves spikes by whole steps, to where their
        input doesn't spike yet, so that rates are kept.

    Raises:
        InputError: if an argument is out of range.

    Example:
        >>> events = correlated(torch.full((9,), 20.0), 0.5, torch.arange(9) < 3, duration=1.0)
        >>> bool((events.source < 9).all())
        True
    """
    check_positive(duration=duration, dt=dt, networks=networks)
    _check_rates(rates, "N", dt)
    if not 0 <= correlation <= 1:
        raise InputError(f"correlation is {correlation}; expected 0 to 1")
    if members.shape != rates.shape or members.dtype != torch.bool:
        raise InputError(
            f"members are {members.dtype} of shape {tuple(members.shape)}; expected bool "
            f"{tuple(rates.shape)}"
        )
    check_not_negative(jitter=jitter)
    chance, steps = rates.cpu() * dt, round(duration / dt)
    margin = ceil(FARTHEST * jitter / dt)
    found = []
    for network in range(networks):
        step, source, shared = _correlated(
            chance, sqrt(correlation), members.cpu(), steps, margin=margin, generator=generator
        )
        if jitter:
            step, source = _jittered(
                step, source, shared, steps=steps, jitter=jitter / dt, generator=generator
            )
        found.append((step.double() * dt, source, torch.full_like(source, network)))
    times, source, network_of = (torch.cat(parts) for parts in zip(*found, strict=True))
    events = gather(times, source, network_of, networks)
    return Events(*(part.to(rates.device) for part in events))


def _correlated(
    chance: Tensor,
    share: float,
    members: Tensor,
    steps: int,
    *,
    margin: int,
    generator: Random,
) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the steps and inputs of a network's spikes, and whether the mother made them; the
    mother begins ``margin`` steps earlier and ends as much later. It visits only steps that may
    make a spike, so the cost grows with the number of inputs times the largest rate."""
    step, source = _bernoulli(chance, steps, generator)
    most = chance[members].max()[None] if bool(members.any()) else chance.new_zeros(1)
    small = _bernoulli(most, steps + 2 * margin, generator)[0] - margin
    mother = most * torch.rand(len(small), 1, generator=generator, dtype=chance.dtype)
    follows = members & (torch.rand(len(small), len(chance), generator=generator) < share)
    row, member = (follows & (mother < chance)).nonzero(as_tuple=True)
    # An input's own number counts only if the input didn't take the mother's in that step.
    taken = members[source] & (torch.rand(len(step), generator=generator) < share)
    place = torch.searchsorted(small, step).clamp(max=max(0, len(small) - 1))
    if len(small) > 0:
        taken = torch.where(small[place] == step, follows[place, source], taken)
    step, source = step[~taken], source[~taken]
    shared = torch.cat(
        [torch.zeros(len(step), dtype=torch.bool), torch.ones_like(row, dtype=torch.bool)]
    )
    return torch.cat([step, small[row]]), torch.cat([source, member]), shared


def _jittered(
    step: Tensor,
    source: Tensor,
    shared: Tensor,
    *,
    steps: int,
    jitter: float,
    generator: Random,
) -> tuple[Tensor, Tensor]:
    """Returns the steps and inputs of spikes, of which those of the mother move at random; what
    moves out of the spike trains is dropped. A spike that meets another one of its input is moved
    again, or the rate would fall."""
    moved, rows = step.clone(), shared.nonzero()[:, 0]
    for _ in range(DRAWS):
        noise = torch.randn(len(rows), generator=generator) * jitter
        moved[rows] = step[rows] + noise.round().long()
        rows = _repeated(moved, source).nonzero()[:, 0]
        if not len(rows):
            break
    inside = (moved >= 0) & (moved < steps)
    step, source = torch.unique(torch.stack([moved, source])[:, inside], dim=1)
    return step, source


def _repeated(step: Tensor, source: Tensor) -> Tensor:
    """Returns which spikes are in the step of an earlier one of the list and of the same input."""
    place = step * (int(source.max()) + 1 if len(source) else 1) + source
    order = place.argsort(stable=True)
    repeated = torch.zeros(len(step), dtype=torch.bool)
    repeated[order[1:]] = place[order].diff() == 0
    return repeated


def _bernoulli(chance: Tensor, steps: int, generator: Random) -> tuple[Tensor, Tensor]:
    """Draws the steps, in order for each input, and the inputs of events with a chance [N]; the
    number of steps from one event to the next has a geometric distribution."""
    count = float(steps * chance.max()) if len(chance) else 0.0
    width = int(count + 8 * sqrt(count) + 8)
    per_log = 1 / torch.log1p(-chance.double().clamp(1e-300, 1 - 1e-12))[:, None]
    last = torch.full((len(chance), 1), -1.0, dtype=torch.float64)
    found = []
    while True:
        number = torch.rand(len(chance), width, generator=generator, dtype=torch.float64)
        gaps = 1 + (torch.log1p(-number) * per_log).floor()
        step = last + gaps.clamp(max=steps + 1.0).cumsum(1)
        source, place = (step < steps).nonzero(as_tuple=True)
        found.append(torch.stack([step[source, place].long(), source]))
        last = step[:, -1:]
        if bool((last >= steps).all()):
            steps_of, sources = torch.cat(found, dim=1)
            return steps_of, sources


def latency(values: Tensor, window: float) -> Events:
    """Encodes each value as one spike at window (1 - value): earlier if larger, none at 0.

    Thorpe, Delorme, Van Rullen, *Spike-based strategies for rapid processing*, 2001.

    Args:
        values: values [B, N], in [0, 1].
        window: time of the latest spikes, seconds.

    Raises:
        InputError: if a value is not in [0, 1], or the window not positive.

    Example:
        >>> latency(torch.tensor([[0.25, 0.0, 1.0]]), window=0.1).source
        tensor([2, 0])
    """
    check_positive(window=window)
    _check_unit(values)
    if values.dim() != 2:
        raise InputError(f"values have shape {tuple(values.shape)}; expected (B, N)")
    network, source = values.nonzero(as_tuple=True)
    return gather(window * (1 - values[network, source].double()), source, network, len(values))


def rank(values: Tensor, interval: float) -> Events:
    """Encodes each value as one spike, in descending order of value; none at 0.

    Only the order matters: the spike of rank k comes at k times the interval. Equal values spike in
    the order of their inputs.

    Args:
        values: values [B, N], 0 or more.
        interval: time between two spikes, seconds.

    Raises:
        InputError: if a value is negative or not finite, or the interval not positive.

    Example:
        >>> rank(torch.tensor([[0.25, 0.0, 7.0]]), interval=0.001)[:2]
        (tensor([0.0000, 0.0010], dtype=torch.float64), tensor([2, 0]))
    """
    check_positive(interval=interval)
    if values.dim() != 2 or not bool((torch.isfinite(values) & (values >= 0)).all()):
        raise InputError(f"values have shape {tuple(values.shape)}; expected (B, N), 0 or more")
    order = values.argsort(dim=1, descending=True, stable=True)
    network, place = values.gather(1, order).nonzero(as_tuple=True)
    return gather(place.double() * interval, order[network, place], network, len(values))


def frame_events(frames: Tensor, interval: float, threshold: float = 0.15) -> Events:
    """Converts changes in a film to spikes, as an event camera does.

    A pixel spikes whenever the logarithm of its intensity has risen or fallen by ``threshold``
    since its last spike. Between two frames the logarithm is interpolated linearly.

    Lichtsteiner, Posch, Delbruck, *A 128 x 128 120 dB 15 µs latency asynchronous temporal contrast
    vision sensor*, 2008.

    Args:
        frames: intensities [T, B, N], in [0, 1].
        interval: time between two frames, seconds.
        threshold: change of log(intensity + 0.01) that makes a spike.

    Returns:
        Spikes of 2 N inputs per network: pixel j spikes as input j if it got brighter, else N + j.

    Raises:
        InputError: if an intensity is not in [0, 1], there are fewer than two frames, or an
            argument is not positive.

    Example:
        >>> frame_events(torch.tensor([0.1, 0.2]).view(2, 1, 1), interval=0.01).source
        tensor([0, 0, 0, 0])
    """
    check_positive(interval=interval, threshold=threshold)
    _check_unit(frames)
    if frames.dim() != 3 or len(frames) < 2:
        raise InputError(f"frames have shape {tuple(frames.shape)}; expected (T, B, N), T > 1")
    levels = (frames.double() + 0.01).log() / threshold
    pixels = frames.shape[2]
    reference, before = levels[0].clone(), levels[0]
    found = []
    for t, level in enumerate(levels[1:]):
        change = level - reference
        counts = change.abs().floor().long()
        network, pixel = counts.nonzero(as_tuple=True)
        many = counts[network, pixel]
        network, pixel = network.repeat_interleave(many), pixel.repeat_interleave(many)
        first = many.cumsum(0) - many
        number = torch.arange(len(network), device=many.device) - first.repeat_interleave(many) + 1
        sign = change[network, pixel].sign()
        crossed = reference[network, pixel] + sign * number
        start = before[network, pixel]
        fraction = ((crossed - start) / (level[network, pixel] - start)).clamp(0, 1)
        found.append(((t + fraction) * interval, pixel + pixels * (sign < 0), network))
        reference += change.sign() * counts
        before = level
    times, source, network = (torch.cat(parts) for parts in zip(*found, strict=True))
    return gather(times, source, network, frames.shape[1])


def _check_rates(rates: Tensor, form: str, dt: float | None = None) -> None:
    """Raises InputError unless rates are finite, 0 or more, and shaped as ``form``, say "B, N"; and
    at most one spike per ``dt``, if given."""
    if rates.dim() != len(form.split()) or rates.is_complex():
        raise InputError(f"rates are {rates.dtype} {list(rates.shape)}; expected numbers ({form})")
    low, high = (end.item() for end in rates.detach().aminmax()) if rates.numel() else (0, 0)
    if not 0 <= low <= high < inf:  # or NaN
        bad = ~(rates >= 0) | (rates == inf)
        raise InputError(f"rates hold {float(rates[bad][0])}; expected 0 Hz or more")
    if dt is not None and high * dt > 1:
        raise InputError(
            f"rates go up to {high} Hz; expected at most {1 / dt:g} Hz, one spike per dt of {dt} s"
        )


def _check_unit(values: Tensor) -> None:
    """Raises InputError unless values are in [0, 1]."""
    bad = ~((values >= 0) & (values <= 1))
    if bool(bad.any()):
        raise InputError(f"values hold {float(values[bad][0])}; expected 0 to 1")
