"""AUROC of all finished arms when cases are drawn, not drawn, or left out, as every comparison needs it."""

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.core.seeds import seed_for
from glomfeat.metrics.many import ALPHA, adjust_to_best, critical_p, joint_errors
from glomfeat.metrics.paired import paired_difference
from glomfeat.metrics.resampling import case_weights, leave_out_weights
from glomfeat.results.parts import count_holders, finished_parts, rank, regroup, tested_units


@dataclass(frozen=True)
class Resampled:
    """AUROC of the finished arms in replicates of the cases.

    Attributes
    ----------
    names : tuple of str
        Arms that have a figure and whose trials are all done, best first.
    auroc : ndarray of float64, shape (arms,)
    drawn, outside : ndarray of float64, shape (arms, replicates)
        On the cases that a bootstrap over cases has drawn, as often as drawn, and on those that it has not drawn; NaN
        if no fold keeps all classes.
    left_out : ndarray of float64, shape (arms, units)
        Without each tested case; with very many cases, without each group of
        `glomfeat.metrics.resampling.resampling_units`.
    holders : int
        The number of cases that hold the class that is in the fewest cases.
    seed : int
        The study's.
    """

    names: tuple
    auroc: np.ndarray
    drawn: np.ndarray
    outside: np.ndarray
    left_out: np.ndarray
    holders: int
    seed: int

    @cached_property
    def errors(self):
        """The result of `glomfeat.metrics.many.joint_errors`."""
        return joint_errors(self.left_out, seed_for(self.seed, "joint errors"))

    @property
    def looking(self):
        """Positions of the arms that look at images: all but the floor."""
        return [k for k, name in enumerate(self.names) if name != FLOOR]

    def less(self, one, other):
        """By how much the AUROC of one arm is above that of another, and the same without each case."""
        return self.auroc[one] - self.auroc[other], self.left_out[one] - self.left_out[other]

    def difference(self, k, other, below=ALPHA):
        """Compare two arms: `glomfeat.metrics.paired.paired_difference`.

        The floor's AUROC is 0.5 whatever is drawn, so the other arm's is within 0.5 of it: what lies between -1 and 1
        is twice the difference.
        """
        scale = 2 if FLOOR in (self.names[k], self.names[other]) else 1
        apart, left_out = self.less(k, other)
        found = paired_difference(scale * apart, scale * left_out, self.holders, below)
        return replace(found, **{name: getattr(found, name) / scale for name in ("value", "lo", "hi", "detectable")})

    def less_best(self, k, below=ALPHA):
        """Compare an arm with the best one that looks at images."""
        return self.difference(k, self.looking[0], below)

    @cached_property
    def p_adjusted(self):
        """The p-value of each arm from `glomfeat.metrics.many.adjust_to_best`; NaN for the best one."""
        p = np.array([self.less_best(k).p for k in range(len(self.names))])
        return adjust_to_best(p, self.looking[0], self.errors)

    @cached_property
    def critical(self):
        """The p-value below which an arm is called worse than the best one, see `glomfeat.metrics.many.critical_p`.

        A floor that is clearly worse costs the others nothing: the correction steps down.
        """
        floor = np.array([name == FLOOR for name in self.names])
        known = np.isfinite(self.p_adjusted) & ~(floor & (self.p_adjusted < ALPHA))
        known[self.looking[0]] = True
        return critical_p(self.errors[:, known])


def resample(run):
    """Resample the cases of a run.

    Parameters
    ----------
    run : Run

    Returns
    -------
    Resampled
    """
    parts = finished_parts(run)
    auroc = {name: float(rank(found)[0]) for name, found in parts.items()}
    names = sorted((name for name, value in auroc.items() if np.isfinite(value)), key=auroc.get, reverse=True)
    if not names:
        return Resampled((), np.zeros(0), *[np.zeros((0, 0))] * 3, 0, run.seed)
    units = tested_units(run)
    drawn = case_weights(units.max() + 1, seed=seed_for(run.seed, "bootstrap"))
    weights = np.concatenate([drawn, drawn == 0, leave_out_weights(units.max() + 1)])
    found = np.array([rank(regroup(parts[name], units), weights) for name in names])
    ends = len(drawn), 2 * len(drawn)
    holders = count_holders(regroup(parts[names[0]], units), len(run.manifest.classes))
    each = np.array([auroc[name] for name in names]), *np.split(found, ends, axis=1)
    return Resampled(tuple(names), *each, holders, run.seed)
