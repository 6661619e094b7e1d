"""The section on how a run was made: paragraphs for a paper, folds, versions, weights, and the command to repeat it."""

from glomfeat.core.arms import FLOOR, FLOOR_HEAD, Arm
from glomfeat.core.words import joined
from glomfeat.data.images.decode import LANCZOS, Preprocess
from glomfeat.data.images.stain import FOLD, METHODS, NONE
from glomfeat.data.schemes import find_scheme
from glomfeat.models.ensemble import calibration_for
from glomfeat.models.heads.built_in import entry_of
from glomfeat.models.nets import FROM_FUNCTION, find_architecture
from glomfeat.report.checklists import KINDS, answered
from glomfeat.report.chosen import chooses_threshold, how_chosen
from glomfeat.report.made import command, facts, folds, quarantine, seeds
from glomfeat.report.references import PROGRAMS, cited, to_bibtex
from glomfeat.report.trained import has_new_heads, how_trained, trained_nets
from glomfeat.results.best_of_many import is_corrected
from glomfeat.results.case_level import MAXIMUM, MEAN, SHARE, one_class_each, why_uncalled
from glomfeat.results.external import read_external
from glomfeat.results.journal import versions_in_words
from glomfeat.results.procedure import CORRECTED, LEFT_OUT
from glomfeat.results.reference import Reference
from glomfeat.results.words import classes_in_words, count, plain_class

NAME, TITLE, ORDER, TEMPLATE = "made", "How it was made", 80, "sections/methods.html"
CASE_RULES = {
    MEAN: "the mean score of its images",
    MAXIMUM: "the largest score of its images",
    SHARE: "the share of its images that were called positive, of which a half decided",
}
PROCEDURES = {
    LEFT_OUT: "those of the fitted models with the variance of training added, which comes from models that were "
    "fitted without one more fold (delete-a-group jackknife: Shao & Wu 1989)",
    CORRECTED: "those from the corrected variance over trials (Nadeau & Bengio 2003)",
}
BESIDE = {
    "external.csv": "Each arm was also fitted on all images and tested on images of other places ({test}), on which "
    "nothing was fitted or chosen.",
    "subgroups.csv": "Each group of images by {subgroups} was compared with all others that have a value, with a "
    "jackknife over {unit}s as well and adjusted p-values (Holm 1979); where one of both had no errors, limits of both "
    "were combined (Zou & Donner 2008).",
    "robustness.csv": "Test images were also changed and scored again by the same models.",
    "learning_curve.csv": "For learning curves, arms were also fitted on fewer training {unit}s.",
    "leak_price.csv": "For the price of leaks, arms were also run on folds of images that tear cases apart.",
}


def fill(content):
    """Collect what repeats a run, and what a paper says about it."""
    loaded = content.loaded
    return {
        "paragraphs": paragraph(loaded, content.results, content.best_of_many),
        "references": references(loaded, content.results, content.best_of_many),
        "command": command(loaded),
        "folds": folds(loaded.run, content.show_names),
        "quarantine": quarantine(loaded.quarantine),
        "show_names": content.show_names,
        "facts": facts(loaded, content.results),
        "seeds": seeds(content.trials),
        "checklists": answered(content),
        "kinds": KINDS,
    }


def paragraph(loaded, results=None, best_of_many=None):
    """Write what a methods section says, with this run's numbers.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded
    results : pandas.DataFrame, optional
        From `glomfeat.results.tables.results_table`. If given, the text says how limits of the procedure were found.
    best_of_many : pandas.DataFrame, optional
        From `glomfeat.results.best_of_many.best_of_many_table`. If given, the text says how the best figure was
        corrected, if it was.

    Returns
    -------
    list of str
        Paragraphs of plain text.
    """
    statistics = f"{_statistics(loaded, best_of_many)}{'' if results is None else _of_procedure(loaded, results)}"
    return [_data(loaded), _models(loaded), _protocol(loaded), statistics, _software(loaded)]


def references(loaded, results=None, best_of_many=None):
    """Write what these paragraphs cite as a BibTeX file.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded
    results, best_of_many : pandas.DataFrame, optional
        As for `paragraph`.

    Returns
    -------
    str
    """
    versions = {"glomfeat": loaded.environment.get("glomfeat", loaded.identity["glomfeat"])}
    return to_bibtex(cited(paragraph(loaded, results, best_of_many), versions | loaded.environment.get("packages", {})))


