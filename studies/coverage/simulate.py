"""Draw scores for the cases of a data set, and judge them with each method."""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, ndtr, ndtri
from scipy.stats import norm, wilcoxon

from glomfeat.core.seeds import seed_for
from glomfeat.metrics.paired import paired_difference, resampled_t
from glomfeat.metrics.resampling import case_weights, leave_out_weights, limits, paired_p
from glomfeat.metrics.scores import auroc, mcc
from glomfeat.results.parts import Part, count_holders, find_limits, measure, rank

OURS, CASES, IMAGES = "jackknife over cases (ours)", "percentile bootstrap over cases", "bootstrap over images"
PAIRED = f"{OURS}, paired"
PAIRED_CASES, PAIRED_IMAGES = "paired bootstrap over cases", "paired bootstrap over images"
RESAMPLED, WILCOXON = "corrected resampled t-test", "Wilcoxon over bootstrap replicates"
COVERED = ("auroc", "average_precision", "sensitivity", "specificity", "mcc", "brier")
ALIKE = 0.7
IMAGE_REPLICATES = 200
OVERCONFIDENT = 1.5
ALPHA = 0.05


@dataclass(frozen=True)
class Scenario:
    """How scores are drawn: normally, with variance 1 within each class.

    Attributes
    ----------
    name : str
    auroc : float
        For images of different cases.
    case, class_in_case : float
        Shares of the variance that are common to all images of a case, and to all images of a class in a case.
    """

    name: str
    auroc: float
    case: float
    class_in_case: float

    @property
    def apart(self):
        """Distance between the means of the classes."""
        return float(np.sqrt(2) * ndtri(self.auroc))


SCENARIOS = (
    Scenario("independent images", 0.90, 0.0, 0.0),
    Scenario("weak", 0.90, 0.05, 0.05),
    Scenario("typical", 0.90, 0.15, 0.10),
    Scenario("strong", 0.90, 0.30, 0.20),
    Scenario("typical, high AUROC", 0.97, 0.15, 0.10),
    Scenario("strong, low AUROC", 0.75, 0.40, 0.20),
)


@dataclass(frozen=True)
class Structure:
    """The label, case and fold of each image, and the name of the positive class, if it has one."""

    labels: np.ndarray
    cases: np.ndarray
    folds: np.ndarray
    positive: str = ""

    def parts(self, score):
        """The images of each fold, with their scores among those of all images."""
        of_folds = (self.folds == k for k in range(self.folds.max() + 1))
        return [Part(0, self.labels[rows], self.cases[rows], score[rows], 0.5) for rows in of_folds]


def make_twin(cases=215, seed=0):
    """Labels and cases like those of a cohort of biopsies: heavy-tailed sizes, most cases with both classes.

    Returns
    -------
    labels, cases : ndarray of int64, shape (n,)
        For 215 cases: about 6,000 images, 1 to 430 a case, 19 % positive, two thirds of the cases with both classes.

    Examples
    --------
    >>> labels, cases = make_twin()
    >>> len(labels), int(np.bincount(cases).max()), round(float(labels.mean()), 2)
    (6016, 430, 0.19)
    """
    rng = np.random.default_rng(seed_for(seed, "twin"))
    sizes = np.clip(np.round(np.exp(rng.normal(np.log(18), 0.85, cases))), 1, 114).astype(int)
    sizes[:2] = 430, 290
    share = rng.beta(0.65, 2.9, cases)
    share[:2] = 0.08
    case = np.repeat(np.arange(cases), sizes)
    return (rng.random(len(case)) < share[case]).astype(np.int64), case


def draw_scores(structure, scenario, rng, arms=2, share=None):
    """Draw scores of equally good arms.

    All arms share `ALIKE` of the variance of each effect. Scores are probabilities, overconfident by a slope of
    `OVERCONFIDENT` on the logit scale, for a `share` of positive images; the structure's own share if left out.
    """
    y, cases = structure.labels, structure.cases
    shapes = (cases.max() + 1,), (cases.max() + 1, 2), (len(y),)
    common, found = [rng.normal(size=shape) for shape in shapes], []
    for _ in range(arms):
        own = [np.sqrt(ALIKE) * seen + np.sqrt(1 - ALIKE) * rng.normal(size=seen.shape) for seen in common]
        left = 1 - scenario.case - scenario.class_in_case
        score = np.sqrt(scenario.case) * own[0][cases] + np.sqrt(scenario.class_in_case) * own[1][cases, y]
        score = score + np.sqrt(left) * own[2] + scenario.apart * y
        found.append(_probability(score, scenario, y.mean() if share is None else share))
    return found


