"""The data set on which `studies.coverage` simulates, its simulations, and the table of what they say."""

from functools import partial
from time import perf_counter

import joblib
import numpy as np
import pandas as pd

from glomfeat.core.errors import InputError
from glomfeat.core.memory import budget_bytes
from glomfeat.core.seeds import seed_for
from glomfeat.core.workers import Call, side_by_side
from glomfeat.data.cases import find_cases
from glomfeat.data.splits import deal
from glomfeat.data.tables.read import LABEL_COLUMNS, NAME_COLUMNS, find_column, read_frame
from studies.coverage.simulate import ALPHA, Structure, judge, make_twin, true_values

COLUMNS = ("question", "scenario", "metric", "method", "rate", "error", "simulations", "truth", "mean", "width")
COVERAGE, ALARMS = "coverage", "false alarms"
COPIES = 6  # of the replicates by images, in float64, that a simulation holds


def read_structure(options):
    """Labels, cases and folds of the data set, or of the twin; its images need not be there.

    Returns
    -------
    Structure

    Raises
    ------
    InputError
        The CSV cannot be read, holds no cases or not two classes, or its cases cannot be dealt to folds.
    """
    if options.labels is None:
        labels, cases = make_twin(options.cases, options.seed)
    else:
        frame = read_frame(options.labels)
        name, label = find_column(frame, NAME_COLUMNS), find_column(frame, LABEL_COLUMNS)
        if name is None or label is None:
            raise InputError(f"{options.labels} must name images in a column name and their classes in a column label")
        found, _, _, problems = find_cases(frame.rename(columns={name: "name"}), options.groups)
        if problems:
            raise InputError(f"{options.labels}: " + "; ".join(what for what, _ in problems))
        classes, labels = np.unique(frame[label].to_numpy(str), return_inverse=True)
        if len(classes) != 2:
            raise InputError(f"{options.labels} holds {len(classes)} classes: scores are drawn for two")
        cases = np.unique(found["case"].to_numpy(str), return_inverse=True)[1]
    shares = [1 / options.folds] * options.folds
    return Structure(labels, cases, deal(labels, cases, shares, seed_for(options.seed, "folds", 0)))


def simulate(options, structure, scenarios, say=None):
    """Judge each scenario as often as asked.

    Parameters
    ----------
    options : Coverage
    structure : Structure
    scenarios : sequence of Scenario
    say : callable, optional
        Told how far it is, a line a scenario.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: `rate` with its Monte-Carlo standard `error`; of intervals the true value, the mean figure
        and the mean width. Rows do not depend on `jobs`.
    """
    rows, n, jobs = [], options.simulations, options.jobs or joblib.cpu_count()
    need, budget = COPIES * options.replicates * len(structure.labels) * 8, budget_bytes()
    for scenario in scenarios:
        start = perf_counter()
        one = partial(judge, structure, scenario, options.replicates, options.seed)
        found = found_by(side_by_side(one, [Call(k, need) for k in range(n)], scenario.name, jobs, budget), n)
        if say:
            say(f"{scenario.name}: {n} simulations in {perf_counter() - start:.0f} s")
        truth = true_values(scenario, structure.labels.mean())
        for metric, method in found[0][0]:
            ends = np.array([intervals[metric, method] for intervals, _ in found])
            held = (ends[:, 1] <= truth[metric]) & (truth[metric] <= ends[:, 2])
            rest = truth[metric], ends[:, 0].mean(), (ends[:, 2] - ends[:, 1]).mean()
            rows.append((COVERAGE, scenario.name, metric, method, held.mean(), np.nan, n, *rest))
        for method in found[0][1]:
            alarms = np.array([p[method] < ALPHA for _, p in found])
            rows.append((ALARMS, scenario.name, "auroc", method, alarms.mean(), np.nan, n, 0.0, np.nan, np.nan))
    frame = pd.DataFrame(rows, columns=COLUMNS)
    return frame.assign(error=np.sqrt(frame["rate"] * (1 - frame["rate"]) / n))


def found_by(ended, n):
    """What calls of the numbers 0 to n - 1 gave, in their order.

    Raises
    ------
    MemoryError
        A call was lost.
    """
    found = {}
    for call in ended:
        if call.lost:
            raise MemoryError(call.lost)
        found[call.item] = call.found
    return [found[number] for number in range(n)]


def to_markdown(frame, title):
    """Rates in per cent with their Monte-Carlo errors: a table of intervals, one of tests.

    Returns
    -------
    str
    """
    lines = [f"# {title}", ""]
    asked = {COVERAGE: "95 % limits that hold the truth, in %", ALARMS: "equal arms called different at 5 %, in %"}
    for question, said in asked.items():
        rows = frame[frame["question"] == question]
        if rows.empty:
            continue
        scenarios, largest = list(dict.fromkeys(rows["scenario"])), rows["error"].max()
        lines += [f"{said} (Monte-Carlo error at most {100 * largest:.1f})", ""]
        lines += ["| metric | method | " + " | ".join(scenarios) + " |", "|---|---|" + "---:|" * len(scenarios)]
        for (metric, method), group in rows.groupby(["metric", "method"], sort=False):
            rates = group.set_index("scenario")["rate"]
            lines.append(
                f"| {metric} | {method} | " + " | ".join(f"{100 * rates[name]:.1f}" for name in scenarios) + " |"
            )
        lines.append("")
    return "\n".join(lines)
