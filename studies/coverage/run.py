"""The data set that `studies.coverage` simulates on, its simulations, and the tables of their results."""

from functools import partial
from itertools import product
from pathlib import Path
from time import perf_counter

import joblib
import numpy as np
import pandas as pd

from glomfeat.core.errors import InputError
from glomfeat.core.memory import budget_bytes
from glomfeat.core.seeds import seed_for
from glomfeat.core.words import markdown_table
from glomfeat.core.workers import Call, side_by_side
from glomfeat.data.cases import find_cases
from glomfeat.data.labels.classes import labelled, one_row_each, one_spelling, order_classes
from glomfeat.data.problems import complain
from glomfeat.data.splits import deal
from glomfeat.data.tables.columns import USUAL
from glomfeat.data.tables.read import LABEL_COLUMNS, NAME_COLUMNS, find_column, read_frame
from studies.coverage.best_of import HOLM, MAX_T, UNCHOSEN, judge_best
from studies.coverage.simulate import ALPHA, Structure, judge, make_twin, true_values

COLUMNS = ("question", "scenario", "metric", "method", "rate", "error", "simulations", "truth", "mean", "width")
OF_BEST = ("scenario", "arms", "method", "bias", "error", "rate", "width", "simulations")
COVERAGE, ALARMS = "coverage", "false alarms"
COPIES = 6  # copies of the replicates by image, in float64, that a simulation holds


def read_structure(options, say=None):
    """Labels, cases and folds of the data set or of its generated twin; the images themselves are not needed.

    Parameters
    ----------
    options : Coverage
    say : callable, optional
        Called with each line on how the table was read.

    Raises
    ------
    InputError, ManifestError
        The CSV cannot be read, has no cases or not exactly two classes, or its cases cannot be dealt to folds.
    """
    positive = ""
    if options.labels is None:
        labels, cases = make_twin(options.cases, options.seed)
    else:
        labels, cases, positive = _read_labels(Path(options.labels).expanduser(), options.groups, say)
    shares = [1 / options.folds] * options.folds
    return Structure(labels, cases, deal(labels, cases, shares, seed_for(options.seed, "folds", 0)), positive)


def _read_labels(path, groups, say):
    """The labels and cases that a table gives, read as a study reads it, and the name of the positive class."""
    frame, notes, problems = read_frame(path), [], []
    if find_column(frame, NAME_COLUMNS) is None or find_column(frame, LABEL_COLUMNS) is None:
        raise InputError(f"{path} must name images in a column name and their classes in a column label")
    frame = one_row_each(labelled(path, notes=notes, frame=frame), problems, USUAL, notes, path.name)
    if (blank := frame["raw"] == "").any():
        problems.append(("images without a label", frame["name"][blank].tolist()))
    found, classes = find_cases(frame, groups), one_spelling(frame["raw"], notes)
    ordered = order_classes(set(classes), None, problems)
    complain(path, problems + found.problems)
    if len(ordered) != 2:
        raise InputError(f"{path} holds {len(ordered)} classes: scores are drawn for two")
    for line in notes if say else []:
        say(line)
    cases = np.unique(found.cases["case"].to_numpy(str), return_inverse=True)[1]
    return (classes == ordered[-1]).to_numpy(np.int64), cases, ordered[-1]


def title_of(structure):
    """The number of cases, how many images they have, and the share of positives, in words."""
    sizes, share = np.bincount(structure.cases), 100 * structure.labels.mean()
    named = f" ({structure.positive})" if structure.positive else ""
    return f"{len(sizes)} cases of {sizes.min()} to {sizes.max()} images, {share:.0f} % positive{named}"


def simulate(options, structure, scenarios, say=None):
    """Judge each scenario as often as asked.

    Parameters
    ----------
    options : Coverage
    structure : Structure
    scenarios : sequence of Scenario
    say : callable, optional
        Called with a line on progress for each scenario.

    Returns
    -------
    pandas.DataFrame
        Columns `COLUMNS`: the `rate` with its Monte-Carlo standard `error`; for intervals also the true value, the mean
        figure and the mean width. Rows do not depend on `jobs`.
    """
    rows, n = [], options.simulations
    need = COPIES * options.replicates * len(structure.labels) * 8
    for scenario in scenarios:
        one = partial(judge, structure, scenario, options.replicates, options.seed)
        found = repeat(one, need, scenario.name, options, say)
        truth = true_values(scenario, structure.labels.mean())
        for metric, method in found[0][0]:
            ends = np.array([intervals[metric, method] for intervals, _ in found])
            held = (ends[:, 1] <= truth[metric]) & (truth[metric] <= ends[:, 2])
            rest = truth[metric], ends[:, 0].mean(), (ends[:, 2] - ends[:, 1]).mean()
            rows.append((COVERAGE, scenario.name, metric, method, held.mean(), np.nan, n, *rest))
        for method in found[0][1]:
            alarms = np.array([p[method] < ALPHA for _, p in found])
            rows.append((ALARMS, scenario.name, "auroc", method, alarms.mean(), np.nan, n, 0.0, np.nan, np.nan))
    return with_error(rows, COLUMNS, n)


