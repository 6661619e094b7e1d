"""Simulation of whether limits cover if there are few cases, or if few of many cases hold a class."""

from functools import partial
from time import perf_counter

import numpy as np

from glomfeat.core.seeds import seed_for
from glomfeat.core.words import markdown_table
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights
from glomfeat.results.parts import find_limits, measure
from studies.coverage.run import repeat, with_error
from studies.coverage.simulate import Scenario, Structure, draw_scores, true_values

CASES = (4, 6, 8, 12, 24)
OURS, ALL = "cases that it is made of (ours)", "all cases"
METRICS = ("auroc", "accuracy", "sensitivity", "specificity")
SCENARIOS = (
    Scenario("AUROC 0.90", 0.90, 0.15, 0.10),
    Scenario("AUROC 0.97, cases alike", 0.97, 0.30, 0.20),
    Scenario("AUROC 0.99", 0.99, 0.15, 0.10),
)
HELD = {
    "both": "every case holds both classes",
    "few": "three in four cases hold no positive image",
    "one": "every case holds one class, half of them the positive one",
}
COLUMNS = (
    *("structure", "cases", "scenario", "metric", "method", "rate", "error", "simulations"),
    *("truth", "mean", "width", "at_bound"),
)
NEED = 4_000_000  # memory of a simulation, in bytes


def make_few(held, cases, rng):
    """Labels and cases of a small study, with heavy-tailed sizes of cases.

    Parameters
    ----------
    held : str
        A key of `HELD`.
    cases : int
        How many cases hold positive images.
    rng : numpy.random.Generator

    Returns
    -------
    Structure
        With one fold.

    Examples
    --------
    >>> found = make_few("few", 4, np.random.default_rng(0))
    >>> len(np.unique(found.cases)), len(np.unique(found.cases[found.labels == 1]))
    (16, 4)
    """
    total = cases * {"both": 1, "few": 4, "one": 2}[held]
    sizes = np.clip(np.round(np.exp(rng.normal(np.log(18), 0.85, total))), 2, 114).astype(int)
    case = np.repeat(np.arange(total), sizes)
    if held == "one":
        y = case < cases
    else:
        y = (rng.random(len(case)) < 0.4) & (case < cases)
        first = np.cumsum(sizes) - sizes
        y[first[:cases]], y[first + 1] = True, False
    return Structure(y.astype(np.int64), case, np.zeros(len(case), np.int64))


def _judge_few(held, cases, scenario, seed, number):
    """Draw a small study once: each figure with its limits, by metric and method."""
    rng = np.random.default_rng(seed_for(seed, held, cases, scenario.name, number))
    structure = make_few(held, cases, rng)
    score = draw_scores(structure, scenario, rng, share=0.5)[0]
    parts = structure.parts(score)
    whole, ends = measure(parts, 2), find_limits(parts, 2)
    without, found = measure(parts, 2, leave_out_weights(structure.cases.max() + 1)), {}
    for metric in METRICS:
        value = float(whole[metric][0])
        found[metric, OURS] = value, *ends[metric]
        found[metric, ALL] = value, *jackknife_limits(value, without[metric])
    return found


def simulate_few(options, say=None):
    """Judge small studies of each structure, number of cases and scenario, as often as asked.

    Parameters
    ----------
    options : Coverage
    say : callable, optional
        Called with a line on progress for each structure and number of cases.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: the `rate` of limits that hold the truth, its Monte-Carlo standard `error`, the mean figure
        and width, and how often the figure was at a bound. Missing limits count as not holding the truth.
    """
    rows = []
    truths = {scenario.name: true_values(scenario, 0.5) for scenario in SCENARIOS}
    for held in HELD:
        for cases in CASES:
            start = perf_counter()
            for scenario in SCENARIOS:
                rows += _rows(options, held, cases, scenario, truths[scenario.name])
            if say:
                say(f"{HELD[held]}, {cases} cases: {perf_counter() - start:.0f} s")
    return with_error(rows, COLUMNS, options.simulations)


def _rows(options, held, cases, scenario, truth):
    one, n = partial(_judge_few, held, cases, scenario, options.seed), options.simulations
    found = repeat(one, NEED, scenario.name, options)
    true = truth | {"accuracy": truth["sensitivity"]}  # equally frequent classes are called equally well
    for metric, method in found[0]:
        value, low, high = np.array([limits[metric, method] for limits in found]).T
        holds, bound = (low <= true[metric]) & (true[metric] <= high), (value <= 0) | (value >= 1)
        rest = true[metric], value.mean(), (high - low).mean(), bound.mean()
        yield held, cases, scenario.name, metric, method, holds.mean(), np.nan, n, *rest


def few_to_markdown(frame):
    """Rates in per cent, with a table for each structure."""
    lines = ["# Studies of few cases", ""]
    for held, group in frame.groupby("structure", sort=False):
        lines += [f"{HELD[held]}: 95 % limits that hold the truth, in %, by cases with positive images", ""]
        rows = [["scenario", "metric", "limits of", *map(str, CASES)]]
        for named, part in group.groupby(["scenario", "metric", "method"], sort=False):
            rows.append([*named, *(f"{100 * rate:.1f}" for rate in part["rate"])])
        lines += [markdown_table(rows, "lll"), ""]
    lines.append(f"Monte-Carlo error at most {100 * frame['error'].max():.1f}")
    return "\n".join(lines)
