"""What `studies.bench` measures of ours on rows; imports are where they are used, so that each holds its own."""

from pathlib import Path

import numpy as np

from glomfeat.core.cache import Store
from studies.bench.data import digests_of_rows, labels_and_cases, open_matrix


def reduce_ours(folder, data, width, reducer, measured, jobs, memory):
    """Reduce a stored matrix for the first folds."""
    from glomfeat.comparison.trial import megabytes
    from glomfeat.core.workers import Call, side_by_side

    parts, store = np.load(Path(data) / "parts.npy"), Store(str(folder / "store"))
    # the workers start and import once, however many folds there are: what is extrapolated must not hold it
    list(side_by_side(megabytes, [Call(0, 0)] * jobs, "workers", jobs, memory))
    yield
    rows = _ours(reducer, open_matrix(store, parts.shape[1], width), parts, measured, store, jobs, memory)
    yield lambda: rows[parts[0] != 0]


def _ours(reducer, matrix, parts, measured, store, jobs, memory):
    """Reduced rows of the first fold, after the first `measured` folds have been reduced as a study would do it."""
    from glomfeat.comparison.budget import free_bytes
    from glomfeat.comparison.run import Before, do_before, make_sums
    from glomfeat.core.workers import Call, side_by_side
    from glomfeat.models.reducers.cached import Reduction, digests_of
    from glomfeat.models.reducers.routes import find_route

    digests, folds, reductions = digests_of_rows(len(matrix)), np.unique(parts[0]), []
    every = len(parts) * len(folds)
    free = free_bytes(memory, torch=False, images=len(matrix))
    route = find_route(reducer, matrix, repeats=len(parts), folds=every, standardise=False, free=free)
    for part in parts:
        for fold in folds:
            train, blocks = np.flatnonzero(part != fold), [np.flatnonzero(part == other) for other in folds]
            del blocks[fold]
            reductions.append(
                Reduction(
                    name=reducer,
                    matrix=matrix,
                    train=train,
                    blocks=blocks,
                    standardise=False,
                    of={"bench": "rows", "width": matrix.shape[1]},
                    digests=digests_of(digests, train, blocks),
                    route=route,
                    folds=every,
                    store=store,
                    threads=1,
                )
            )
    reductions = reductions[:measured]
    make_sums(reductions, jobs)
    calls = [Call(Before(one, (), one.route.fold.bytes), one.route.fold.bytes) for one in reductions]
    for ended in side_by_side(do_before, calls, "folds", jobs, memory):
        if ended.lost:
            raise MemoryError(ended.lost)
    return reductions[0].rows()[0]


def study_of(tables, reducer, heads, folds, repeats, seed, jobs, memory, out, cache):
    """The study that compares the heads on two feature tables."""
    from glomfeat.comparison.options import Study

    return Study(
        data=f"file:{tables[0]}",
        features=tuple(f"file:{table}" for table in tables),
        reducers=(reducer,),
        heads=tuple(heads),
        folds=folds,
        repeats=repeats,
        seed=seed,
        jobs=jobs,
        memory=str(memory),
        out=str(out),
        cache=str(cache),
    )


def compare_ours(folder, tables, run=None, **options):
    """Run the comparison; features are in the store and nothing else is, or all that another run has left is there."""
    from glomfeat.comparison.compare import compare
    from glomfeat.comparison.prepare import prepare

    yield
    run = Path(run or folder)
    study = study_of(tables, **options, out=run / "out", cache=run / "store")
    found, _, _ = compare(prepare(study, say=lambda line: None), say=lambda line: None)
    yield lambda: _aurocs(found)


def report_ours(folder, run):
    """Write the report of a finished comparison."""
    from glomfeat.report.write import write_report

    yield
    write_report(Path(run) / "out")
    yield


def _aurocs(run):
    """AUROC of the outer test by table, head, repeat and fold."""
    from sklearn.metrics import roc_auc_score

    found = {}
    for trial in run.trials:
        record = run.record(trial)
        if trial.arm.head != "dummy":
            if record["status"] != "done":
                raise RuntimeError(f"{trial.arm}: {record['status']}: {record['reason']}")
            key = f"{trial.arm.feature.partition('.')[0]} {trial.arm.head} {trial.repeat} {trial.fold}"
            found[key] = float(roc_auc_score(run.manifest.labels[run.tested(trial)], record["scores"]))
    return found


def head_ours(folder, head, n, width, seed):
    """Choose a head's setting, fit it on reduced rows and score the others."""
    from glomfeat.data.splits import deal, inner_splits
    from glomfeat.models.heads.built_in import make_head
    from glomfeat.models.heads.scoring import scores_of
    from glomfeat.models.selection import fit_chosen

    labels, cases = labels_and_cases(n, seed)
    part = deal(labels, cases, [0.2, 0.8], seed)
    train = np.flatnonzero(part == 1)
    X = np.random.default_rng(seed).standard_normal((n, width), np.float32)
    X += labels[:, None].astype(np.float32) * np.float32(1 / np.sqrt(width))
    inner = inner_splits(labels, cases, train, [], seed)
    yield
    chosen = fit_chosen(make_head(head, seed), X, labels, train, inner, 2, "balanced")
    scores_of(chosen.estimator, X[part == 0], 2)
    yield