def _data(loaded):
    manifest = loaded.run.manifest
    sizes = manifest.table["case"].value_counts()
    said = f"The data set held {len(manifest):,} images ({classes_in_words(manifest)})"
    if manifest.by_case:
        ends = f"{sizes.min():,} to {sizes.max():,} images a case (median {sizes.median():g})"
        said += f" of {len(sizes):,} cases, with "
        said += ends if sizes.min() < sizes.max() else f"{count(int(sizes.max()), 'image')} a case"
    out = len(loaded.quarantine)
    said += f"; {count(out, 'image')} could not be read and {'was' if out == 1 else 'were'} left out." if out else "."
    if len(manifest.classes) == 2:
        said += f" The positive class was {plain_class(manifest.classes[-1]).removeprefix('class ')}."
    if loaded.about["table"]:
        return f"{said} Features were taken from a table."
    words = {"zero": "black", "edge": "the border's pixels", "reflect": "the mirrored image"}
    fill = joined([words.get(padding, padding) for padding in _several(loaded.identity["padding"])], "or")
    how = f"Images were padded to a centred square with {fill} and resized {_sizes(loaded.identity)}."
    several = any(len(_several(loaded.identity.get(name))) > 1 for name in ("size", "padding", "stain"))
    each = " Every combination was an arm of its own." if several else ""
    return f"{said} {_stains(loaded.identity)}{how}{each}"


def _stains(identity):
    """Say in a sentence how stains were normalised; empty if they were left as they are."""
    stains = _several(identity.get("stain", NONE))
    how = [METHODS[name].sentence for name in stains if name != NONE]
    if not how:
        return ""
    left = "left as they were, or " if NONE in stains else ""
    targets = [str(target.get("target")) for target in identity.get("stain target", {}).values()]
    drawn = any(target.startswith(f"{FOLD}.") for target in targets)  # by this version or an older one
    whence = (
        " The reference was estimated anew for each fold: the median of the method's values for up to 16 of its "
        "training images, each of another case if there were enough cases."
        if drawn
        else ""
    )
    return f"The colours of images were {left}brought to those of a reference {joined(how, 'or')}.{whence} "


def _several(value):
    return value if isinstance(value, list) else [value]


def _sizes(identity):
    """Say how images were resized (size and filter): all in the same way, or for backbones as their weights say."""
    usual, own = [Preprocess.asked(size, "white") for size in _several(identity["size"])], {}
    reads = identity.get("reads", {})
    for name, (side, how) in reads.items():
        own.setdefault((side, how), []).append(name)
    others = len(identity["nets"]) + len(identity["features"]) > len(reads)
    said = [joined([_square(one.size, one.filter) for one in usual], "or")] if others else []
    said += [f"for {_listed(names)} {_square(*how)}" for how, names in own.items()]
    layers = {name for name in reads if name.startswith("net:") and find_architecture(Arm.parse(name).network)}
    as_said = ", size and filter as the configurations of the weights say but without their cropping"
    return _listed(said) + (as_said if {*reads} - layers else "")


def _square(side, how):
    return f"to {side} x {side} pixels ({'Lanczos' if how == LANCZOS else how})"


def _models(loaded):
    identity, weights = loaded.identity, loaded.run.weights
    features = [f"{name} ({weights[name]})" if weights.get(name) else name for name in identity["features"]]
    said = []
    if features:
        heads = _listed([entry_of(name).sentence for name in identity["heads"] if name != FLOOR_HEAD])
        reducers = _listed([_reduction(loaded.run, name) for name in identity["reducers"]])
        said.append(f"Features were {_listed(features)}; reduction: {reducers}; classifiers: {heads}.")
        said.append("Reducers and scalers were fitted on the training rows of each fold.")
        if "missing" in identity:
            said.append(
                "Missing values of tables were filled with medians of the training rows of each fit, and marked in "
                "columns of 0 and 1."
            )
    for name in identity["heads"]:
        reasons = [loaded.run.record(trial)["reason"] for trial in loaded.run.trials if trial.arm.head == name]
        notes = entry_of(name).notes.items()
        said += [sentence for part, sentence in notes if any(part in reason for reason in reasons)]
    if "with" in identity:
        said.append(_joined(identity["with"]))
    starts = trained_nets(loaded.run, dict(net.split(": ", 1) for net in identity["nets"]))
    if starts:
        shown = {FROM_FUNCTION: f"weights {FROM_FUNCTION}"}
        nets = _listed([f"{name} ({shown.get(of, of.removeprefix('none, '))})" for name, of in starts.items()])
        learns_all = "inner-valid" not in set(loaded.run.folds["fold"])
        how = how_trained(identity, starts, learns_all, has_new_heads(loaded.run))
        said.append(f"Networks trained on pixels were {nets}. {how}")
    said += [_ensemble(loaded, Arm.parse(ensemble)) for ensemble in identity.get("ensembles", [])]
    return " ".join(said)


