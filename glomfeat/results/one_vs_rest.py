"""The finished trials of an arm as yes-or-no questions: with more than two classes, each class against the rest."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from glomfeat.metrics.own_cases import own_cases
from glomfeat.results.parts import Part, arms_of, pooled, trial_parts, units_of
from glomfeat.results.run import Run


@dataclass(frozen=True)
class Question:
    """Whether images belong to a class, and what an arm says.

    Attributes
    ----------
    arm : str
    label : str
        The class; with two classes, the positive one.
    parts : list of Part
        `y` is 1 for its images, `score` is that of the class. `threshold` is for two classes only.
    units : ndarray of int, shape (number of cases,)
        What is left out with each case, from `glomfeat.results.parts.units_of`.
    """

    arm: str
    label: str
    parts: list[Part]
    units: np.ndarray

    @property
    def repeats(self) -> int:
        """How often images were tested."""
        return len({part.repeat for part in self.parts})

    @property
    def n_cases(self) -> int:
        """How many cases were tested."""
        return len(np.unique(np.concatenate([part.cases for part in self.parts])))

    def pooled(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Labels, scores and units of all repeats."""
        y, score, cases = pooled(self.parts, "y", "score", "cases")
        return y, score, self.units[cases]

    def holders(self) -> int:
        """How many units hold the rarer side; 0 if one side has no image."""
        y, _, units = self.pooled()
        return own_cases("each", y, units, units.max() + 1)[1] if 0 < y.sum() < len(y) else 0


def questions(run: Run) -> Iterator[Question]:
    """Yield the questions of each arm that has finished trials.

    Parameters
    ----------
    run : Run

    Yields
    ------
    Question
    """
    classes, units = run.manifest.classes, units_of(run)
    for arm, trials in arms_of(run).items():
        if not (parts := trial_parts(run, trials)):
            continue
        if len(classes) == 2:
            yield Question(arm, classes[1], parts, units)
            continue
        for k, label in enumerate(classes):
            of = [replace(part, y=(part.y == k).astype(np.int64), score=part.score[:, k]) for part in parts]
            yield Question(arm, label, of, units)
