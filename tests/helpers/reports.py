"""Output folders as a study leaves them."""

import yaml

from glomfeat.comparison.options import Study
from glomfeat.results.journal import Journal, note_about


def write_folder(out, run, folds=3, repeats=2, data=None, scheme="cv", threshold="balanced", **about):
    """An output folder as a study leaves it, of a run with made-up scores."""
    out.mkdir(parents=True)
    classes, features = run.manifest.classes, ["weak.v1", "good.v1"]
    options = {"features": tuple(features), "reducers": ("none",), "heads": ("logreg",), "scheme": scheme}
    options["threshold"] = threshold
    study = Study(data=data, folds=folds, repeats=repeats, **options)
    journal = Journal(out / "journal.jsonl")
    journal.start(study.plain() | {"glomfeat": "0.1.0", "data": f"{len(run.manifest)} images", "nets": []})
    title = f"{len(run.manifest)} images; {folds} folds x {repeats} repeats, {run.manifest.split}"
    arms = list(dict.fromkeys(str(trial.arm) for trial in run.trials))
    split = {
        "classes": list(classes),
        "by_case": run.manifest.by_case,
        "said": ["what was found", *run.manifest.said[-1:]],
    }
    plain = {"study": "Study", "title": title, "table": False, "weights": run.weights, "arms": arms}
    note_about(journal, split | plain | about)
    for record in run.records.values():
        journal.append(record)
    run.folds.to_csv(out / "folds.csv", index=False)
    (out / "study.yaml").write_text(yaml.safe_dump(study.plain()))
    return out
