"""What `studies.bench` measures of Pillow and scikit-learn, as a user of theirs would write it."""

from pathlib import Path

import numpy as np

from studies.bench.data import FIRST, image_paths

SLICE_ROWS = 256


def decode_loop(folder, images, size):
    """Decode and resize with Pillow, one image after the other."""
    from PIL import Image

    kept = []
    yield
    for path in image_paths(images):
        image = Image.open(path).convert("RGBA")
        side = max(image.size)
        square = Image.new("RGB", (side, side), "white")
        square.paste(image, ((side - image.width) // 2, (side - image.height) // 2), mask=image)
        pixels = np.asarray(square.resize((size, size), Image.Resampling.LANCZOS))
        if len(kept) < FIRST:
            kept.append(pixels)
    yield lambda: np.stack(kept)


def reduce_ipca(folder, data, k, measured):
    """Fit IncrementalPCA by a loop over slices of a memory map, fold by fold, and apply it to all rows."""
    from sklearn.decomposition import IncrementalPCA
    from sklearn.utils import gen_batches

    parts, X = np.load(Path(data) / "parts.npy"), np.load(Path(data) / "rows.npy", mmap_mode="r")
    everything, first = list(gen_batches(len(X), SLICE_ROWS)), None
    yield
    for train in _trains(parts, measured):
        pca = IncrementalPCA(n_components=k)
        for part in gen_batches(len(train), SLICE_ROWS, min_batch_size=k):
            pca.partial_fit(X[train[part]].astype(np.float32))
        rows = np.concatenate([pca.transform(X[part].astype(np.float32)) for part in everything])
        first = rows if first is None else first
    yield lambda: first[parts[0] != 0]


def reduce_pca(folder, data, k, solver, measured):
    """Fit PCA on all training rows at once, fold by fold, and apply it to all rows."""
    from sklearn.decomposition import PCA

    parts, X = np.load(Path(data) / "parts.npy"), np.load(Path(data) / "rows.npy", mmap_mode="r")
    first = None
    yield
    for train in _trains(parts, measured):
        pca = PCA(n_components=k, svd_solver=solver, random_state=0).fit(X[train].astype(np.float32))
        rows = pca.transform(np.asarray(X, np.float32))
        first = rows if first is None else first
    yield lambda: first[parts[0] != 0]


def _trains(parts, measured):
    folds = len(np.unique(parts[0]))
    return [np.flatnonzero(part != fold) for part in parts for fold in range(folds)][:measured]


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
    found = {}
    yield
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
    yield lambda: found
