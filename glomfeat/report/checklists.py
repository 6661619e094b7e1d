"""Which items of CLAIM, TRIPOD+AI, STARD-AI and PROBAST+AI a run answers, and which are left to its authors.

CLAIM: Tejani et al. 2024, Checklist for Artificial Intelligence in Medical Imaging, 2024 update, Radiol Artif Intell
6:e240300. TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378. STARD-AI: Sounderajah et al. 2025, Nat Med 31:3283.
PROBAST+AI: Moons et al. 2025, BMJ 388:e082505. Items are named by their topics, not quoted.

An item is its number, its topic, who answers it and where, as a text or a function of
`glomfeat.report.content.Content`. If only some runs answer it, two more parts follow: a function of the same that says
whether this run does, and what the user can do to change that.
"""

from glomfeat.results.case_level import one_class_each

HERE, PARTLY, YOURS, OPEN = "answered here", "in part", "yours to answer", "not answered by this run"


def _has(name):
    return lambda content: getattr(content, name) is not None


def _by_case(content):
    return content.run.manifest.is_split_by_case


APART = (
    _by_case,
    "images of one case may lie on both sides: say with --groups where the case is, or leave out --allow-split-cases",
)
GROUPS = _has("subgroups"), "ask with --subgroups COLUMN"
ELSEWHERE = _has("external"), "ask with --test NAME=PATH"
READERS = _has("readers"), "give their calls with --readers FILE"
CHANGED = _has("robustness"), "ask with --perturb, or with --test for other stains, scanners and sites"


def _sides(content):
    return f"{'other values of the column' if content.run.left_out else 'same source'}, other cases"


def _clusters(content):
    if content.run.left_out:
        return "section of values that were left out"
    of_cases = "scores" if one_class_each(content.run.manifest) else "percentages"
    return f"{of_cases} by case; differences between sites are yours"


def _weighs(content):
    return bool(content.run.weights)


def _curves(content):
    return "" if content.curves.empty else "training curves"


def _listed(*places):
    return ", ".join(filter(None, places))


def _explains(content):
    known = set() if content.importance is None else {*content.importance["arm"]} & {*content.results["arm"]}
    return bool(known) or any("maps" in found for found in content.loaded.inside.values())


