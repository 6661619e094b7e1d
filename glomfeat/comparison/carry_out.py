"""Carry out a study: extract its features, run every trial that is not done, and explain the results."""

from dataclasses import replace

import pandas as pd

from glomfeat.comparison.beside import folds_beside
from glomfeat.comparison.budget import needs_of_nets
from glomfeat.comparison.cohorts import left_to_score, scored_cohorts
from glomfeat.comparison.explain.all import explain, look_into
from glomfeat.comparison.explain.files import EXPLAINED
from glomfeat.comparison.extraction import extract_for
from glomfeat.comparison.fold_stains import common_parts, settle_folds, settle_whole
from glomfeat.comparison.net_times import say_how_long
from glomfeat.comparison.outcome import Outcome, deal, refuse_other_images, say_as_were, say_aside, say_profiles
from glomfeat.comparison.rescore import score_changed
from glomfeat.comparison.run import run
from glomfeat.comparison.score_cohorts import describe_cohorts, score_cohorts
from glomfeat.comparison.tasks import make_tasks
from glomfeat.core.atomic import written_whole
from glomfeat.core.environment import versions
from glomfeat.data.other_folds import IMAGE
from glomfeat.results.journal import note_versions, versions_in_words
from glomfeat.results.run import Run
from glomfeat.results.save import save_table, write_folds


def carry_out(prepared, journal, say):
    """Do everything in a study that is not done yet.

    Parameters
    ----------
    prepared : Prepared
    journal : Journal
        Of the output folder, already begun.
    say : callable

    Returns
    -------
    Outcome
    """
    study, out = prepared.study, journal.path.parent
    extracted = _extract(prepared, out, say)
    manifest = extracted.manifest
    aside = [*extracted.quarantine, *prepared.manifest.unread]
    refuse_other_images(prepared, aside, journal)
    save_table(pd.DataFrame(aside, columns=["name", "reason"]), out / "quarantine.csv")
    folds = deal(prepared, manifest, say)
    with written_whole(out / "folds.csv", if_other=True) as part:
        write_folds(folds, manifest, part)
    beside = folds_beside(prepared, folds, say)
    settled = settle_folds(prepared, extracted, {"": folds} | beside)
    say_as_were([one for _, one in settled.values()] or [extracted], say)
    own, others = _make_tasks(prepared, extracted, folds, beside, settled)
    if prepared.nets:
        say_how_long([*own, *others], prepared, journal, say)
    if not {task.trial.key for task in own} <= set(journal.done()):
        for name in EXPLAINED:  # the trials that are left may change them
            (out / name).unlink(missing_ok=True)
    whole = settle_whole(prepared, extracted) if left_to_score(prepared, journal) else (prepared, extracted)
    places = describe_cohorts(*whole, journal, say)
    if not {task.trial.key for task in [*own, *others]} <= set(journal.done()):
        _note_versions(journal, say)
    limits = study.jobs, prepared.budget, prepared.free
    failed = {name: why for _, one in [whole, *settled.values()] for name, why in one.failed.items()}
    records = run([*own, *others], journal, *limits, failed, prepared.cluster, study.timeout)
    if study.inside:
        look_into(prepared, [*own, *others], records, extracted, journal, settled)
    score_changed(prepared, own, records, extracted, journal, say)
    known = Run(manifest, folds, prepared.trials, records, prepared.weights, study.seed)
    explain(prepared, own, records, known, journal, say)
    score_cohorts(*whole, places, journal)
    return Outcome(manifest, aside, folds, beside, records, scored_cohorts(prepared, journal), extracted)


def _note_versions(journal, say):
    """Note the versions that the next trials are run with, and warn if earlier ones were run with others."""
    before, now = journal.versions(), versions()
    note_versions(journal, now)
    if before and (said := versions_in_words([before[-1], now])):
        say(
            f"warning: earlier trials were run with other versions ({said}), with which numbers may differ: to run all "
            "with the same, take another --out"
        )


def _extract(prepared, out, say):
    extracted = extract_for(prepared, prepared.manifest, *common_parts(prepared))
    say_profiles(extracted, prepared.study, say)
    say_aside(extracted.quarantine, out, say)
    return extracted


def _make_tasks(prepared, extracted, folds, beside, settled):
    """The tasks of the study's own folds, and of the folds beside them."""
    study, manifest, others = prepared.study, extracted.manifest, []
    views = {name: prepared.view_of_net(name) for name in prepared.nets}
    rest = prepared.standardise, prepared.store, prepared.free, needs_of_nets(prepared), views
    rest = *rest, settled, prepared.joining
    own = make_tasks(prepared.trials, study, folds, extracted, *rest)
    for prefix, other in beside.items():
        # splitting by image also means splitting by image inside the training images
        seen = replace(manifest, by_case=False, table=manifest.table.assign(case=manifest.table["name"]))
        of = replace(extracted, manifest=seen) if prefix == IMAGE else extracted
        others += make_tasks(prepared.trials_on(prefix), replace(study, inside=0, perturb=()), other, of, *rest)
    return own, others