def _reduction(run, reducer):
    """Name a reducer, and the features that have so few columns that it leaves them as they are."""
    if reducer == "none":
        return "no reduction"
    done = run.done([trial for trial in run.trials if trial.arm.reducer == reducer])
    left = {trial.arm.feature: f"{reducer} leaves the" in record["reason"] for trial, record in done.items()}
    if left and all(left.values()):
        return f"no reduction ({reducer} leaves so few columns as they are)"
    as_is = _listed([feature for feature in left if left[feature]])
    return f"{reducer} (which leaves the columns of {as_is} as they are)" if any(left.values()) else reducer


def _joined(columns):
    """Say in sentences how columns of the table of labels were joined to features."""
    several = len(columns) > 1
    return (
        f"The column{'s' if several else ''} {_listed(columns)} of the table of labels {'were' if several else 'was'} "
        "used alone and joined to each feature after the reducer: numbers were scaled to mean 0 and variance 1, with "
        "missing ones filled with the median and marked in a column of 0 and 1, and texts were coded as columns of 0 "
        "and 1, all from the training rows of each fit."
    )


def _ensemble(loaded, arm):
    how = calibration_for(loaded.identity.get("calibration", "none"))
    chosen = "; its threshold was chosen on the mean of these" if chooses_threshold(loaded) else ""
    return (
        f"An ensemble averaged the scores of {joined(arm.members)}, each calibrated ({how}) on inner "
        f"out-of-fold scores of training {loaded.run.manifest.unit}s{chosen}."
    )


def _listed(items):
    return joined(items) if items else "none"


def _protocol(loaded):
    identity, manifest = loaded.identity, loaded.run.manifest
    unit = manifest.unit
    scheme = find_scheme(identity["scheme"], identity["folds"])
    split = scheme.sentence(unit, identity["repeats"], set(loaded.run.folds["fold"]))
    together = ", so that no case lay on both sides of any split" if manifest.by_case else ""
    if manifest.torn:
        together = ", which put images of one case on several sides, so that figures are optimistic"
    return f"{split}{together}. {how_chosen(loaded)}"


