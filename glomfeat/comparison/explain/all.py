"""What explains a finished study: nearest images, groups of columns, and where networks look."""

from dataclasses import replace

from threadpoolctl import threadpool_limits

from glomfeat.comparison.explain.files import EXPLAINED
from glomfeat.comparison.explain.importance import importance_table
from glomfeat.comparison.explain.neighbours import ERRORS, neighbours_table
from glomfeat.features.budget import is_network
from glomfeat.features.seen import view_of
from glomfeat.results.cases import reference_arm
from glomfeat.results.label_doubt import find_doubt
from glomfeat.results.whole import why_unfit
from glomfeat.results.write import save_table


def look_into(prepared, tasks, records, extracted, journal, settled):
    """Have the journal say where deep features find what linear heads read, of the arms that it says nothing of yet."""
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
    """Write what is near each error and each label in doubt, and what each group of columns is worth.

    What has been written since the last trial ended, and is whole, is left as it is.
    """
    near, worth = (journal.path.parent / name for name in EXPLAINED)
    if prepared.features and why_unfit(near, journal):
        of_features = replace(run, trials=[trial for trial in run.trials if trial.arm.kind == "features"])
        also = reference_arm(of_features), find_doubt(run).rows[:ERRORS]
        with threadpool_limits(prepared.study.threads):
            save_table(neighbours_table(tasks, records, run.manifest, also=also), near)
    if prepared.features and why_unfit(worth, journal):
        study = prepared.study
        limits = study.jobs, prepared.budget, prepared.free
        limits = *limits, say, prepared.cluster, study.timeout
        table = importance_table(tasks, records, prepared.features, study.seed, *limits)
        save_table(table, worth)
