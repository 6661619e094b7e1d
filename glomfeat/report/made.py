"""What a run was made with: folds, files set aside, machine, versions, weights, seeds, and the command to repeat it."""

import shlex
from pathlib import Path

import numpy as np

from glomfeat.core.arms import FLOOR
from glomfeat.core.memory import format_bytes
from glomfeat.results.journal import versions_in_words
from glomfeat.results.sites import shown_folds
from glomfeat.results.words import count, seconds


def folds(run, show_names):
    """List the outer folds as rows: how many images, cases (if they are known) and positives each holds."""
    positive, rows, shown = len(run.manifest.classes) - 1, [], shown_folds(run, show_names)
    for (repeat, fold), part in run.folds.groupby(["repeat", "fold"], sort=True):
        n, ones = len(part), int((part["label"] == positive).sum())
        cases = [f"{part['case'].nunique():,}"] if run.manifest.by_case else []
        rows.append((repeat + 1, shown.get(fold, fold), f"{n:,}", *cases, f"{ones:,}", f"{ones / n:.1%}"))
    return rows


def facts(loaded, results):
    """List what a run was made with, as names and values.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded
    results : pandas.DataFrame

    Returns
    -------
    list of (str, str)
    """
    run, environment = loaded.run, loaded.environment
    records = [run.record(trial) for trial in run.trials]
    took = sum(record.get("fit_s", 0) + record.get("predict_s", 0) for record in records)
    peak = results["peak_rss_mb"].max()
    found = [
        ("glomfeat", loaded.identity["glomfeat"]),
        ("seed", str(loaded.identity["seed"])),
        ("data", loaded.identity["data"]),
        *(("said at the start", line) for line in run.manifest.said),
        ("trials", f"{loaded.done[0]} of {loaded.done[1]} done; {seconds(took)} of training and scoring in total"),
        ("largest process", format_bytes(int(peak * 1e6)) if np.isfinite(peak) else "not measured"),
    ]
    if environment:
        machine = f"{environment['platform']}, {environment['cores']} cores"
        limit = format_bytes(environment["memory_limit_bytes"])
        gpu = environment.get("gpu") or "none used"
        found += [("machine", f"{machine}, memory limit {limit}"), ("GPU", gpu), ("Python", environment["python"])]
        versions = environment.get("packages", {})
        found.append(("packages", ", ".join(f"{name} {version}" for name, version in versions.items())))
        if several := versions_in_words(loaded.journal.versions()):
            found.append(("versions that differ between trials", several))
    else:
        found.append(("machine and versions", "written to environment.json when the run has come to its end"))
    found += [(f"weights of {name}", start) for name, start in run.weights.items()]
    return found


def command(loaded, *more, ending="again"):
    """Write the command that repeats the run, to be called where it was started: paths of its options begin there.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded
    *more : str
        What is asked differently.
    ending : str
        Of the name of the new output folder.

    Returns
    -------
    str
    """
    name, out = loaded.about.get("study", "Study"), Path(loaded.study.get("out", ""))
    out = out if out.name == loaded.out.resolve().name else loaded.out  # it has been renamed
    study = "compare" if name == "Study" else name.lower()
    given = "--config", str(out / "study.yaml"), *more, "--out", f"{out}-{ending}"
    return shlex.join(["python", "-m", f"studies.{study}", *given])


def quarantine(table):
    """List the images that could not be read by reason: how many, why, and the first names."""
    return [
        (count(len(part), "image"), str(reason), ", ".join(part["name"].head(20)))
        for reason, part in table.groupby("reason")
    ]


def seeds(trials):
    """List the seeds of all trials, with one line for each arm."""
    return [
        (arm, ", ".join(str(seed) for seed in part["seed"].dropna()))
        for arm, part in trials.groupby("arm", sort=False)
        if arm != FLOOR
    ]
