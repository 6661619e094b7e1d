"""What `studies.bench` measures on rows of numbers: ours, and the ways of a user of scikit-learn.

Each function is called in a process of its own with a folder, and returns the seconds of the work as ``work_s``.
"""

import time
from pathlib import Path

import numpy as np

from glomfeat.core.cache import Store
from studies.bench.data import digests_of_rows, keep, labels_and_cases, open_matrix

SLICE_ROWS = 256


def reduce_ours(folder, data, width, reducer, measured, jobs, memory):
    """Reduce a stored matrix for the first folds."""
    from glomfeat.comparison.trial import megabytes
    from glomfeat.core.workers import Call, side_by_side

    parts, store = np.load(Path(data) / "parts.npy"), Store(str(folder / "store"))
    # the workers start and import once, however many folds there are: what is extrapolated must not hold it
    list(side_by_side(megabytes, [Call(0, 0)] * jobs, "workers", jobs, memory))
    start = time.perf_counter()
    rows = _ours(reducer, open_matrix(store, parts.shape[1], width), parts, measured, store, jobs, memory)
    work_s = time.perf_counter() - start
    keep(folder, rows)
    return {"work_s": work_s}


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


def reduce_ipca(folder, data, k, measured):
    """Fit IncrementalPCA by a loop over slices of a memory map, fold by fold, and apply it to all rows."""
    from sklearn.decomposition import IncrementalPCA
    from sklearn.utils import gen_batches

    parts, X = np.load(Path(data) / "parts.npy"), np.load(Path(data) / "rows.npy", mmap_mode="r")
    everything, first = list(gen_batches(len(X), SLICE_ROWS)), None
    start = time.perf_counter()
    for train in _trains(parts, measured):
        pca = IncrementalPCA(n_components=k)
        for part in gen_batches(len(train), SLICE_ROWS, min_batch_size=k):
            pca.partial_fit(X[train[part]].astype(np.float32))
        rows = np.concatenate([pca.transform(X[part].astype(np.float32)) for part in everything])
        first = rows if first is None else first
    work_s = time.perf_counter() - start
    keep(folder, first)
    return {"work_s": work_s}


def reduce_pca(folder, data, k, solver, measured):
    """Fit PCA on all training rows at once, fold by fold, and apply it to all rows."""
    from sklearn.decomposition import PCA

    parts, X = np.load(Path(data) / "parts.npy"), np.load(Path(data) / "rows.npy", mmap_mode="r")
    first, start = None, time.perf_counter()
    for train in _trains(parts, measured):
        pca = PCA(n_components=k, svd_solver=solver, random_state=0).fit(X[train].astype(np.float32))
        rows = pca.transform(np.asarray(X, np.float32))
        first = rows if first is None else first
    work_s = time.perf_counter() - start
    keep(folder, first)
    return {"work_s": work_s}


def _trains(parts, measured):
    folds = len(np.unique(parts[0]))
    return [np.flatnonzero(part != fold) for part in parts for fold in range(folds)][:measured]


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

    start = time.perf_counter()
    run = Path(run or folder)
    study = study_of(tables, **options, out=run / "out", cache=run / "store")
    found, _, _ = compare(prepare(study, say=lambda line: None), say=lambda line: None)
    work_s = time.perf_counter() - start
    return {"work_s": work_s, "auroc": _aurocs(found)}


def report_ours(folder, run):
    """Write the report of a finished comparison."""
    from glomfeat.report.write import write_report

    start = time.perf_counter()
    write_report(Path(run) / "out")
    return {"work_s": time.perf_counter() - start}


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


def compare_sklearn(folder, tables, folds_table, k, heads, outer, jobs, seed, cached):
    """Search the same grids with a pipeline, for the first outer folds of the same partition."""
    import pandas as pd
    from sklearn.decomposition import IncrementalPCA
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from glomfeat.data.splits import fold_rows
    from glomfeat.models.heads.built_in import make_head

    folds = pd.read_csv(folds_table, dtype={"case": str})
    one = folds[folds["repeat"] == 0]
    y, cases = one["label"].to_numpy(), one["case"].to_numpy()
    where = list(folds[["repeat", "fold"]].drop_duplicates().sort_values(["repeat", "fold"]).itertuples(index=False))
    folds_inside = max(2, one["fold"].nunique() - 1)  # as many as ours
    found, start = {}, time.perf_counter()
    for table in map(Path, tables):
        X = np.load(table)
        for repeat, fold in where[:outer]:
            train, test, _ = fold_rows(folds, repeat, fold)
            for name in heads:
                head = make_head(name, seed, reduced=True)
                steps = [
                    ("scale", StandardScaler()),
                    ("pca", IncrementalPCA(k, batch_size=SLICE_ROWS)),
                    ("head", head.estimator),
                ]
                search = GridSearchCV(
                    Pipeline(steps, memory=str(folder / "cached") if cached else None),
                    {f"head__{key}": values for key, values in head.grid.items()},
                    scoring="roc_auc",
                    cv=StratifiedGroupKFold(folds_inside, shuffle=True, random_state=seed),
                    n_jobs=jobs,
                )
                search.fit(X[train], y[train], groups=cases[train])
                scores = (getattr(search, "decision_function", None) or search.predict_proba)(X[test])
                scores = scores[:, 1] if scores.ndim == 2 else scores
                found[f"{table.stem} {name} {repeat} {fold}"] = float(roc_auc_score(y[test], scores))
    return {"work_s": time.perf_counter() - start, "auroc": found}


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
    start = time.perf_counter()
    chosen = fit_chosen(make_head(head, seed), X, labels, train, inner, 2, "balanced")
    scores_of(chosen.estimator, X[part == 0], 2)
    return {"work_s": time.perf_counter() - start, "inner_auroc": float(chosen.inner_auroc)}
