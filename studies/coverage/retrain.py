"""Simulation of whole studies: features with case effects, newly fitted heads, and which limits hold which truth."""

from dataclasses import dataclass
from functools import partial
from itertools import combinations

import numpy as np

from glomfeat.core.seeds import seed_for
from glomfeat.core.threads import limited_threads
from glomfeat.data.splits import deal
from glomfeat.metrics.by_case import case_sums
from glomfeat.metrics.paired import resampled_mean
from glomfeat.metrics.placements import influences
from glomfeat.metrics.procedure import procedure_limits, retraining
from glomfeat.metrics.resampling import jackknife, leave_out_weights, logit_limits
from glomfeat.metrics.scores import auroc
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.selection import fit_chosen, score_settings, settings_of
from glomfeat.results.parts import Part, find_limits, rank
from studies.coverage.run import COLUMNS, COVERAGE, repeat, with_error
from studies.coverage.simulate import OURS, Scenario

LEFT_OUT, CORRECTED = f"{OURS} and folds left out", "corrected variance (Nadeau & Bengio)"
NESTED = "nested cross-validation (Bates et al.)"
MODELS, PROCEDURE = "auroc of these models", "auroc of the procedure"
SHARED = 3  # columns that separate the classes
FRESH = 20_000  # fresh images, each of a case of its own
COPIES = 8  # copies of the features, in float64, that a simulation holds


@dataclass(frozen=True)
class Retrained:
    """A scenario of whole studies.

    Attributes
    ----------
    name : str
    scenario : Scenario
        For each column its shares of variance, and the AUROC of the best score that all columns allow.
    columns : int
    even : bool
        Whether there are 24 cases of 20 images, six of them positive; otherwise the cases are those of the data set.
    """

    name: str
    scenario: Scenario
    columns: int
    even: bool


def _both(name, columns, *of_scores):
    where = ("its cases", False), ("24 even cases", True)
    return [Retrained(f"{there}, {name}", Scenario(name, *of_scores), columns, even) for there, even in where]


RETRAINED = (
    *_both("12 features", 12, 0.85, 0.30, 0.20),
    *_both("40 features", 40, 0.90, 0.30, 0.20),
)


def even_cases():
    """Labels and cases of 24 cases of 20 images, six of which are positive."""
    return (np.arange(480) % 20 < 6).astype(np.int64), np.arange(480) // 20


def draw_features(labels, cases, retrained, rng):
    """Normal features, each with effects of the case, and of the class within the case."""
    of, wide = retrained.scenario, retrained.columns
    found = np.sqrt(of.case) * rng.normal(size=(cases.max() + 1, wide))[cases]
    found += np.sqrt(of.class_in_case) * rng.normal(size=(cases.max() + 1, 2, wide))[cases, labels]
    found += np.sqrt(1 - of.case - of.class_in_case) * rng.normal(size=found.shape)
    found[:, :SHARED] += of.apart / np.sqrt(SHARED) * labels[:, None]
    return found


def fit_study(X, labels, folds, head, judged):
    """For each fold, fit a head on all others; models without two folds choose its setting, as in a study.

    Parameters
    ----------
    X : ndarray, shape (n, columns)
    labels, folds : ndarray of int, shape (n,)
    head : Head
    judged : ndarray, shape (m, columns)
        Fresh images.

    Returns
    -------
    list of (rows, scores, inner_auroc, fresh)
        For each fold: its rows, their scores, the mean AUROC of inner folds, and the scores of `judged`.
    """
    names, settings, scored, found = range(folds.max() + 1), settings_of(head), {}, []
    rows = [np.flatnonzero(folds == name) for name in names]
    for one, other in combinations(names, 2):
        fit = np.flatnonzero((folds != one) & (folds != other))
        both = np.concatenate([rows[one], rows[other]])
        scores = score_settings(head, settings, X[fit], labels[fit], X[both], 2)
        scored[other, one], scored[one, other] = scores[:, : len(rows[one])], scores[:, len(rows[one]) :]
    for name in names:
        others = [other for other in names if other != name]
        inner, given = [(None, rows[other]) for other in others], [scored[name, other] for other in others]
        train = np.flatnonzero(folds != name)
        chosen = fit_chosen(head, X, labels, train, inner, 2, "balanced", scored=given)
        tested, fresh = (scores_of(chosen.estimator, part, 2) for part in (X[rows[name]], judged))
        found.append((rows[name], tested, chosen.inner_auroc, fresh))
    return found


