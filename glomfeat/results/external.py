"""Results on cohorts from other places, for arms that were fitted on all images of a study."""

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from glomfeat.core.arms import Trial
from glomfeat.core.words import number_of
from glomfeat.data.cases import IMAGE_LEVEL, named_alike
from glomfeat.metrics.own_cases import own_cases
from glomfeat.metrics.recalibration import calibration_line, lines_without_cases, recalibrated
from glomfeat.metrics.resampling import apart_limits, open_limits, resampling_units
from glomfeat.metrics.scores import brier
from glomfeat.metrics.table import limit_columns, limits_of, metric_columns
from glomfeat.results.case_level import WEIGHTED
from glomfeat.results.comparisons import COLUMNS as COMPARED
from glomfeat.results.comparisons import comparisons_table
from glomfeat.results.predictions import predictions_table
from glomfeat.results.run import Run
from glomfeat.results.show import decide_by_largest
from glomfeat.results.tables import ranked, read_written, results_table, with_figure
from glomfeat.results.terminal import print_cells
from glomfeat.results.unmoved import without_limits
from glomfeat.results.words import between, count, figure

ALIKE = "cases_alike"
BEFORE = (
    *("cohort", "images", "cases", ALIKE, "positives", "arm"),
    *("kind", "feature", "weights", "reducer", "head", "status"),
)
INSIDE = ("internal_auroc", "internal_auroc_lo", "internal_auroc_hi", "difference", "difference_lo", "difference_hi")
SLOPE, INTERCEPT = "calibration_slope", "calibration_intercept"
LINE = (SLOPE, *limits_of(SLOPE), INTERCEPT, *limits_of(INTERCEPT), "brier_recalibrated")
OF_TRIALS = {"p_ttest", "p_ttest_holm", "p_worse", "p_equivalent", "p_better", "n_trials"}
OF_BOTH = ("auroc", "average_precision", "precision", "f1", "mcc")  # figures that one class alone says nothing about
FOLD = 0


@dataclass(frozen=True)
class Cohort:
    """Images from another place, with what the journal says about them.

    Attributes
    ----------
    name : str
    manifest : Manifest
        The images that could be read.
    aside : list of dict
        ``name`` and ``reason`` of those that could not be read.
    records : dict of str to dict
        By arm: ``status``, ``reason`` and, if it is done, ``threshold`` and ``scores``.
    """

    name: str
    manifest: object
    aside: list = field(default_factory=list)
    records: dict = field(default_factory=dict)


@dataclass(frozen=True)
class External:
    """The tables of all cohorts.

    Attributes
    ----------
    results, comparisons, predictions, aside : pandas.DataFrame
        The contents of external.csv, external_comparisons.csv, external_predictions.parquet and
        external_quarantine.csv.
    """

    results: pd.DataFrame
    comparisons: pd.DataFrame
    predictions: pd.DataFrame
    aside: pd.DataFrame


def external_tables(run, internal, cohorts):
    """What each arm reaches in each cohort, beside what it reached at home.

    Thresholds are those that each arm chose on inner out-of-fold scores of all images of the study; nothing is chosen
    in a cohort. Limits and comparisons are as in `glomfeat.results.tables.results_table` and
    `glomfeat.results.comparisons.comparisons_table`, over the cohort's cases.

    Parameters
    ----------
    run : Run
        The run of the study.
    internal : pandas.DataFrame
        From `results_table`.
    cohorts : sequence of Cohort

    Returns
    -------
    External
    """
    tables = [_of_cohort(run, internal, cohort) for cohort in cohorts]
    results, comparisons, predictions = (pd.concat(parts, ignore_index=True) for parts in zip(*tables, strict=True))
    rows = [{"cohort": cohort.name, **row} for cohort in cohorts for row in cohort.aside]
    return External(results, comparisons, predictions, pd.DataFrame(rows).reindex(columns=["cohort", "name", "reason"]))


def cohort_run(run, cohort):
    """Make a cohort into a run in which each arm has one trial, which tests all images.

    Parameters
    ----------
    run : Run
        The run of the study.
    cohort : Cohort

    Returns
    -------
    Run
    """
    table = cohort.manifest.table
    folds = table[["name", "case", "label"]].assign(repeat=0, fold=FOLD)
    trials = [Trial(arm, 0, FOLD) for arm in dict.fromkeys(trial.arm for trial in run.trials)]
    records = {trial.key: cohort.records[str(trial.arm)] for trial in trials if str(trial.arm) in cohort.records}
    return Run(**run.given() | {"manifest": cohort.manifest, "folds": folds, "trials": trials, "records": records})