def _statistics(loaded, best_of_many):
    unit = loaded.run.manifest.unit
    counted = f"{unit}s that hold images" if unit == "case" else "images"
    said = (
        f"{_pooled(loaded)} 95 % limits are from a jackknife that leaves out each {unit}, with "
        "Student's t and Satterthwaite's degrees of freedom on the logit scale (Tukey 1958; Satterthwaite 1946), and "
        f"count the {counted} of a figure's denominator; for figures of 0 or 1 they are exact limits "
        "for that number of trials (Clopper & Pearson 1934)."
    )
    if _compares(loaded):
        said += (
            " Each arm was compared with the best one by the difference in AUROC, with a jackknife over "
            f"{unit}s as well, and p-values were adjusted for the choice of the best among all arms (step-down max-T "
            "over all pairs of the arms left: Westfall & Young 1993; Hansen, Lunde & Nason 2011)."
        )
    if best_of_many is not None and is_corrected(best_of_many):
        said += f" The best figure was corrected by a bootstrap over {unit}s (Tsamardinos et al. 2018)."
    if reference := Reference.of(loaded.journal):
        said += f" The reference was {reference.in_words}."
        if reference.margin is not None:
            said += " Non-inferiority was tested at 2.5 % one-sided, equivalence by two one-sided tests at 5 %."
    if loaded.run.manifest.by_case:
        said += " In the case-weighted AUROC all cases of a fold have the same weight, shared by their images."
    if order := loaded.study.get("ordinal"):
        said += (
            f" For the ordered classes {' < '.join(order)}, quadratically weighted kappa (Cohen 1968) and the mean "
            "absolute error in steps are given."
        )
    if loaded.study.get("readers"):
        at = " at its threshold" if len(loaded.run.manifest.classes) == 2 else ""
        said += (
            f" Readers were compared with each arm{at} on the images that they had called, by paired "
            f"differences of sensitivity and specificity with a jackknife over {unit}s as well, with adjusted p-values "
            "(Holm 1979), and by Cohen's kappa (1960)."
        )
    if loaded.run.left_out:
        said += " Limits and p-values are for further cases of these values, and not for further values."
    if not why_uncalled(loaded.run):
        rule = CASE_RULES[loaded.study.get("case_rule", MEAN)]
        said += f" As all images of a case were of one class, each case was also called once, by {rule}."
    elif loaded.run.manifest.by_case and not one_class_each(loaded.run.manifest):
        said += (
            " Agreement per case is given as bias and 95 % limits of agreement (Bland & Altman 1986) and ICC(2,1) "
            "(Shrout & Fleiss 1979), with 95 % limits from leaving out each case as well: by Student's t for bias, on "
            "the logit scale for mean absolute and mean squared errors, and on Fisher's z scale for the ICC."
        )
    return " ".join([said, *_beside(loaded)])


def _beside(loaded):
    """Say in sentences what else of the run stands on the page, and how it was made."""
    external, groups = read_external(loaded.find("external.csv")), loaded.study.get("subgroups", [])
    fill = {"unit": loaded.run.manifest.unit, "subgroups": _listed([text.partition(":")[0] for text in groups])}
    fill["test"] = _listed([] if external is None else external["cohort"].unique().tolist())
    return [said.format(**fill) for name, said in BESIDE.items() if loaded.find(name)]


def _pooled(loaded):
    """Say what metrics were calculated from, such as images of each fold or of all, and what they are means of."""
    means = (
        " AUROC, average precision, sensitivity, specificity, precision and F1 are unweighted means over classes of "
        "one against the rest."
        if len(loaded.run.manifest.classes) > 2
        else ""
    )
    if len({trial.fold for trial in loaded.run.trials}) == 1:
        several = " of each repeat and averaged" if loaded.identity["repeats"] > 1 else ""
        return f"All metrics were calculated on the outer-test part{several}.{means}"
    fold = "left-out value" if loaded.run.left_out else "fold"
    return (
        f"AUROCs and average precision were calculated within each {fold} and averaged; other metrics were calculated "
        f"from pooled out-of-fold scores or decisions.{means}"
    )


def _compares(loaded):
    """Whether arms are compared with each other: at least two that are finished, or may still be."""
    arms = {}
    for trial in loaded.run.trials:
        if str(trial.arm) != FLOOR:
            arms.setdefault(str(trial.arm), []).append(loaded.run.record(trial)["status"] == "done")
    return len(arms) > 1 and (not loaded.whole or sum(map(all, arms.values())) > 1)


def _of_procedure(loaded, results):
    """Say in a sentence how limits of a procedure that is trained again were found; empty if no arm has such limits."""
    arms, unit = results[results["arm"] != FLOOR], loaded.run.manifest.unit
    by = set(arms["auroc_procedure_by"].dropna())
    how = [said for name, said in PROCEDURES.items() if name in by]
    if not how:
        return ""
    return f" Limits of the AUROC of a procedure that is trained again on other {unit}s are {joined(how, 'or')}."


def _software(loaded):
    environment = loaded.environment
    if not environment:
        return f"The analysis was made with glomfeat {loaded.identity['glomfeat']} (seed {loaded.identity['seed']})."
    packages = environment.get("packages", {})
    used = [name for name in PROGRAMS if name in packages]
    versions = ", ".join(f"{name} {packages[name]}" for name in used)
    several = versions_in_words(loaded.journal.versions())
    differ = f" Versions differ between trials: {several}." if several else ""
    return (
        f"The analysis was made with glomfeat {environment['glomfeat']} (seed {environment['seed']}) on Python "
        f"{environment['python']}, with {versions}.{differ}"
    )