def simulate_best(options, structure, scenarios, say=None):
    """Judge the best of many equal arms as often as asked, in each scenario and for each number of arms.

    Parameters are those of `simulate`.

    Returns
    -------
    pandas.DataFrame
        Columns `OF_BEST`: for figures the `bias` with its Monte-Carlo standard `error`, the `rate` at which limits hold
        the truth and their mean `width`; for tests the `rate` at which some arm is called worse. The bias is measured
        against the mean of all arms on the same scores, which is that of each arm if none is chosen. For this mean
        itself, it is measured against the AUROC of images of different cases.
    """
    if few := [arms for arms in options.best_of if arms < 2]:
        raise InputError(f"--best-of is {few[0]}: give two arms or more, because the best of one is no choice")
    rows, n = [], options.simulations
    for arms, scenario in product(options.best_of, scenarios):
        one = partial(judge_best, structure, scenario, arms, options.replicates, options.seed)
        need = (2 * options.replicates + structure.cases.max()) * (structure.cases.max() + 3 * arms) * 8
        found = repeat(one, need, f"{scenario.name}, best of {arms}", options, say)
        for method in found[0][0]:
            values, low, high = np.array([figures[method] for figures, _ in found]).T
            held = (low <= scenario.auroc) & (scenario.auroc <= high)
            expected = scenario.auroc if method == UNCHOSEN else [figures[UNCHOSEN][0] for figures, _ in found]
            apart = values - expected
            rest = held.mean() if np.isfinite(low).all() else np.nan, (high - low).mean(), n
            error = apart.std(ddof=1) / np.sqrt(n) if n > 1 else np.nan
            rows.append((scenario.name, arms, method, apart.mean(), error, *rest))
        for method in found[0][1]:
            rate = np.mean([alarm[method] for _, alarm in found])
            rows.append((scenario.name, arms, method, np.nan, np.sqrt(rate * (1 - rate) / n), rate, np.nan, n))
    return pd.DataFrame(rows, columns=OF_BEST)


def with_error(rows, columns, n):
    """The table of rates in `n` simulations, with the Monte-Carlo standard error of each."""
    frame = pd.DataFrame(rows, columns=columns)
    return frame.assign(error=np.sqrt(frame["rate"] * (1 - frame["rate"]) / n))


def repeat(one, need, name, options, say=None):
    """Results of a simulation for each number; says how long all of them took, if `say` is given."""
    start, n, jobs, found = perf_counter(), options.simulations, options.jobs or joblib.cpu_count(), {}
    calls = [Call(number, need) for number in range(n)]
    for ended in side_by_side(one, calls, name, jobs, budget_bytes()):
        if ended.lost:
            raise MemoryError(ended.lost)
        found[ended.item] = ended.found
    if say:
        say(f"{name}: {n} simulations in {perf_counter() - start:.0f} s")
    return [found[number] for number in range(n)]


def to_markdown(frame, title):
    """Rates in per cent with their Monte-Carlo errors: one table of intervals, one of tests."""
    lines = [f"# {title}", ""]
    asked = {COVERAGE: "95 % limits that hold the truth, in %", ALARMS: "equal arms called different at 5 %, in %"}
    for question, said in asked.items():
        rows = frame[frame["question"] == question]
        if rows.empty:
            continue
        lines += [f"{said} (Monte-Carlo error at most {100 * rows['error'].max():.1f})", ""]
        lines += [_by_scenario(rows, ["metric", "method"], "rate", _per_cent, "ll"), ""]
    return "\n".join(lines)


def _by_scenario(rows, keys, column, shown, align):
    """A table in Markdown with a row for each value of `keys`, and a column for each scenario."""
    scenarios = list(dict.fromkeys(rows["scenario"]))
    cells = [[*keys, *scenarios]]
    for named, group in rows.groupby(keys, sort=False):
        values = group.set_index("scenario")[column]
        cells.append([*map(str, named), *(shown(values[name]) for name in scenarios)])
    return markdown_table(cells, align)


def _per_cent(rate):
    return f"{100 * rate:.1f}"


def best_to_markdown(frame, title):
    """Tables on the best of many equal arms: its bias in AUROC, how often limits hold, and false alarms."""
    lines, tests = [f"# {title}", ""], frame["method"].isin([MAX_T, HOLM])
    error = f"(Monte-Carlo error at most {frame.loc[~tests, 'error'].max():.4f})"
    for said, which, column, shown in (
        (f"AUROC of the best less the mean of all arms {error}", ~tests, "bias", "{:+.4f}".format),
        ("95 % limits that hold the truth, in %", ~tests, "rate", _per_cent),
        ("their mean width", ~tests, "width", "{:.3f}".format),
        ("some of the equal arms is called worse than the best at 5 %, in %", tests, "rate", _per_cent),
    ):
        known = frame[which & frame[column].notna()]
        lines += [said, "", _by_scenario(known, ["arms", "method"], column, shown, "rl"), ""]
    return "\n".join(lines)