def _of_cohort(run, internal, cohort):
    there = cohort_run(run, cohort)
    comparisons = comparisons_table(there)
    found = results_table(there, comparisons)
    manifest, lacking = cohort.manifest, _lacking(cohort.manifest)
    if lacking:  # no figure ranks the arms, so they stay as in the study
        places = found["arm"].map({arm: place for place, arm in enumerate(internal["arm"])})
        found = found.iloc[np.argsort(places, kind="stable")].reset_index(drop=True)
        blank = [column for name in OF_BOTH for column in (name, *limits_of(name))]
        found[blank] = np.nan
    found, unlimited = without_limits(found)
    found["reason"] = [_joined(why, of, lacking) for why, of in zip(found["reason"], unlimited, strict=True)]
    facts = {"cohort": cohort.name, "images": len(manifest), "cases": len(np.unique(manifest.cases))}
    facts[ALIKE] = len(named_alike(manifest, run.manifest))
    facts["positives"] = int((manifest.labels == len(manifest.classes) - 1).sum())
    found = found.assign(**facts)
    found = found.join(_beside(found, internal)).join(_calibration(there, found["arm"]))
    own = list(run.metrics)
    columns = [*BEFORE, *metric_columns(), "p_vs_best", "tied_with_best", *INSIDE, *LINE, "reason", "split"]
    found = found.reindex(columns=[*columns, *limit_columns(), WEIGHTED, *limits_of(WEIGHTED), *own])
    compared = comparisons.reindex(columns=[column for column in COMPARED if column not in OF_TRIALS])
    compared.insert(0, "cohort", cohort.name)
    return found, compared, _predictions(there, cohort.name)


def alike_in_words(alike, cases, which="", its="its", of="of DATA"):
    """Say how many cases of a cohort are named like cases of DATA.

    Examples
    --------
    >>> alike_in_words(1, 9)
    '1 of its 9 cases is named like a case of DATA: if it is the same patient, its figures are too good'
    """
    one = alike == 1
    same = "it is the same patient" if one else "they are the same patients"
    named = "is named like a case" if one else "are named like cases"
    return f"{alike} of {its} {number_of(cases, 'case')} {named} {of}{which}: if {same}, {its} figures are too good"


def _joined(*reasons):
    return "; ".join(filter(None, reasons))


def _lacking(manifest):
    """Say why figures that need all classes are not known; empty if all classes are there."""
    held = set(manifest.labels.tolist())
    lacks = ", ".join(name for label, name in enumerate(manifest.classes) if label not in held)
    return f"the cohort holds no image of {lacks}: no AUROC, nor what else takes all classes" if lacks else ""


def _beside(found, internal):
    """AUROC at home, and its difference to that elsewhere; the cases differ, so the samples are independent."""
    home, rows = internal.set_index("arm"), []
    for row in found.to_dict("records"):
        own = home.loc[row["arm"], ["auroc", *limits_of("auroc")]].astype(float).tolist()
        ends = [row[end] for end in limits_of("auroc")]
        rows.append([*own, row["auroc"] - own[0], *apart_limits(row["auroc"], ends, own[0], own[1:])])
    return pd.DataFrame(rows, columns=list(INSIDE), index=found.index, dtype=float)


def _calibration(there, arms):
    """The line that would calibrate an arm's scores in the cohort, and the Brier score that this would give."""
    y, cases, rows = there.manifest.labels, there.manifest.cases, []
    units = resampling_units(cases)[cases]
    holders = own_cases("each", y, units, units.max() + 1, len(there.manifest.classes))[1]
    for arm in arms:
        record, row = there.records.get((arm, 0, FOLD), {}), [np.nan] * len(LINE)
        if record.get("status") == "done" and len(there.manifest.classes) == 2:
            score = np.asarray(record["scores"], np.float64)
            line = calibration_line(y, score)
            if np.isfinite(line).all():
                without = lines_without_cases(y, score, line, units, units.max() + 1)
                limited = (
                    (value, *open_limits(value, left, holders)) for value, left in zip(line, without.T, strict=True)
                )
                row = [figure for figures in limited for figure in figures]
                row.append(brier(y, recalibrated(score, *line)))
        rows.append(row)
    return pd.DataFrame(rows, columns=list(LINE), index=arms.index, dtype=float)


