"""The answer of a comparison in a few plain sentences."""

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.core.words import capital, joined
from glomfeat.report.arm_names import spelled
from glomfeat.results.asked import asked_in_words
from glomfeat.results.best_of_many import best_of_many_in_words
from glomfeat.results.comparisons import missed_in_words
from glomfeat.results.doubts import best_may_be_chance
from glomfeat.results.reference import reference_in_words
from glomfeat.results.tables import finished_first, ranked, why_without_figure, with_figure
from glomfeat.results.words import between, count, figure, plain_class


def question(run):
    """Write the question that the comparison asks."""
    *others, positive = map(plain_class, run.manifest.classes)
    unseen = " on cases the classifier has never seen" if run.manifest.is_split_by_case else ""
    if len(others) > 1:
        return f"Which features and classifiers distinguish {', '.join(others)} and {positive}{unseen}?"
    return f"Which features and classifiers distinguish {positive} from {others[0]}{unseen}?"


def answer(run, results, names, missed=""):
    """Say which arm is best, how certain that is, and which arms cannot be told apart.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    names : dict of str to str
        From `glomfeat.report.arm_names.plain_arms`.
    missed : str
        Clause to end with, from `glomfeat.results.comparisons.missed_in_words`.

    Returns
    -------
    list of str
        Sentences.
    """
    known = with_figure(finished_first(results))
    if known.empty:
        ended = all(trial.key in run.records for trial in run.trials)
        why = why_without_figure(results, "the table")
        return [f"{capital(why)}." if ended else "No arm has a figure yet."]
    best = known.iloc[0]
    unit, there = run.manifest.unit, run.ever_tested
    seen = run.manifest.keep(there)
    n = seen.table["case"].nunique() if run.manifest.by_case else len(seen)
    unit = unit if there.all() else f"tested {unit}"
    so_far = "" if all(trial.key in run.records for trial in run.trials) else " so far"
    limits = f"95 % limits {between(best['auroc_lo'], best['auroc_hi'])}"
    if not np.isfinite(best["auroc_lo"]):
        limits = f"no limits, because a single {unit} holds all images of a class"
    elif best["auroc_lo"] == best["auroc_hi"]:
        limits = f"no limits, because it is the same without each {unit}"
    which = spelled(best["arm"], names)
    if best["status"] != "done":
        which += f" ({_tested(run, best)})"
    place = "only" if (results["arm"] != FLOOR).sum() == 1 else "best"
    first = f"The {place} arm{so_far} is {which}, with an AUROC of {figure(best['auroc'])} ({limits})"
    if str(best["weights"]).startswith("random") and "random" not in names[best["arm"]]:
        first += ", with random weights"
    second = "; ".join(filter(None, (_ties(results, names, count(n, unit)), missed)))
    return [f"{first}.{_chance(results, known)}{_ahead(run, known, names)}", capital(second) + "."]


def whole_answer(content):
    """Write all sentences of the answer: what was planned before the first trial comes before what looks best.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    list of str
    """
    reference, best_of_many = content.reference, content.best_of_many
    column = content.loaded.identity["scheme"].partition(":")[2]
    places = content.leak_price, content.sites, content.external, column, content.show_names
    asked = asked_in_words(content.results, *places)
    found = found_in_words(content.run, content.results, content.names, content.comparisons, best_of_many, asked)
    if reference is None:
        return found
    planned = reference_in_words(reference, content.against_reference, content.names)
    return [*planned, *found[: 1 if best_of_many.empty else 2], *asked] if reference.before else [*found, *planned]


def found_in_words(run, results, names, comparisons, best_of_many, asked=()):
    """Say what was found, without what was planned: the best arm, its rivals, and what its AUROC does not say.

    Parameters
    ----------
    run : glomfeat.results.run.Run
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    names : dict of str to str
        From `glomfeat.report.arm_names.plain_arms`.
    comparisons : pandas.DataFrame
        From `glomfeat.results.comparisons.comparisons_table`.
    best_of_many : pandas.DataFrame
        From `glomfeat.results.best_of_many.best_of_many_table`.
    asked : sequence of str
        From `glomfeat.results.asked.asked_in_words`; they take the place of what may have been missed.

    Returns
    -------
    list of str
        Sentences, the first about the best arm, the second about how much of its AUROC is luck, if it is known.
    """
    first, *ties = answer(run, results, names, "" if asked else missed_in_words(comparisons))
    lucky = best_of_many_in_words(best_of_many, run.manifest.unit)
    more = equal_in_words(results, names), errors_in_words(results, names, len(run.manifest.classes))
    return [first, *filter(None, (lucky, *more)), *ties, *asked]


