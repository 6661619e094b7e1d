"""What `studies.bench` measures of Pillow and scikit-learn, as a user of theirs would write it.

Imports are where they are used, so that each side holds its own.
"""

from pathlib import Path

import numpy as np

FIRST = 64  # rows that are kept of a result, by which sides are seen to agree
SLICE_ROWS = 256


def image_paths(folder):
    """Image files of a data set in the manifest's order: by name."""
    return sorted(Path(folder).glob("*/*.png"), key=lambda path: path.name)


def decode(folder, images, size):
    """Decode and resize with Pillow, one image after the other."""
    from PIL import Image

    kept = []
    yield
    for path in image_paths(images):
        pixels = np.asarray(open_square(path).resize((size, size), Image.Resampling.LANCZOS))
        if len(kept) < FIRST:
            kept.append(pixels)
    yield np.stack(kept)


def open_square(path):
    """An image in the middle of a white square."""
    from PIL import Image

    image = Image.open(path).convert("RGBA")
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2), mask=image)
    return square


def reduce(folder, table, folds, k, solver, measured):
    """Fit PCA on a memory map, fold by fold, and apply it to all rows; give the training rows of the first fold.

    ``incremental`` is IncrementalPCA in a loop over slices; other solvers take all training rows at once.
    """
    from sklearn.decomposition import PCA, IncrementalPCA
    from sklearn.utils import gen_batches

    parts = np.load(folds)["folds"]
    trains = [np.flatnonzero(part != fold) for part in parts for fold in np.unique(part)][:measured]
    X, first = np.load(table, mmap_mode="r"), None
    yield
    for train in trains:
        if solver == "incremental":
            pca = IncrementalPCA(k)
            for part in gen_batches(len(train), SLICE_ROWS, min_batch_size=k):
                pca.partial_fit(X[train[part]].astype(np.float32))
        else:
            pca = PCA(k, svd_solver=solver, random_state=0).fit(X[train].astype(np.float32))
        rows = np.concatenate([pca.transform(X[part].astype(np.float32)) for part in gen_batches(len(X), SLICE_ROWS)])
        first = rows[train] if first is None else first
    yield first


def compare(folder, tables, folds, k, heads, measured, jobs, seed, cached):
    """Search the same grids with a pipeline, for the first outer folds of the same partition."""
    from sklearn.decomposition import IncrementalPCA
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from glomfeat.models.heads.built_in import make_head

    dealt, found = np.load(folds), {}
    y, cases, parts = dealt["labels"], dealt["cases"], dealt["folds"]
    where = [(repeat, fold) for repeat, part in enumerate(parts) for fold in np.unique(part).tolist()][:measured]
    inside = StratifiedGroupKFold(max(2, parts.max()), shuffle=True, random_state=seed)  # one fold less, as ours
    yield
    for table in map(Path, tables):
        X = np.load(table)
        for repeat, fold in where:
            tested = parts[repeat] == fold
            for name in heads:
                head = make_head(name, seed, reduced=True)
                pca = ("pca", IncrementalPCA(k, batch_size=SLICE_ROWS))
                search = GridSearchCV(
                    Pipeline(
                        [("scale", StandardScaler()), pca, ("head", head.estimator)],
                        memory=str(folder / "cached") if cached else None,
                    ),
                    {f"head__{key}": values for key, values in head.grid.items()},
                    scoring="roc_auc",
                    cv=inside,
                    n_jobs=jobs,
                )
                search.fit(X[~tested], y[~tested], groups=cases[~tested])
                scores = (getattr(search, "decision_function", None) or search.predict_proba)(X[tested])
                scores = scores[:, 1] if scores.ndim == 2 else scores
                found[table.stem, name, repeat, fold] = float(roc_auc_score(y[tested], scores))
    yield found