def _predictions(there, name):
    frame = predictions_table(there).assign(cohort=name)
    several = [column for column in frame.columns if column.startswith("score_")]
    first = ["cohort", "arm", "name", "case", "label", "score", "threshold", "prediction"]
    return frame[[*first, *several]]


def read_external(path):
    """Read the table that a run wrote; cohorts such as NA and 007 keep their names.

    Parameters
    ----------
    path : Path or None

    Returns
    -------
    pandas.DataFrame or None
        The content of external.csv; None for None.
    """
    return read_written(path, ("cohort", "reason"))


def lines_on_dropped(path, cohorts, scored=()):
    """Say which cohorts of earlier commands the table to be written leaves out, and how to get them back.

    Parameters
    ----------
    path : Path
        Path of external.csv, which need not exist.
    cohorts : sequence of Cohort
        Cohorts to be written.
    scored : iterable of str
        Names of cohorts whose scores are kept.

    Returns
    -------
    list of str
    """
    if not cohorts:
        return []
    try:
        written = read_external(path if path.is_file() else None)
    except ValueError:  # it was cut short
        written = None
    there = [] if written is None else written.get("cohort", pd.Series(dtype=str)).astype(str)
    earlier, names = dict.fromkeys([*there, *scored]), [one.name for one in cohorts]
    return [
        f"cohort {name}: external.csv and its report leave it out, because this command does not name it: give --test "
        f"{name}=PATH too to have it back; its scores are kept, and nothing is fitted again"
        for name in earlier
        if name not in names
    ]


def external_cells(rows):
    """The rows of a cohort as text: figures at home and there, and their difference.

    Parameters
    ----------
    rows : pandas.DataFrame
        From external.csv.

    Returns
    -------
    list of dict of str to str
        ``arm``, ``status`` (empty if it is done), ``internal``, ``external`` and ``difference``, each with its limits,
        ``sensitivity`` and ``specificity`` (at the threshold), ``slope``.

    Examples
    --------
    >>> row = dict.fromkeys(("auroc", "auroc_lo", "auroc_hi", *INSIDE, *LINE), 0.5) | {"difference_lo": 0.25}
    >>> row |= {"arm": "a", "status": "done", "reason": "", "sensitivity_t": 0.7, "specificity_t": np.nan}
    >>> cells = external_cells(pd.DataFrame([row]))[0]
    >>> cells["difference"], cells["external"]
    ('+0.500 (+0.250 to +0.500)', '0.500')
    """
    found = []
    for row in rows.to_dict("records"):
        cell = {"arm": row["arm"], "status": "" if row["status"] == "done" else f"{row['status']}: {row['reason']}"}
        for name, column in (("internal", "internal_auroc"), ("external", "auroc")):
            ends = [row[end] for end in limits_of(column)]
            limits = f" ({between(*ends)})" if ends[0] < ends[1] else ""
            cell[name] = f"{figure(row[column])}{limits}" if np.isfinite(row[column]) else ""
        ends = [row[column] for column in ("difference", "difference_lo", "difference_hi")]
        limits = " ({:+z.3f} to {:+z.3f})".format(*ends[1:]) if ends[1] < ends[2] else ""
        cell["difference"] = f"{ends[0]:+z.3f}{limits}" if np.isfinite(ends[0]) else ""
        shown = {"sensitivity": "sensitivity_t", "specificity": "specificity_t", "slope": "calibration_slope"}
        found.append(cell | {name: figure(row[column]) for name, column in shown.items()})
    return found


def in_short(rows):
    """Describe a cohort in a few words.

    Parameters
    ----------
    rows : pandas.DataFrame
        From external.csv, those of one cohort.
    """
    first = rows.iloc[0]
    of_cases = f" of {count(int(first['cases']), 'case')}" if first["split"] != IMAGE_LEVEL else ""
    return f"{count(int(first['images']), 'image')}{of_cases}, {first['positives']} positive"