def _chance(results, known):
    """Say if no arm reaches chance, or if the best one is not shown to be better; empty otherwise."""
    if known["auroc"].max() < 0.5:  # which ranks images worse than a coin
        return " No arm reaches the 0.5 of chance."
    if not best_may_be_chance(results):
        return ""
    which = "As the best of several, it" if (known["status"] == "done").sum() > 1 else "It"
    return f" {which} is not shown to be better than chance, 0.5."


def _ahead(run, known, names):
    """Say which arms have a higher AUROC than the best one, and are not compared because some folds are missing."""
    ahead = known[known["auroc"] > known["auroc"].iloc[0]]
    if ahead.empty:
        return ""
    rows = ahead.to_dict("records")
    which = [f"{spelled(row['arm'], names)} ({figure(row['auroc'])} in {_tested(run, row)})" for row in rows]
    have = "has a higher AUROC, but is" if len(which) == 1 else "have a higher AUROC, but are"
    named = f": {joined(which)}" if len(which) < 4 else ""
    unfinished = count(len(which), "arm that is not finished", "arms that are not finished")
    return f" {capital(unfinished)} {have} not compared{named}."


def _tested(run, row):
    return f"{row['n_trials']} of {sum(str(trial.arm) == row['arm'] for trial in run.trials)} folds"


def equal_in_words(results, names):
    """Say in a sentence which arms reach exactly the AUROC of the best one; empty if none does."""
    known = ranked(results)
    equal = known["arm"][known["auroc"] == known["auroc"].max()].tolist()[1:] if len(known) else []
    if not equal:
        return ""
    who = joined(spelled(arm, names) for arm in equal) if len(equal) < 4 else count(len(equal), "other arm")
    reach = "reaches" if len(equal) == 1 else "reach"
    return f"{capital(who)} {reach} exactly the same AUROC; their order means nothing."


def errors_in_words(results, names, classes):
    """Say in a sentence why a best arm with an AUROC of 1.000 still calls images wrong; empty if it does not."""
    known = with_figure(finished_first(results))
    if known.empty or figure(known["auroc"].iloc[0]) != "1.000":
        return ""
    best = known.iloc[0]
    arm = spelled(best["arm"], names)
    every = "every" if best["auroc"] == 1 else "nearly every"
    if classes > 2:
        wrong = f"{100 * (1 - best['accuracy']):.2g} % of the calls of {arm} are wrong" if best["accuracy"] < 1 else ""
        how = "a call takes the largest of the scores of an image, and AUROC does not compare these"
    else:
        missed, false = (f"{best[name]:.1f}".removesuffix(".0") for name in ("fn_t", "fp_t"))
        wrong = f"the calls of {arm} miss {missed} and falsely raise {false}" if best["fn_t"] + best["fp_t"] > 0 else ""
        how = "a call also needs a threshold, which is set without the images that it decides on"
    if not wrong:
        return ""
    return (
        f"AUROC {figure(best['auroc'])} says that within a fold {every} image is ranked correctly; still {wrong}: "
        f"{how}."
    )


def _ties(results, names, unit):
    """Say which of the other arms do not differ from the best beyond chance."""
    finished = with_figure(results[results["status"] == "done"])
    if len(finished) < 2:
        return f"there is no other finished arm to compare it with on these {unit}"
    others = finished.iloc[1:]
    if others["p_vs_best"].isna().all():
        which = "the other arm differs from it" if len(others) == 1 else "other arms differ from it"
        return f"whether {which} beyond chance cannot be told on these {unit}"
    tied = others[others["tied_with_best"].map(lambda value: value is True)]
    if tied.empty:
        verb = "is" if len(others) == 1 else "are"
        which = "both other arms" if len(others) == 2 else count(len(others), "other arm")
        return f"{which} {verb}{' all' * (len(others) > 2)} worse beyond chance on these {unit}"
    if len(tied) == len(others) > 1:
        none = "neither" if len(tied) == 2 else "none"
        return f"{none} of the {count(len(tied), 'other arm')} differs from it beyond chance on these {unit}"
    which = f" ({spelled(tied['arm'].iloc[0], names)})" if len(tied) == 1 else ""
    differ = "does not differ" if len(tied) == 1 else "do not differ"
    return f"{count(len(tied), 'other arm')}{which} {differ} from it beyond chance on these {unit}"
