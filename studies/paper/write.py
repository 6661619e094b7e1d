"""The tables and figures of the paper, from the output folders of its studies."""

import pandas as pd

from glomfeat import __version__
from glomfeat.core.arms import FLOOR
from glomfeat.core.atomic import write_text
from glomfeat.core.csvs import read_csv
from glomfeat.core.disk import writing
from glomfeat.core.words import markdown_table
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.drawing import STYLE
from glomfeat.report.paper import Paper, save_figures
from glomfeat.results.leak_price import COLUMNS as OF_LEAKS
from glomfeat.results.leak_price import price_in_words, read_leak_price
from glomfeat.results.save import save_table
from glomfeat.results.words import between, figure, signed
from studies.coverage.best_of import CORRECTED, HOLM, MAX_T, SEEN
from studies.coverage.run import ALARMS, COVERAGE
from studies.coverage.simulate import CASES, IMAGES, OURS, PAIRED, PAIRED_CASES, PAIRED_IMAGES, RESAMPLED, WILCOXON
from studies.paper.draw import draw_coverage, draw_leaks
from studies.paper.steps import QUICK_SAID

KINDS = ("png", "pdf")
LIMITS = (OURS, CASES, IMAGES)
TESTS = (PAIRED, PAIRED_CASES, PAIRED_IMAGES, RESAMPLED, WILCOXON)
OF_BEST = (SEEN, CORRECTED)
OF_ARMS = ("auroc", "auroc_lo", "auroc_hi", "auroc_procedure_lo", "auroc_procedure_hi", "sensitivity_t")
OF_ARMS += ("specificity_t", "brier", "tied_with_best")
OF_COST = ("images", "cases", "trials", "trial_s", "longest_s", "peak_mb")


def leaks(steps):
    """What a split of images claims, next to the split by case, for each arm and data set.

    Returns
    -------
    pandas.DataFrame
        ``data``, and the columns of leak_price.csv.
    """

    def read(step):
        found = read_leak_price(step.out)
        return found[found["arm"] != FLOOR]

    return _together(steps, read, OF_LEAKS)


def arms(steps):
    """Figures by case with their limits, for each arm and data set.

    Returns
    -------
    pandas.DataFrame
        ``data``, ``arm``, and columns of results.csv.
    """

    def read(step):
        found = read_csv(step.out / "results.csv")
        return found[found["arm"] != FLOOR]

    return _together(steps, read, ("arm", *OF_ARMS))


def chosen(steps):
    """The best arm of each data set, and its AUROC corrected for that choice.

    Returns
    -------
    pandas.DataFrame
        ``data``, and the first row of best_of_many.csv.
    """
    columns = ("arm", "auroc", "corrected", "corrected_lo", "corrected_hi", "chosen", "arms")
    return _together(steps, lambda step: read_csv(step.out / "best_of_many.csv").head(1), columns)


def costs(steps):
    """What the trials of each data set took.

    Returns
    -------
    pandas.DataFrame
        ``data``, and `OF_COST`: images, cases and trials, the seconds of all trials and of the longest one, and the
        most memory that all processes together held.
    """

    def read(step):
        trials, images = read_csv(step.out / "trials.csv"), read_csv(step.out / "folds.csv")
        took = trials["fit_s"] + trials["predict_s"]
        found = len(images), images["case"].nunique(), len(trials), took.sum(), took.max(), trials["tree_pss_mb"].max()
        return pd.DataFrame([found], columns=OF_COST)

    return _together(steps, read, OF_COST)


def rates(steps):
    """How often limits hold the truth, and how often tests call equal arms different, in each scenario.

    Returns
    -------
    pandas.DataFrame
        Columns of coverage.csv, for the AUROC.
    """
    found = _simulated(steps, "coverage", "coverage.csv")
    known = found[(found["metric"] == "auroc") & found["method"].isin(LIMITS + TESTS)]
    return known.sort_values(
        "method", key=lambda names: names.map((LIMITS + TESTS).index), kind="stable", ignore_index=True
    )


def best_of(steps):
    """How much too good the best of equal arms looks, and how often some arm is called worse, in each scenario.

    Returns
    -------
    pandas.DataFrame
        Columns of best_of.csv.
    """
    found = _simulated(steps, "best_of", "best_of.csv")
    return found[found["method"].isin((*OF_BEST, MAX_T, HOLM))].reset_index(drop=True)


def leaks_as_text(table):
    """Cells of `leaks`, starting with the headings."""
    cells = [["data", "arm", "AUROC, split by image", "AUROC, split by case", "price (95 % limits)"]]
    for row in table.itertuples():
        price = price_in_words(row._asdict()) if row.status == "done" else row.status
        cells.append([row.data, plain(row.arm), figure(row.auroc_by_image), figure(row.auroc_by_case), price])
    return cells