def print_external(table, internal, console):
    """Print with rich what arms reach in each cohort, and whether their ranking held.

    Parameters
    ----------
    table : pandas.DataFrame
        From external.csv.
    internal : pandas.DataFrame
        From `results_table`, for the study.
    console : rich.console.Console
    """
    figures = {"internal": "in DATA", "external": "there", "difference": "difference"}
    of_two = {"sensitivity": "sens.", "specificity": "spec.", "slope": "slope"}
    largest = decide_by_largest(internal)  # a cohort that lacks a class has no figures that would tell
    for cohort, rows in table.groupby("cohort", sort=False):
        shown = figures | ({} if largest else of_two)
        title = f"elsewhere: {cohort}, {in_short(rows)}; AUROC with 95 % limits"
        title += "" if largest else ", sens. and spec. at the threshold of DATA"
        cells = [["arm", *shown.values()]]
        for cell in external_cells(rows):
            arm = f"{cell['arm']} ({cell['status']})" if cell["status"] else cell["arm"]
            cells.append([arm, *(cell[name] for name in shown)])
        print_cells(cells, title, console)
        console.print(held_in_words(rows, internal), markup=False, highlight=False)


def held_in_words(rows, internal, names=None):
    """Say in a sentence whether the ranking of a study's arms held in a cohort; only finished arms have a rank.

    Parameters
    ----------
    rows : pandas.DataFrame
        From external.csv, those of one cohort.
    internal : pandas.DataFrame
        From `results_table`, for the study.
    names : dict of str to str, optional
        What arms are called.

    Returns
    -------
    str

    Examples
    --------
    >>> rows = pd.DataFrame({"cohort": "north", "arm": ["a", "b", "c"], "auroc": [0.8, 0.7, 0.6]})
    >>> rows = rows.assign(internal_auroc=[0.9, 0.8, 0.7], tied_with_best=[True, True, False], p_vs_best=[None, 0.3, 0])
    >>> held_in_words(rows, rows.assign(auroc=rows["internal_auroc"], status="done"))
    "north: the study's best arm, a, is the best there too (AUROC 0.800), but one other arm does not differ from it
    beyond chance; Kendall's tau of the ranks of 3 arms is 1.00"
    """
    from scipy.stats import kendalltau

    cohort, names = rows["cohort"].iloc[0], names or {}
    known, at_home = with_figure(rows), ranked(internal)["arm"].tolist()
    mine = known[known["arm"].isin(at_home)]
    unknown = f"{cohort}: whether the ranking of arms held cannot be said"
    if mine.empty:
        return f"{unknown}: no arm has an AUROC in both"
    first, best = mine[mine["arm"] == at_home[0]], known.loc[known["auroc"].idxmax()]
    home, there = (names.get(arm, arm) for arm in (at_home[0], best["arm"]))
    if first.empty:
        return f"{unknown}: the study's best arm, {home}, has no AUROC there"
    first, told = first.iloc[0], known["p_vs_best"].notna()
    as_good, behind = known["tied_with_best"].astype(str) == "True", known["auroc"] < best["auroc"]
    whose = f"the study's best arm, {home},"
    if first["auroc"] == best["auroc"]:
        alone = (known["auroc"] == best["auroc"]).sum() == 1
        said = f"{whose} {'is' if alone else 'is one of'} the best there too (AUROC {figure(first['auroc'])})"
        if others := int((as_good & behind & told).sum()):
            said += f", but {count(others, 'other arm does', 'other arms do')} not differ from it beyond chance"
        if untold := int((behind & ~told).sum()):
            differ = count(untold, "other arm differs", "other arms differ")
            said += f"; whether {differ} from it beyond chance cannot be told"
    else:
        areas = f"the best there, {there} (AUROC {figure(first['auroc'])} and {figure(best['auroc'])})"
        tied = "does not differ beyond chance from" if as_good[first.name] else "is behind"
        said = f"{whose} {tied} {areas}"
        if not told[first.name]:
            said = f"whether {whose} differs beyond chance from {areas} cannot be told"
    text = f"{cohort}: {said}"
    tau = kendalltau(mine["internal_auroc"], mine["auroc"]).statistic if len(mine) > 2 else np.nan
    return f"{text}; Kendall's tau of the ranks of {len(mine)} arms is {figure(tau, 2)}" if np.isfinite(tau) else text
