"""What `studies.bench` measures of backends: the same nested trials by one process, by several, and by clusters."""

import contextlib
from dataclasses import replace

import numpy as np


def trials_on(folder, backend, table, heads, folds, repeats, seed, jobs, memory):
    """Run all trials when the workers have started and have done some of them: what is timed starts nothing."""
    from glomfeat.comparison.on_cluster import opened
    from glomfeat.comparison.prepare import prepare
    from glomfeat.comparison.tasks import make_tasks
    from glomfeat.comparison.trial import run_trial
    from glomfeat.core.workers import Call, side_by_side
    from glomfeat.data.splits import make_folds
    from glomfeat.features.extract import extract
    from studies.bench.tables import study_of

    limits = {"jobs": jobs, "memory": memory, "out": folder / "out", "cache": folder / "store"}
    study = study_of([table], "none", heads, folds, repeats, seed, **limits)
    with started(backend, jobs) as address:
        study = replace(study, backend="local" if backend == "one" else backend, scheduler=address)
        with opened(prepare(study, say=lambda line: None), say=lambda line: None) as prepared:
            found = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store)
            dealt = make_folds(found.manifest, "cv", folds, repeats, seed)
            standardise = {feature.name: feature.standardise for feature in prepared.features}
            rest = found, standardise, prepared.store, prepared.free
            tasks = make_tasks(prepared.trials, prepared.study, dealt, *rest)
            calls = [Call(task, task.plan.trial.bytes) for task in tasks]

            def do(calls):
                return list(side_by_side(run_trial, calls, "trials", jobs, prepared.budget, 1, prepared.cluster))

            do(calls[-4 * jobs :])
            yield
            ended = do(calls)
            yield lambda: _scores(ended)


def _scores(ended):
    records = {str(one.item.trial.key): one.found for one in ended}
    failed = [one.lost or one.found["reason"] for one in ended if one.lost or one.found["status"] != "done"]
    if failed:
        raise RuntimeError(failed[0])
    return np.concatenate([records[key]["scores"] for key in sorted(records)])


@contextlib.contextmanager
def started(backend, jobs):
    """Start a cluster of so many processes on this machine; give its address, None where there is none."""
    if backend == "dask":
        from distributed import LocalCluster

        with LocalCluster(jobs, threads_per_worker=1, processes=True, dashboard_address=":0") as cluster:
            yield cluster.scheduler_address
    elif backend == "ray":
        import ray

        ray.init(num_cpus=jobs, include_dashboard=False, log_to_driver=False, logging_level="error")
        yield None
        ray.shutdown()
    else:
        yield None