def arms_as_text(table):
    """Cells of `arms`, starting with the headings."""
    cells = [["data", "arm", "AUROC (95 % limits)", "limits of the procedure", "sensitivity", "specificity", "tied"]]
    for row in table.itertuples():
        auroc = f"{figure(row.auroc)} ({between(row.auroc_lo, row.auroc_hi)})"
        ends = between(row.auroc_procedure_lo, row.auroc_procedure_hi)
        rest = (
            figure(row.sensitivity_t),
            figure(row.specificity_t),
            "yes" if row.tied_with_best in (True, "True") else "",
        )
        cells.append([row.data, plain(row.arm), auroc, ends, *rest])
    return cells


def chosen_as_text(table):
    """Cells of `chosen`, starting with the headings."""
    cells = [["data", "best arm", "AUROC", "corrected for the choice (95 % limits)", "best in % of replicates"]]
    for row in table.itertuples():
        ends = between(row.corrected_lo, row.corrected_hi)
        shown = f"{figure(row.corrected)} ({ends})", figure(100 * row.chosen, 0)
        cells.append([row.data, f"{plain(row.arm)}, of {row.arms:.0f}", figure(row.auroc), *shown])
    return cells


def costs_as_text(table):
    """Cells of `costs`, starting with the headings."""
    cells = [["data", "images", "cases", "trials", "all trials, s", "longest trial, s", "memory of all processes, MB"]]
    for row in table.itertuples():
        whole = (f"{number:,}" for number in (row.images, row.cases, row.trials))
        cells.append([row.data, *whole, figure(row.trial_s, 1), figure(row.longest_s, 1), figure(row.peak_mb, 0)])
    return cells


def rates_as_text(table):
    """Cells of `rates` in per cent, starting with the headings."""
    return _by_scenario(
        table,
        [
            ("95 % limits of AUROC that hold the truth", table["question"] == COVERAGE, LIMITS),
            ("equal arms called different at 5 %", table["question"] == ALARMS, TESTS),
        ],
    )


def best_as_text(table):
    """Cells of `best_of`, as AUROC above the mean of all arms and in per cent, starting with the headings."""
    known = table.assign(rate=table["bias"].where(table["method"].isin(OF_BEST), table["rate"]))
    whole = known["method"].notna()
    return _by_scenario(
        known,
        [("AUROC above the mean of all arms", whole, OF_BEST), ("some arm called worse", whole, (MAX_T, HOLM))],
        dict.fromkeys(OF_BEST, signed),
    )


# For each name, the function that reads a table from the studies, and the one that turns it into text.
TABLES = {
    "leak": (leaks, leaks_as_text),
    "arms": (arms, arms_as_text),
    "best": (chosen, chosen_as_text),
    "cost": (costs, costs_as_text),
    "coverage": (rates, rates_as_text),
    "best_of": (best_of, best_as_text),
}
FIGURES = {"leak": draw_leaks, "coverage": draw_coverage}


def write_all(steps, out, quick):
    """Write each table as CSV and as Markdown, and each figure as PNG and PDF.

    Parameters
    ----------
    steps : list of studies.paper.steps.Step
        All of them have been run.
    out : Path
    quick : bool
        Whether the figures must say that they are not the paper's.

    Returns
    -------
    list of str
        Lines that say what was written.
    """
    said = f"glomfeat {__version__}" + (f"; {QUICK_SAID}" if quick else "")
    with writing(out):
        (out / "figures").mkdir(exist_ok=True)
    found = {name: read(steps) for name, (read, _) in TABLES.items()}
    for name, (_, as_text) in TABLES.items():
        save_table(found[name], out / f"{name}.csv")
        cells = as_text(found[name])
        write_text(out / f"{name}.md", f"{markdown_table(cells, 'l' * len(cells[0]))}\n\n{said}\n")
    save_figures([draw(found[name]) for name, draw in FIGURES.items()], out / "figures", Paper(KINDS), STYLE)
    files = [f"{name}.csv and {name}.md" for name in TABLES]
    drawn = [f"figures/{name}.{kind}" for name in FIGURES for kind in KINDS]
    return [f"tables in {out}: {', '.join(files)}", f"figures in {out}: {', '.join(drawn)}"]


def _by_scenario(table, questions, otherwise=()):
    scenarios, cells = list(dict.fromkeys(table["scenario"])), []
    for said, which, methods in questions:
        for method in methods:
            row = table[which & (table["method"] == method)].set_index("scenario")["rate"]
            show = dict(otherwise).get(method, _per_cent)
            cells.append([said, method, *(show(row[name]) for name in scenarios)])
    return [["", "method", *scenarios], *cells]


def _per_cent(rate):
    return f"{100 * rate:.1f} %"


def plain(arm):
    """The short name of an arm."""
    return plain_arms([arm])[arm]


def _together(steps, read, columns):
    found = [read(step).reindex(columns=columns).assign(data=step.title) for step in steps if step.is_comparison]
    return pd.concat(found, ignore_index=True)[["data", *columns]]


def _simulated(steps, name, file):
    return next(read_csv(step.out / file) for step in steps if step.name == name)