def _judge_study(structure, retrained, head, folds, fresh, seed, number):
    """Draw a study once, fit it, and find its limits with each method.

    The mean AUROC of the fitted models on fresh images, each of a case of its own; the AUROC that the study finds; and
    limits by method.
    """
    labels, cases = even_cases() if retrained.even else (structure.labels, structure.cases)
    here = deal(labels, cases, [1 / folds] * folds, seed_for(seed, retrained.name, number, "folds"))
    X = draw_features(labels, cases, retrained, np.random.default_rng(seed_for(seed, retrained.name, number)))
    truth, own = np.arange(fresh) % 2, np.arange(fresh)
    judged = draw_features(truth, own, retrained, np.random.default_rng(seed_for(seed, retrained.name, "fresh")))
    with limited_threads(1):
        fitted = fit_study(X, labels, here, make_head(head, seed_for(seed, number)), judged)
    parts = [Part(0, labels[rows], cases[rows], scores, 0.5) for rows, scores, _, _ in fitted]
    true = float(np.mean([auroc(truth, scores) for *_, scores in fitted]))
    return true, float(rank(parts)[0]), _find_all_limits(parts, [inner for _, _, inner, _ in fitted])


def _find_all_limits(parts, inner):
    """Limits of the AUROC of one repeat, with each method; `inner` is the mean AUROC of inner folds for each part."""
    k, cases = len(parts), 1 + max(part.cases.max() for part in parts)
    value, outer, inner = float(rank(parts)[0]), np.array([rank([part])[0] for part in parts]), np.array(inner)
    error, freedom = jackknife(rank(parts, leave_out_weights(cases)))
    own = find_limits(parts, 2)["auroc"]
    again = procedure_limits(value, (error**2, freedom), retraining(inner[None], outer[None]), own)
    _, corrected, fewer = resampled_mean(outer, 1 / (k - 1))
    sums = [case_sums(influences(part.y, part.score), part.cases, cases) for part in parts]
    by_fold = [jackknife(moved[moved != 0] * n / (n - 1))[0] ** 2 for moved in sums if (n := (moved != 0).sum()) > 1]
    apart = (k - 1) / k * (np.mean((inner - outer) ** 2) - np.mean(by_fold))
    nested = np.clip(np.sqrt(max(apart, 0)), error, np.sqrt(k) * error)
    ends = {CORRECTED: (corrected, fewer), NESTED: (nested, freedom)}
    return {OURS: own, LEFT_OUT: again} | {name: logit_limits(value, *found) for name, found in ends.items()}


def simulate_studies(options, structure, scenarios, say=None):
    """Judge whole studies of each scenario, as often as asked.

    Parameters
    ----------
    options : Coverage
    structure : Structure
    scenarios : sequence of Retrained
    say : callable, optional
        Called with a line on progress for each scenario.

    Returns
    -------
    pandas.DataFrame
        As in `studies.coverage.run.simulate`. Limits of each method are compared with the AUROC of the fitted models,
        which differs from study to study, and with that of the procedure, which is its mean over all studies.
    """
    rows, n = [], options.simulations
    for scenario in scenarios:
        images = len(even_cases()[0] if scenario.even else structure.labels)
        need = COPIES * (images + FRESH) * scenario.columns * 8
        one = partial(_judge_study, structure, scenario, options.head, options.folds, FRESH, options.seed)
        found = repeat(one, need, scenario.name, options, say)
        true, values = (np.array([study[k] for study in found]) for k in (0, 1))
        for metric, held in ((MODELS, true), (PROCEDURE, np.full(n, true.mean()))):
            for method in found[0][2]:
                low, high = np.array([intervals[method] for *_, intervals in found]).T
                rate = ((low <= held) & (held <= high)).mean()
                rest = true.mean(), values.mean(), (high - low).mean()
                rows.append((COVERAGE, scenario.name, metric, method, rate, np.nan, n, *rest))
    return with_error(rows, COLUMNS, n)
