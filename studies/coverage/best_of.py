"""Simulation of the best of many equal arms: its corrected figure, and whether some arm is called worse than it."""

import numpy as np

from glomfeat.core.seeds import seed_for
from glomfeat.metrics.many import adjust_to_best, best_of_many, holm, joint_errors
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import case_weights, jackknife_limits, leave_out_weights, limits
from glomfeat.results.parts import count_holders, rank
from studies.coverage.simulate import ALPHA, draw_scores

UNCHOSEN, SEEN = "that mean, less the AUROC of images of different cases", "best arm, as seen"
CORRECTED, JACKKNIFE = "best arm, corrected (ours)", "the same, with the arm's jackknife"
MAX_T, HOLM = "max-T over cases (ours)", "Holm's correction"


def judge_best(structure, scenario, arms, replicates, seed, number):
    """Draw the scores of equal arms once, take the one that looks best, and judge it.

    Parameters
    ----------
    structure : Structure
    scenario : Scenario
    arms : int
    replicates : int
        Replicates of the bootstrap.
    seed : int
    number : int
        Number of the simulation.

    Returns
    -------
    figures : dict of str to (float, float, float)
        The best one's AUROC with its limits, by method.
    alarm : dict of str to bool
        Whether some arm is called worse than the best one, by method.
    """
    cases, named = structure.cases, (scenario.name, "best of", arms, number)
    weights = case_weights(cases.max() + 1, replicates, seed_for(seed, *named, "cases"))
    weights = np.concatenate([weights, weights == 0, leave_out_weights(cases.max() + 1)])
    drawn = draw_scores(structure, scenario, np.random.default_rng(seed_for(seed, *named)), arms)
    parts = [structure.parts(score) for score in drawn]
    seen = np.array([rank(one)[0] for one in parts])
    best, holders = int(seen.argmax()), count_holders(parts[0], 2)
    found = np.array([rank(one, weights) for one in parts])
    drawn, outside, left_out = np.split(found, (replicates, 2 * replicates), axis=1)
    corrected = best_of_many(seen, drawn, outside)
    own, (low, high) = jackknife_limits(seen[best], left_out[best], holders=holders), limits(corrected.figures)
    figures = {
        UNCHOSEN: (seen.mean(), np.nan, np.nan),
        SEEN: (seen[best], *own),
        CORRECTED: (corrected.value, np.minimum(low, own[0]), high),
        JACKKNIFE: (corrected.value, *jackknife_limits(corrected.value, left_out[best], holders=holders)),
    }
    compared = (paired_difference(seen[k] - seen[best], left_out[k] - left_out[best], holders) for k in range(arms))
    p = np.where(np.arange(arms) == best, np.nan, [found.p for found in compared])
    adjusted = adjust_to_best(p, best, joint_errors(left_out, seed_for(seed, *named, "errors")))
    alarm = {
        MAX_T: bool(np.nanmin(adjusted) < ALPHA),
        HOLM: min(holm(np.delete(p, best))) < ALPHA,
    }
    return figures, alarm
