"""Which items of CLAIM and TRIPOD+AI a run answers, and which its authors must.

CLAIM: Tejani et al. 2024, Checklist for Artificial Intelligence in Medical Imaging, 2024 update, Radiol Artif Intell
6:e240300. TRIPOD+AI: Collins et al. 2024, BMJ 385:e078378. Items are named by their topics, not quoted.
"""

HERE, PARTLY, YOURS = "answered here", "in part", "yours to answer"
CLAIM = (
    ("7", "data sources", YOURS, ""),
    ("8", "inclusion and exclusion criteria", YOURS, ""),
    ("9", "preprocessing", HERE, "methods paragraph"),
    ("11", "de-identification", PARTLY, "cases are shown by pseudonyms; how the images were de-identified is yours"),
    ("12", "missing data", HERE, "files set aside"),
    ("13", "image acquisition: scanner, stain, magnification", YOURS, ""),
    ("14-16", "reference standard, its rationale and its annotators", YOURS, ""),
    ("18", "agreement of annotators", YOURS, ""),
    ("19", "how data were assigned to partitions", HERE, "methods paragraph, folds"),
    ("20", "level at which partitions are disjoint", HERE, "methods paragraph"),
    ("21", "sample size", PARTLY, "the smallest difference that could be seen; the intended size is yours"),
    ("22", "description of the models", PARTLY, "arms and networks by name; cite their papers"),
    ("23", "software", HERE, "versions"),
    ("24", "initialisation", HERE, "weights with their SHA-256, seeds"),
    ("25", "training", HERE, "methods paragraph, training curves, study.yaml"),
    ("26", "choice of the final model", HERE, "inner splits; no model was chosen on outer test folds"),
    ("28", "metrics", HERE, "table and what its columns mean"),
    ("29", "uncertainty and tests", HERE, "methods paragraph"),
    ("30", "robustness", YOURS, "other stains, scanners and sites"),
    ("31", "explainability", YOURS, ""),
    ("32", "evaluation on internal data", HERE, "all figures of this page"),
    ("33", "testing on external data", YOURS, "this run has none"),
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
    ("10", "sample size", PARTLY, "the smallest difference that could be seen"),
    ("11", "missing data", HERE, "files set aside"),
    ("12a", "how data were used and divided", HERE, "methods paragraph, folds"),
    ("12b-c", "handling of predictors, model type, tuning, internal validation", HERE, "methods paragraph"),
    ("12d", "differences between clusters", PARTLY, "percentages by case; differences between sites are yours"),
    ("12e", "measures of performance", HERE, "table; discrimination, calibration and decisions"),
    ("13", "class imbalance", HERE, "folds; class weights as named in the study"),
    ("14", "fairness", YOURS, ""),
    ("15", "output of the model, thresholds", HERE, "threshold rule, confusion matrices"),
    ("16", "training versus evaluation data", PARTLY, "same source, other cases"),
    ("17", "ethical approval", YOURS, ""),
    ("18", "open science", PARTLY, "study.yaml, code version; funding, registration and data sharing are yours"),
    ("19", "involvement of patients and public", YOURS, ""),
    ("20", "participants", PARTLY, "images, cases and positives by fold; their characteristics are yours"),
    ("21", "numbers in each analysis", HERE, "folds"),
    ("22", "the full model", YOURS, "share the model if others are to use it"),
    ("23", "performance with limits", HERE, "table, figures"),
    ("25-27", "interpretation, limitations, use", YOURS, ""),
)
KINDS = {HERE: "here", PARTLY: "partly", YOURS: "yours"}  # classes of the style sheet
