"""The answer of a comparison in a few sentences of plain words."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.results.best_of_many import best_of_many_in_words
from glomfeat.results.comparisons import detectable
from glomfeat.results.reference import reference_in_words
from glomfeat.results.tables import with_figure
from glomfeat.results.words import between, count, figure, plain_class


def question(run):
    """What the comparison asks."""
    *others, positive = map(plain_class, run.manifest.classes)
    unseen = " on cases the classifier has never seen" if run.manifest.by_case and not run.manifest.torn else ""
    if len(others) > 1:
        return f"Which features and classifiers tell {', '.join(others)} and {positive} apart{unseen}?"
    return f"Which features and classifiers tell {positive} from {others[0]}{unseen}?"


def answer(run, results, names, smallest):
    """Which arm is best, how sure that is, and what could not be told apart.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.
    names : dict of str to str
        Of `glomfeat.report.arm_names.plain_arms`.
    smallest : float
        Median of `glomfeat.results.comparisons.detectable`.

    Returns
    -------
    list of str
        Sentences.
    """
    known = with_figure(results)
    if known.empty:
        return ["No arm has a figure yet."]
    best = known.iloc[0]
    unit, there = "case" if run.manifest.by_case else "image", run.ever_tested
    seen = run.manifest.keep(there)
    n = seen.table["case"].nunique() if run.manifest.by_case else len(seen)
    unit = unit if there.all() else f"tested {unit}"
    so_far = "" if all(trial.key in run.records for trial in run.trials) else " so far"
    limits = f"95 % limits {between(best['auroc_lo'], best['auroc_hi'])}"
    if not np.isfinite(best["auroc_lo"]):
        limits = f"no limits, because a single {unit} holds all images of a class"
    first = f"The best arm{so_far} is {names[best['arm']]}, with an AUROC of {figure(best['auroc'])} ({limits})"
    if str(best["weights"]).startswith("random") and "random" not in names[best["arm"]]:
        first += ", with random weights"
    second = _ties(results, names, count(n, unit))
    if np.isfinite(smallest):
        second += f"; the smallest difference from the best that could be seen is about {figure(smallest)}"
    return [first + ".", second[0].upper() + second[1:] + "."]


def whole_answer(content):
    """All sentences of the answer: what was planned before the first trial comes before what looks best.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    list of str
    """
    smallest, reference = detectable(content.comparisons).median(), content.reference
    unit = "case" if content.run.manifest.by_case else "image"
    first, *ties = answer(content.run, content.results, content.names, smallest)
    lucky = [said] if (said := best_of_many_in_words(content.best_of_many, unit)) else []
    if reference is None:
        return [first, *lucky, *ties]
    planned = reference_in_words(reference, content.against_reference, content.names)
    return [*planned, first, *lucky] if reference.before else [first, *lucky, *ties, *planned]


def _ties(results, names, unit):
    """Which of the other arms cannot be told from the best."""
    finished = results[(results["status"] == "done") & (results["arm"] != FLOOR)]
    if len(finished) < 2:
        return f"there is no other finished arm to compare it with on these {unit}"
    others = finished.iloc[1:]
    tied = others[others["tied_with_best"].map(lambda value: value is True)]
    if tied.empty:
        verb = "is" if len(others) == 1 else "are all"
        return f"{count(len(others), 'other arm')} {verb} worse beyond chance on these {unit}"
    which = f" ({names[tied['arm'].iloc[0]]})" if len(tied) == 1 else ""
    if len(tied) == len(others) > 1:
        return f"none of the {count(len(tied), 'other arm')} can be told from it with these {unit}"
    return f"{count(len(tied), 'other arm')}{which} cannot be told from it with these {unit}"