CLAIM = (
    ("7", "data sources", YOURS, ""),
    ("8", "inclusion and exclusion criteria", YOURS, ""),
    ("9", "preprocessing", HERE, "methods paragraph"),
    (
        "11",
        "de-identification",
        PARTLY,
        "cases are shown by pseudonyms; how the images were de-identified is yours",
        *(lambda content: not content.show_names, "--show-names shows the names of cases on this page"),
    ),
    ("12", "missing data", HERE, "methods paragraph, files set aside"),
    ("13", "image acquisition: scanner, stain, magnification", YOURS, ""),
    ("14-16", "reference standard, its rationale and its annotators", YOURS, ""),
    ("18", "agreement of annotators", PARTLY, "section of readers: kappa", *READERS),
    ("19", "how data were assigned to partitions", HERE, "methods paragraph, folds"),
    ("20", "level at which partitions are disjoint", HERE, "methods paragraph"),
    ("21", "sample size", PARTLY, "differences that may be missed (comparisons.csv); the intended size is yours"),
    ("22", "description of the models", PARTLY, "arms and networks by name; cite their papers"),
    ("23", "software", HERE, "versions"),
    ("24", "initialisation", HERE, lambda content: _listed("weights with their SHA-256" * _weighs(content), "seeds")),
    ("25", "training", HERE, lambda content: _listed("methods paragraph", _curves(content), "study.yaml")),
    (
        "26",
        "choice of the final model",
        HERE,
        "settings by inner splits; the best of several arms by test folds, corrected for that where it can be",
    ),
    ("28", "metrics", HERE, "table and what its columns mean"),
    ("29", "uncertainty and tests", HERE, "methods paragraph"),
    ("30", "robustness", PARTLY, "section of changed images; other stains, scanners and sites are yours", *CHANGED),
    (
        "31",
        "explainability",
        PARTLY,
        "maps of networks, importance of columns; what they mean is yours",
        *(_explains, "maps are of networks (--nets), importance is of columns that have names"),
    ),
    ("32", "evaluation on internal data", HERE, "all figures of this page"),
    ("33", "testing on external data", HERE, "section of other places", *ELSEWHERE),
    ("35", "numbers of patients and images in and out", HERE, "methods paragraph, files set aside"),
    ("36", "demographic and clinical characteristics", YOURS, ""),
    ("37-38", "performance and its uncertainty", HERE, "table, forest plot"),
    ("39", "failure analysis", HERE, "gallery of errors; what they have in common is yours"),
    ("40-41", "limitations and implications", YOURS, ""),
    (
        "42-44",
        "protocol, availability, funding",
        PARTLY,
        "study.yaml and the command repeat the run; the rest is yours",
    ),
)
TRIPOD = (
    ("5-6", "sources, dates, setting and eligibility", YOURS, ""),
    ("7", "data preparation", HERE, "methods paragraph"),
    ("8", "outcome, and who assessed it how", YOURS, ""),
    ("9", "predictors", PARTLY, "features by name and version"),
    ("10", "sample size", PARTLY, "differences that may be missed (comparisons.csv)"),
    ("11", "missing data", HERE, "methods paragraph, files set aside"),
    ("12a", "how data were used and divided", HERE, "methods paragraph, folds"),
    ("12b-c", "handling of predictors, model type, tuning, internal validation", HERE, "methods paragraph"),
    (
        "12d",
        "differences between clusters",
        PARTLY,
        _clusters,
        *(lambda content: content.run.left_out or content.run.manifest.by_case, "say with --groups where the case is"),
    ),
    ("12e", "measures of discrimination and calibration", HERE, "table, figures"),
    ("12e", "measures of decisions", HERE, "decision curves", *APART),
    ("13", "class imbalance", HERE, "folds; methods paragraph: class weights of built-in heads and of networks"),
    ("14", "fairness", PARTLY, "subgroups; what is done about differences is yours", *GROUPS),
    ("15", "output of the model, thresholds", HERE, "methods paragraph, confusion matrices"),
    ("16", "training versus evaluation data", PARTLY, _sides, *APART),
    ("17", "ethical approval", YOURS, ""),
    ("18", "open science", PARTLY, "study.yaml, code version; funding, registration and data sharing are yours"),
    ("19", "involvement of patients and public", YOURS, ""),
    ("20", "participants", PARTLY, "images, cases and positives by fold; their characteristics are yours"),
    ("21", "numbers in each analysis", HERE, "folds"),
    ("22", "the full model", YOURS, "share the model if others are to use it"),
    ("23", "performance with limits", HERE, "table, figures"),
    ("25-27", "interpretation, limitations, use", YOURS, ""),
)
STARD = (
    ("1-2", "title and abstract say that accuracy of AI is studied, and how", YOURS, ""),
    ("3", "background, intended use, place in the workflow", YOURS, ""),
    ("4", "aims and hypotheses", PARTLY, "the question of this page; hypotheses are yours"),
    ("5", "data collected before or after the tests", YOURS, ""),
    ("6", "ethics approval", YOURS, ""),
    ("7", "in- and exclusion, of participants and of data", PARTLY, "files set aside; criteria are yours"),
    ("8-10", "how, where and when participants were found, and as what series", YOURS, ""),
    ("11", "source of the data, and why they were collected", YOURS, ""),
    ("12", "who annotated, with what experience, and how", YOURS, ""),
    ("13", "devices and software", PARTLY, "versions of software; scanners and stains are yours"),
    ("14", "acquisition and preprocessing", PARTLY, "preprocessing in the methods paragraph; acquisition is yours"),
    (
        "15a",
        "the index test, so that it can be repeated",
        HERE,
        lambda content: _listed("methods paragraph", "study.yaml", "weights with SHA-256" * _weighs(content)),
    ),
    ("15b", "how it was developed, with numbers of training and test", HERE, "methods paragraph, folds"),
    ("15c", "cut-offs, and whether they were set beforehand", HERE, "methods paragraph: as chosen or as given"),
    ("15d", "who is to use it, with what expertise", YOURS, ""),
    ("16a-c", "reference standard, its rationale and cut-offs", YOURS, ""),
    ("17a-b", "what readers of either test knew of the other", PARTLY, "features know no label; annotators are yours"),
    ("18", "methods for accuracy and comparisons", HERE, "methods paragraph"),
    ("19", "indeterminate results", PARTLY, "every image that was read is called; those of the reference are yours"),
    ("20", "missing data", HERE, "methods paragraph, files set aside"),
    ("21", "variability of accuracy", PARTLY, "subgroups; whether set beforehand is yours", *GROUPS),
    ("22", "sample size", PARTLY, "differences that may be missed (comparisons.csv); the intended size is yours"),
    ("23", "analysis of errors, bias and fairness", PARTLY, "gallery of errors, subgroups", *GROUPS),
    ("24", "flow of participants as a diagram", PARTLY, "numbers in folds and files set aside; the diagram is yours"),
    (
        "25",
        "characteristics of training, validation and test data",
        PARTLY,
        "numbers and classes by fold; others are yours",
    ),
    ("26a-b", "severity of disease, and diagnoses of those without it", YOURS, ""),
    ("27", "time and treatment between index test and reference", YOURS, ""),
    ("28", "whether the data are as those of the intended use", YOURS, ""),
    ("29", "how data of other places differ", PARTLY, "section of other places; reasons are yours", *ELSEWHERE),
    ("30", "index test against reference, in numbers", HERE, "confusion matrices"),
    ("31", "accuracy with its precision", HERE, "table, forest plot"),
    ("32", "adverse events", YOURS, ""),
    ("33-35", "limitations, use in practice, ethics and fairness", YOURS, ""),
    ("36-39", "registration, protocol, funding, commercial interests", YOURS, ""),
    ("40a", "availability of data and code", PARTLY, "study.yaml and the command repeat the run; data are yours"),
    ("40b", "outputs kept for audits", HERE, "predictions.parquet, journal.jsonl"),
)
# Questions are in the tool's order and have the number of their domain, because the numbers of single questions could
# not be checked; the tool has 16 for development and 18 for evaluation.
DEVELOPED, EVALUATED, BOTH = "development", "evaluation", "both parts"
PROBAST = (
    (f"{BOTH}, 1", "data sources suit the question", YOURS, ""),
    (f"{BOTH}, 1", "design of the study suits it", YOURS, ""),
    (f"{BOTH}, 1", "those who were included are representative", PARTLY, "files set aside; the rest is yours"),
    (
        f"{BOTH}, 2",
        "predictors defined and measured alike",
        PARTLY,
        "one code for all images; stains, scanners are yours",
    ),
    (f"{BOTH}, 2", "preprocessing alike", HERE, "methods paragraph"),
    (
        f"{BOTH}, 2",
        "predictors without knowledge of the outcome",
        PARTLY,
        "features know no label; who cut images is yours",
    ),
    (f"{BOTH}, 2", "predictors at hand when the model is used", YOURS, ""),
    (f"{BOTH}, 3", "outcome defined and determined suitably", YOURS, ""),
    (f"{BOTH}, 3", "outcome alike for all", YOURS, ""),
    (f"{BOTH}, 3", "outcome without knowledge of predictors", YOURS, ""),
    (f"{BOTH}, 3", "time between predictors and outcome", YOURS, ""),
    (
        f"{DEVELOPED}, 4",
        "enough cases",
        PARTLY,
        "learning curve",
        *(_has("learning_curve"), "ask with --learning-curve"),
    ),
    (f"{DEVELOPED}, 4", "continuous and categorical predictors", HERE, "methods paragraph: none is cut into classes"),
    (f"{DEVELOPED}, 4", "missing and censored data", HERE, "methods paragraph, files set aside"),
    (
        f"{DEVELOPED}, 4",
        "calibrated anew after methods against imbalance",
        PARTLY,
        "methods paragraph, figure of calibration",
    ),
    (f"{DEVELOPED}, 4", "methods against overfitting", HERE, "methods paragraph: how settings were chosen"),
    (f"{EVALUATED}, 4", "not on the data of development alone", HERE, "methods paragraph: out of fold"),
    (f"{EVALUATED}, 4", "enough cases", PARTLY, "limits, and differences that may be missed (comparisons.csv)"),
    (f"{EVALUATED}, 4", "missing and censored data", HERE, "methods paragraph, files set aside"),
    (f"{EVALUATED}, 4", "no correction of imbalance in test data", HERE, "test folds are as the data are"),
    (
        f"{EVALUATED}, 4",
        "no leak between training and test data",
        HERE,
        "methods paragraph: cases lie on one side of every split",
        *APART,
    ),
    (f"{EVALUATED}, 4", "all steps of development repeated in each resample", HERE, "methods paragraph"),
    (f"{EVALUATED}, 4", "discrimination, calibration, net benefit", PARTLY, "table, figures; see which are there"),
)
CHECKLISTS = {
    "CLAIM, 2024 update": CLAIM,
    "TRIPOD+AI, 2024": TRIPOD,
    "STARD-AI, 2025": STARD,
    "PROBAST+AI, 2025; questions by part and number of the domain": PROBAST,
}
KINDS = {HERE: "here", PARTLY: "partly", YOURS: "yours", OPEN: "yours"}  # classes in the style sheet


def answered(content):
    """Fill in the checklists for a run.

    Parameters
    ----------
    content : glomfeat.report.content.Content

    Returns
    -------
    dict of str to list of (str, str, str, str)
        By title of the checklist: number, topic, who answers, and where, or what is left to do.
    """
    return {title: [_item(content, *row) for row in table] for title, table in CHECKLISTS.items()}


def _item(content, number, topic, who, where, when=None, otherwise=""):
    if when is not None and not when(content):
        return number, topic, OPEN, otherwise
    return number, topic, who, where(content) if callable(where) else where
