"""All explanations of a finished study: nearest images, groups of columns, and where networks look."""

from dataclasses import replace

from glomfeat.comparison.explain.files import EXPLAINED
from glomfeat.comparison.explain.importance import first_word, importance_table
from glomfeat.comparison.explain.neighbours import ERRORS, neighbours_table
from glomfeat.core.threads import limited_threads
from glomfeat.features.budget import is_network
from glomfeat.features.seen import view_of
from glomfeat.features.table import Table
from glomfeat.results.cases import reference_arm
from glomfeat.results.label_doubt import find_doubt
from glomfeat.results.save import save_table
from glomfeat.results.whole import why_unfit


def look_into(prepared, tasks, records, extracted, journal, settled):
    """Journal where deep features find what linear heads read, for arms that have no such record yet."""
    if not any(map(is_network, prepared.features)):
        return
    from glomfeat.comparison.explain.saliency import look_into_features

    seen = journal.inside()
    left = [task for task in tasks if task.inside and str(task.trial.arm) not in seen]
    limits = prepared.study.inside, prepared.free
    for task in left:
        there, described = settled.get((task.trial.repeat, task.trial.fold), (prepared, extracted))
        views = {f.name: view_of(f, there.preprocess) for f in there.features if is_network(f)}
        pixels = {name: described.pixels[view] for name, view in views.items()}
        for record in look_into_features([task], records, there.features, pixels, *limits):
            journal.append(record)


def explain(prepared, tasks, records, run, journal, say):
    """Write the nearest images of each error and of doubtful labels, and what each group of columns is worth.

    Files that were written since the last trial ended, and are whole, stay as they are.
    """
    near, worth = (journal.path.parent / name for name in EXPLAINED)
    if prepared.features and why_unfit(near, journal):
        of_features = replace(run, trials=[trial for trial in run.trials if trial.arm.kind == "features"])
        also = reference_arm(of_features), find_doubt(run).rows[:ERRORS]
        with limited_threads(prepared.study.threads):
            table = neighbours_table(tasks, records, run.manifest, also=also)
        save_table(table.assign(split=run.manifest.split), near)
    if prepared.features and why_unfit(worth, journal):
        study = prepared.study
        limits = study.jobs, prepared.budget, prepared.free
        limits = *limits, say, prepared.cluster, study.timeout
        table = importance_table(tasks, records, prepared.features, study.seed, *limits)
        shown = _shown_columns(prepared.features, run.manifest)
        table["group"] = [shown.get(group, group) for group in table["group"]]
        save_table(table.assign(split=run.manifest.split), worth)


def _shown_columns(features, manifest):
    """How to show columns whose names may tell who a case is; later runs read the file, with and without names."""
    names, tables = manifest.table["name"].tolist(), [one for one in features if isinstance(one, Table)]
    shown = [one.shown_columns(names, manifest.cases) for one in tables]
    of = [(name, text) for of_table in shown for name, text in of_table.items()]
    return {group: text for name, text in of for group in (name, first_word(name))}
