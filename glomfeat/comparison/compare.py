"""The main job: from a study's options to its journal and tables."""

import sys
from contextlib import nullcontext
from dataclasses import replace

from glomfeat.comparison.beside import run_on
from glomfeat.comparison.folder import about_run, journal_of, open_out
from glomfeat.comparison.on_cluster import opened
from glomfeat.comparison.outcome import find_aside, read_again
from glomfeat.comparison.own_table import written
from glomfeat.comparison.plans import check_all
from glomfeat.core.cache_listing import in_use
from glomfeat.core.environment import environment
from glomfeat.core.locks import alone_in
from glomfeat.core.memory import PeakMemory, format_bytes, tree_bytes
from glomfeat.core.settings import write_settings
from glomfeat.core.workers import no_workers_left
from glomfeat.data.subgroups import make_groups
from glomfeat.results.case_level import MEAN, one_class_each, why_uncalled
from glomfeat.results.external import lines_on_dropped
from glomfeat.results.finished import Finished
from glomfeat.results.joined import added_in_words
from glomfeat.results.journal import note_about, note_reference, note_written
from glomfeat.results.reference import Reference, reference_in_words
from glomfeat.results.run import Run
from glomfeat.results.subgroup_words import subgroups_in_words
from glomfeat.results.user_metrics import say_missing
from glomfeat.results.write import line_on_earlier, write_outputs


def compare(prepared, say, journal=None):
    """Run everything that is not done yet, and write every table.

    Parameters
    ----------
    prepared : Prepared
    say : callable
        Called with each line that the user should read.
    journal : Journal, optional
        From `glomfeat.comparison.folder.journal_of`, if it is at hand, so that it is not read again.

    Returns
    -------
    run : Finished
    results : pandas.DataFrame
        As `glomfeat.results.tables.results_table` returns it.
    quarantine : list of dict
        Images that could not be read.
    """
    journal, watch = journal or journal_of(prepared.study), PeakMemory(tree_bytes, every_s=1.0)
    with (
        in_use(prepared.store.folder),
        no_workers_left(),
        _arrays(),
        opened(prepared, say) as prepared,
        watch as memory,
    ):
        check_all(prepared, journal, say)
        with alone_in(journal.path.parent, "--out"):
            found = _compare(prepared, journal, say)
    peak, budget = format_bytes(memory.peak_bytes), format_bytes(prepared.budget)
    of = "the processes of this machine" if prepared.cluster else "all processes together"
    say(f"memory: {of} held at most {peak}; the budget is {budget}")
    return found


def _arrays():
    """Have transformers return arrays, as in a new process, whatever the session has set; they are read as such."""
    sklearn = sys.modules.get("sklearn")  # otherwise nobody can have set anything
    return sklearn.config_context(transform_output="default") if sklearn else nullcontext()


def _compare(prepared, journal, say):
    study, out = prepared.study, journal.path.parent
    open_out(prepared, journal)
    for line in journal.damaged():
        say(line)
    note_about(journal, about_run(prepared))
    note_reference(journal, prepared.reference, study.margin)
    write_settings(written(prepared), out / "study.yaml")
    aside = find_aside(prepared, journal, say)
    if aside is None:
        from glomfeat.comparison.carry_out import carry_out  # loads modules that a finished study does not need

        found = carry_out(prepared, journal, say)
    else:
        found = read_again(prepared, aside, journal, say)
    measured = prepared.weights, study.seed, prepared.metrics, study.timeout
    own = Run(found.manifest, found.folds, prepared.trials, found.records, *measured)
    finished = Finished(
        **own.given(),
        title=replace(prepared, manifest=found.manifest).title,
        environment=_environment(prepared, journal) if aside is None else {},
        beside={prefix: run_on(prefix, own, folds, prepared) for prefix, folds in found.beside.items()},
        learning_curve=study.learning_curve,
        perturbed=study.perturb,
        changed=journal.changed() if study.perturb else {},
        asked_subgroups=study.subgroups,
        cohorts=found.cohorts,
        reference=Reference.of(journal),
        prevalences=study.prevalence,
        case_rule=study.case_rule,
        order=study.ordinal,
        asked_readers=prepared.readers,
        joined=prepared.joining.of(prepared.joining.alone, found.manifest),
        show_names=study.show_names,
    )
    scored = [one["name"] for one in journal.external().values() if "name" in one]
    for line in lines_on_dropped(out / "external.csv", found.cohorts, scored):
        say(line)
    names = write_outputs(finished, out)
    note_written(journal, names)
    if line := line_on_earlier(out, names):
        say(line)
    say_missing(finished.results, prepared.metrics, say)
    _say_compared(finished, say)
    _say_subgroups(finished, len(prepared.manifest), say)
    if line := _uncalled(finished):
        say(line)
    if study.save_models:
        from glomfeat.comparison.fold_stains import settle_whole
        from glomfeat.comparison.refit import save_models

        save_models(*settle_whole(prepared, found.extracted), say, include_weights=study.include_weights)
    return finished, finished.results, found.aside


def _environment(prepared, journal):
    """What environment.json holds; also the versions of earlier trials, if they differ."""
    several = journal.versions()
    more = {"versions_of_trials": several} if len(several) > 1 else {}
    return environment(prepared.study, prepared.weights) | more


def _say_compared(finished, say):
    """Print how arms compare with the reference, and what images add to columns."""
    for sentence in (
        reference_in_words(finished.reference, finished.against_reference, {}) if finished.reference else ()
    ):
        say(sentence)
    for line in added_in_words(finished.joined_pairs, {}) if finished.joined else ():
        say(line)


def _uncalled(finished):
    """Say why there is no table with one call for each case, if a rule for it or the classes of cases ask for one."""
    why, asked = why_uncalled(finished), finished.case_rule != MEAN
    if not why or not (asked or one_class_each(finished.manifest)):
        return ""
    what = f"--case-rule {finished.case_rule}" if asked else "there is no case_level.csv"
    return f"{what}: {why}"


def _say_subgroups(finished, images, say):
    """Print what was found in subgroups, and what remains of them if some of their images were set aside."""
    asked, table = finished.asked_subgroups, finished.manifest.table
    for one in asked if len(table) < images else ():
        say(f"of the images that were read, {make_groups(table, one).said}")
    if asked:
        for sentence in subgroups_in_words(finished.subgroups, finished.results, show_names=finished.show_names):
            say(sentence)
