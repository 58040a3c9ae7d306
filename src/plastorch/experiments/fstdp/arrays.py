"""Arrays of a run from which figures of spiking networks are drawn, and their groups of inputs.

Letters are dimensions; arrays that a run has not kept are not drawn.

- Inputs: ``rates`` Hz [N], ``members`` bool [N], the correlated ones.
- Learning: ``times`` seconds [P], ``weights_RULE`` [P, N].
- The end of it, in steps of 1 ms: ``raster`` bool [T, N], ``output`` bool [T], ``membrane`` [T],
  ``theta`` [T].
- Analysis: ``boundary_ratios`` of rates [R], ``boundary_correlations`` [C], ``boundary_strengths``
  of fatigue, U r τ [X], ``boundary_auc_fast`` and ``boundary_margin`` [R, C, X].
- Cost: ``cost_synapses`` [A], ``cost_synapse_seconds`` [A], ``cost_spikes`` [B] and
  ``cost_spike_seconds`` [B], per simulated second; ``cost_slopes`` and ``cost_misfits`` [2].
- Stations: ``longitude`` and ``latitude`` degrees [S], ``rain`` share of hours [S],
  ``weights_RULE`` [S], ``covariance_sums`` [S], ``clusters`` int [S], below 0 for none.
- A stream of digits: ``course_frames``, ``course_expected`` and ``course_rest`` [F, H, W];
  ``course_labels`` int [T], ``course_shares`` of classes [T, C] and ``course_answers_NETWORK`` int
  [T], of T / F times as many frames; output spikes ``raster_times`` seconds [E] and
  ``raster_neurons`` int [E], ``names`` of the neurons, int [K].
- Tests: ``curve_TRANSFORM_NETWORK``, accuracy by the frames since a digit came [T];
  ``covered_TRANSFORM``, share of the field that is covered [T].
"""

import numpy as np

from plastorch.report.load import Array, RunData, kept

RULES = {
    "stdp": "STDP",
    "fstdp": "fatiguing STDP",
    "memristive": "fatiguing STDP, phase-change synapses",
}


def input_groups(run: RunData, inputs: int) -> dict[str, Array]:
    """Returns correlated inputs and others; slow and fast ones too, if there are just two rates."""
    found = kept(run, members="N")
    if found is None or found[0].shape != (inputs,):
        return {"inputs": np.ones(inputs, bool)}
    members = found[0].astype(bool)
    rates = kept(run, members="N", rates="N")
    levels = np.unique(rates[1]) if rates else np.array([])
    if len(levels) == 2:
        assert rates is not None
        slow = rates[1] == levels[0]
        groups = {
            "slow, correlated": slow & members,
            "slow": slow & ~members,
            "fast, correlated": ~slow & members,
            "fast": ~slow & ~members,
        }
    else:
        groups = {"correlated": members, "others": ~members}
    return {name: group for name, group in groups.items() if group.any()}
