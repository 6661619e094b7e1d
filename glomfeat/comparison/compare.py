"""The main job: from a study's options to its journal and tables."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import yaml

from glomfeat.comparison.beside import folds_beside, run_on, write_leak
from glomfeat.comparison.explain.all import EXPLAINED, explain, look_into
from glomfeat.comparison.folder import about_run, open_out
from glomfeat.comparison.forecast import say_how_long
from glomfeat.comparison.on_cluster import opened
from glomfeat.comparison.plans import check_memory
from glomfeat.comparison.refit import save_models
from glomfeat.comparison.run import run
from glomfeat.comparison.tasks import make_tasks
from glomfeat.core.cache_listing import in_use
from glomfeat.core.environment import environment
from glomfeat.core.memory import PeakMemory, format_bytes, tree_bytes
from glomfeat.core.workers import no_workers_left
from glomfeat.data.other_folds import IMAGE, prefix_share
from glomfeat.data.splits import check_folds, few_in_words, make_folds
from glomfeat.features.budget import is_network
from glomfeat.features.extract import extract
from glomfeat.models.nets import net_bytes
from glomfeat.results.comparisons import comparisons_table, detectable_in_words
from glomfeat.results.journal import note_about
from glomfeat.results.learning_curve import learning_table
from glomfeat.results.reliability import reliability_table
from glomfeat.results.run import Run
from glomfeat.results.show import to_markdown
from glomfeat.results.tables import curves_table, predictions_table, results_table, trials_table
from glomfeat.results.user_metrics import say_missing
from glomfeat.results.write import write_folds, write_table


def compare(prepared, say):
    """Run what is not done yet and write every table.

    Parameters
    ----------
    prepared : Prepared
    say : callable
        Called with each line that the user should read.

    Returns
    -------
    run : Run
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.
    quarantine : list of dict
        Images that could not be read.
    """
    watch = PeakMemory(tree_bytes, every_s=1.0)
    with in_use(prepared.store.folder), no_workers_left(), opened(prepared, say) as prepared, watch as memory:
        check_memory(prepared, say)
        found = _compare(prepared, say)
    peak, budget = format_bytes(memory.peak_bytes), format_bytes(prepared.budget)
    of = "the processes of this machine" if prepared.cluster else "all processes together"
    say(f"memory: {of} held at most {peak}; the budget is {budget}")
    return found


def _compare(prepared, say):
    study, out = prepared.study, Path(prepared.study.out).expanduser()
    journal = open_out(prepared)
    note_about(journal, about_run(prepared))
    (out / "study.yaml").write_text(yaml.safe_dump(study.plain(), sort_keys=False, allow_unicode=True))
    nets = {name: prepared.net_settings(name) for name in prepared.nets}
    extracted = extract(
        prepared.manifest,
        prepared.features,
        prepared.preprocess,
        prepared.store,
        study.jobs,
        study.on_error,
        [settings["side"] for settings in nets.values()],
        prepared.free,
        prepared.cluster,
    )
    if extracted.profiles:
        how = "kept as the numbers in the file" if study.icc == "keep" else "brought to sRGB; --icc keep leaves them"
        say(f"colours: {extracted.profiles} images have an embedded ICC profile that is not sRGB's: {how}")
    if extracted.quarantine:
        say(f"{len(extracted.quarantine)} images cannot be read and were set aside: see {out / 'quarantine.csv'}")
    aside = [*extracted.quarantine, *prepared.manifest.unread]
    pd.DataFrame(aside, columns=["name", "reason"]).to_csv(out / "quarantine.csv", index=False)
    manifest = extracted.manifest
    folds = make_folds(manifest, study.scheme, study.folds, study.repeats, study.seed)
    write_folds(folds, manifest, out / "folds.csv")
    low, high = check_folds(folds)
    say(f"folds: {manifest.split}, verified; {manifest.classes[-1]} is {low:.1%} to {high:.1%} of a fold")
    if few := few_in_words(manifest):
        say(few)
    standardise = {feature.name: feature.standardise for feature in prepared.features}
    needs = {name: (settings, net_bytes(name, settings, len(prepared.manifest))) for name, settings in nets.items()}
    rest = standardise, prepared.store, prepared.free, needs
    tasks = make_tasks(prepared.trials, study, folds, extracted, *rest)
    own, others = list(tasks), folds_beside(prepared, folds, say)
    for prefix, other in others.items():
        # who splits by image does so inside the training images as well
        seen = replace(manifest, by_case=False, table=manifest.table.assign(case=manifest.table["name"]))
        of = replace(extracted, manifest=seen) if prefix == IMAGE else extracted
        tasks += make_tasks(prepared.trials_on(prefix), replace(study, inside=0), other, of, *rest)
    if nets:
        say_how_long(tasks, journal, study, say)
    if not {task.trial.key for task in own} <= set(journal.done()):
        for name in EXPLAINED:  # what is still to be run may change them
            (out / name).unlink(missing_ok=True)
    records = run(tasks, journal, study.jobs, prepared.budget, prepared.free, extracted.failed, prepared.cluster)
    if study.inside and any(map(is_network, prepared.features)):
        look_into(prepared, tasks, records, extracted, journal)
    explain(prepared, own, records, manifest, out, say)
    finished = Run(manifest, folds, prepared.trials, records, prepared.weights, study.seed, prepared.metrics)
    comparisons = comparisons_table(finished)
    results = results_table(finished, comparisons)
    (out / "environment.json").write_text(json.dumps(environment(study, prepared.weights), indent=2) + "\n")
    write_table(results, out / "results.csv")
    write_table(comparisons, out / "comparisons.csv")
    write_table(reliability_table(finished), out / "reliability.csv")
    runs = {prefix: run_on(prefix, finished, other, prepared) for prefix, other in others.items()}
    trials = pd.concat([trials_table(finished), *map(trials_table, runs.values())], ignore_index=True)
    write_table(trials, out / "trials.csv")
    if IMAGE in runs:
        write_leak(finished, runs.pop(IMAGE), out)
    if study.learning_curve:
        curve = learning_table({100: finished} | {prefix_share(prefix): run for prefix, run in runs.items()})
        write_table(curve, out / "learning_curve.csv")
    predictions_table(finished).to_parquet(out / "predictions.parquet", index=False)
    if nets:
        write_table(curves_table(finished), out / "curves.csv")
    (out / "results.md").write_text(to_markdown(results, prepared.title), encoding="utf-8")
    say_missing(results, prepared.metrics, say)
    say(detectable_in_words(comparisons, manifest.keep(finished.ever_tested)))
    if study.save_models:
        save_models(prepared, extracted, say, include_weights=study.include_weights)
    return finished, results, aside
