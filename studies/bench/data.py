"""Generated data for `studies.bench`, written to its scratch folder; making them is never measured."""

import numpy as np
import pandas as pd
from sklearn.utils import gen_batches

from glomfeat.core.seeds import seed_for
from glomfeat.data.images.decode import encode_png
from glomfeat.data.manifest import read_manifest
from glomfeat.data.splits import make_folds

RANK = 256
BLOCK = 512
ROWS_A_CASE = 25
SHARE = 0.3  # of the positive class


def labels_and_cases(n, seed):
    """Draw a label and a case for each row; all but the smallest cases hold both classes."""
    rng = np.random.default_rng(seed_for(seed, "labels", n))
    cases = np.sort(rng.integers(0, max(12, n // ROWS_A_CASE), n))
    return (rng.random(n) < SHARE).astype(np.int64), cases


def _names(cases):
    return [f"P{case:04d}_PAS_1of1_{row:024x}.png" for row, case in enumerate(cases)]


def write_table(path, n, width, seed, dtype="float32", strength=0.5):
    """Write a feature table, an array with a CSV of names and labels next to it.

    Rows have a falling spectrum plus noise, and `strength` sets how well they separate the classes. They are made block
    by block, so that only one block is held in memory. Returns the path of the array.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    labels, cases = labels_and_cases(n, seed)
    rng, rank = np.random.default_rng(seed_for(seed, path.stem, n, width)), min(RANK, width)
    basis = rng.standard_normal((rank, width), np.float32) / np.sqrt(np.arange(1, rank + 1, dtype=np.float32))[:, None]
    signal = np.float32(strength) * rng.standard_normal(width, np.float32)
    rows = np.lib.format.open_memmap(path, "w+", dtype, (n, width))
    for part in gen_batches(n, BLOCK):
        m = len(labels[part])
        block = rng.standard_normal((m, rank), np.float32) @ basis
        block += 0.1 * rng.standard_normal((m, width), np.float32)
        block += (labels[part, None] - np.float32(SHARE)) * signal
        rows[part] = (128 + 24 * block).clip(0, 255) if dtype == "uint8" else block
    rows.flush()
    pd.DataFrame({"name": _names(cases), "label": labels}).to_csv(path.with_suffix(".csv"), index=False)
    return str(path)


def folds_of(table, folds, repeats, seed):
    """The folds of a study of a table, of shape (repeats, rows), with labels and cases, for the peers to use."""
    manifest = read_manifest(f"file:{table}")
    dealt = make_folds(manifest, "cv", folds, repeats, seed)["fold"].to_numpy().reshape(repeats, -1)
    return dealt, manifest.labels, manifest.cases


def write_tiny_images(folder, n, seed):
    """Write tiny images into two class folders, to measure what depends only on their number; return the folder."""
    labels, cases = labels_and_cases(n, seed)
    rng = np.random.default_rng(seed_for(seed, "tiny"))
    for label in (0, 1):
        (folder / str(label)).mkdir(parents=True)
    for label, name in zip(labels, _names(cases), strict=True):
        (folder / str(label) / name).write_bytes(encode_png(rng.integers(0, 256, (8, 8, 3), np.uint8)))
    return str(folder)
