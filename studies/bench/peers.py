"""The work of Pillow and scikit-learn that `studies.bench` measures, as their users would write it.

Libraries are imported where they are used, so that the memory of each side holds only its own.
"""

from pathlib import Path

import numpy as np

FIRST = 64  # rows of a result that are kept, to see how far the sides agree
SLICE_ROWS = 256


def image_paths(folder):
    """List the image files of a data set in the manifest's order, by name."""
    return sorted(Path(folder).glob("*/*.png"), key=lambda path: path.name)


def decode(images, size):
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
    """Open an image and put it in the middle of a white square."""
    from PIL import Image

    image = Image.open(path).convert("RGBA")
    side = max(image.size)
    square = Image.new("RGB", (side, side), "white")
    square.paste(image, ((side - image.width) // 2, (side - image.height) // 2), mask=image)
    return square


def reduce(table, folds, k, solver, measured):
    """Fit PCA on a memory map, fold by fold, and apply it to all rows; yield the training rows of the first fold.

    ``incremental`` runs IncrementalPCA in a loop over slices; other solvers take all training rows at once.
    """
    from sklearn.decomposition import PCA, IncrementalPCA
    from sklearn.utils import gen_batches

    trains = [np.flatnonzero(part != fold) for part in folds for fold in np.unique(part)][:measured]
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


def compare(tables, folds, labels, cases, k, heads, measured, jobs, seed, cached):
    """Search the same grids with a pipeline, for the first outer folds of the same partition."""
    from sklearn.decomposition import IncrementalPCA
    from sklearn.model_selection import GridSearchCV, StratifiedGroupKFold
    from sklearn.pipeline import Pipeline
    from sklearn.preprocessing import StandardScaler

    from glomfeat.models.heads.built_in import make_head

    found, where = {}, [(repeat, fold) for repeat, part in enumerate(folds) for fold in np.unique(part).tolist()]
    inside = StratifiedGroupKFold(max(2, folds.max()), shuffle=True, random_state=seed)  # one less, as in glomfeat
    yield
    for table in map(Path, tables):
        X = np.load(table)
        for repeat, fold in where[:measured]:
            tested = folds[repeat] == fold
            for name in heads:
                head = make_head(name, seed, reduced=True)
                pca = ("pca", IncrementalPCA(k, batch_size=SLICE_ROWS))
                steps = [("scale", StandardScaler()), pca, ("head", head.estimator)]
                pipeline = Pipeline(steps, memory="cached" if cached else None)
                grid = {f"head__{key}": values for key, values in head.grid.items()}
                search = GridSearchCV(pipeline, grid, scoring="roc_auc", cv=inside, n_jobs=jobs)
                search.fit(X[~tested], labels[~tested], groups=cases[~tested])
                found[table.stem, name, repeat, fold] = float(search.score(X[tested], labels[tested]))
    yield found