def _probability(score, scenario, share):
    return expit(OVERCONFIDENT * (scenario.apart * score - scenario.apart**2 / 2 + logit(share)))


def true_values(scenario, share):
    """The metrics of infinitely many images, each of a case of its own, by integration over the score.

    Parameters
    ----------
    scenario : Scenario
    share : float
        Share of positives.
    """
    grid = np.linspace(-9, 9 + scenario.apart, 400_001)
    step = grid[1] - grid[0]
    ones, zeros = share * norm.pdf(grid, scenario.apart) * step, (1 - share) * norm.pdf(grid) * step
    score = _probability(grid, scenario, share)
    hits, calls = np.cumsum(ones[::-1])[::-1], np.cumsum((ones + zeros)[::-1])[::-1]
    cut = scenario.apart / 2 - logit(share) / scenario.apart
    sensitivity, specificity = ndtr(scenario.apart - cut), ndtr(cut)
    counts = np.array([[specificity, 1 - specificity], [1 - sensitivity, sensitivity]])
    return {
        "auroc": scenario.auroc,
        "average_precision": float((ones * hits / calls).sum() / share),
        "sensitivity": float(sensitivity),
        "specificity": float(specificity),
        "mcc": float(mcc(counts * [[1 - share], [share]])),
        "brier": float((ones * (score - 1) ** 2 + zeros * score**2).sum()),
    }


def judge(structure, scenario, replicates, seed, number):
    """Draw the scores of two equal arms once, and judge them with every method.

    Parameters
    ----------
    structure : Structure
    scenario : Scenario
    replicates : int
        Replicates of each bootstrap.
    seed : int
    number : int
        Number of the simulation.

    Returns
    -------
    intervals : dict of (str, str) to (float, float, float)
        A figure with its limits, by metric and method.
    p : dict of str to float
        P-values, by test.
    """
    y, cases, folds = structure.labels, structure.cases, structure.folds
    rng = np.random.default_rng(seed_for(seed, scenario.name, number))
    arms = draw_scores(structure, scenario, rng)
    parts = [structure.parts(score) for score in arms]
    weights = case_weights(cases.max() + 1, replicates, seed_for(seed, scenario.name, number, "cases"))
    figures, drawn, ends = measure(parts[0], 2), measure(parts[0], 2, weights), find_limits(parts[0], 2)
    intervals = {}
    for metric in COVERED:
        value = float(figures[metric][0])
        intervals[metric, OURS] = value, *ends[metric]
        intervals[metric, CASES] = value, *limits(drawn[metric])
    by_image = _over_images(
        y, folds, arms, min(replicates, IMAGE_REPLICATES), seed_for(seed, scenario.name, number, "images")
    )
    intervals["auroc", IMAGES] = float(figures["auroc"][0]), *limits(by_image[0])
    of_folds = np.concatenate([rank([one]) - rank([other]) for one, other in zip(*parts, strict=True)])
    value = float(rank(parts[0])[0] - rank(parts[1])[0])
    out, holders = leave_out_weights(cases.max() + 1), count_holders(parts[0], 2)
    return intervals, {
        PAIRED: paired_difference(value, rank(parts[0], out) - rank(parts[1], out), holders).p,
        PAIRED_CASES: paired_p(drawn["auroc"] - rank(parts[1], weights), holders),
        RESAMPLED: resampled_t(of_folds, 1 / (len(parts[0]) - 1)),
        PAIRED_IMAGES: paired_p(by_image[0] - by_image[1]),
        WILCOXON: float(wilcoxon(by_image[0], by_image[1]).pvalue),
    }


def _over_images(y, folds, arms, replicates, seed):
    """AUROC of the arms in replicates of a bootstrap over the images of each fold and class."""
    rng, found = np.random.default_rng(seed), np.zeros((len(arms), replicates))
    parts = np.unique(folds)
    for part in parts:
        weights = np.zeros((replicates, (folds == part).sum()))
        for label in (0, 1):
            rows = np.flatnonzero(y[folds == part] == label)
            drawn = rng.integers(len(rows), size=weights[:, rows].shape) + len(rows) * np.arange(replicates)[:, None]
            weights[:, rows] = np.bincount(drawn.ravel(), minlength=drawn.size).reshape(drawn.shape)
        found += [auroc(y[folds == part], score[folds == part], weights) for score in arms]
    return found / len(parts)
