"""Generated data for `studies.bench`, written to its scratch folder, never measured."""

import hashlib
from pathlib import Path

import numpy as np
import pandas as pd

from glomfeat.core.cache import Matrix, Store, plan_shards
from glomfeat.core.seeds import seed_for
from glomfeat.data.images.decode import encode_png
from glomfeat.data.splits import deal
from glomfeat.features.shards import mapped

FIRST = 64  # rows that are kept of a result, by which sides are seen to agree
RANK = 256
BLOCK = 512
ROWS_A_CASE = 25
SHARE = 0.3  # of the positive class


def store_of(scratch):
    """What an earlier run would have left behind, for all benchmarks; each measured process gets a copy of its own."""
    return Store(str(scratch / "stored"))


def row_blocks(n, width, dtype, seed):
    """Rows with a falling spectrum under noise, block by block, so that no more than one block is held."""
    rng = np.random.default_rng(seed_for(seed, "rows", n, width))
    rank = min(RANK, width)
    basis = rng.standard_normal((rank, width), np.float32) / np.sqrt(np.arange(1, rank + 1, dtype=np.float32))[:, None]
    for start in range(0, n, BLOCK):
        m = min(BLOCK, n - start)
        block = rng.standard_normal((m, rank), np.float32) @ basis
        block += 0.1 * rng.standard_normal((m, width), np.float32)
        yield (128 + 24 * block).clip(0, 255).astype(np.uint8) if dtype == "uint8" else block


def write_matrix(folder, store, n, width, dtype, seed, folds, repeats):
    """Write rows as ``rows.npy`` for the peers and as stored shards for us, and their folds as ``parts.npy``."""
    folder.mkdir(parents=True)
    array = np.lib.format.open_memmap(folder / "rows.npy", "w+", dtype, (n, width))
    start = 0
    for block in row_blocks(n, width, dtype, seed):
        array[start : start + len(block)] = block
        start += len(block)
    array.flush()
    for k, rows in enumerate(plan_shards(digests_of_rows(n))):
        store.shard(key_of(n, width, k), lambda rows=rows: {"rows": array[rows]})
    labels, cases = labels_and_cases(n, seed)
    parts = [deal(labels, cases, [1 / folds] * folds, seed_for(seed, "folds", repeat)) for repeat in range(repeats)]
    np.save(folder / "parts.npy", np.stack(parts))


def key_of(n, width, shard):
    """What a stored shard of `write_matrix` is known by."""
    return {"bench": "rows", "n": n, "width": width, "shard": shard}


def digests_of_rows(n):
    """What stands for each row in keys."""
    return [hashlib.sha256(str(row).encode()).hexdigest() for row in range(n)]


def open_matrix(store, n, width):
    """The stored shards of `write_matrix` as a matrix."""
    digests, places = digests_of_rows(n), []
    shards = plan_shards(digests)
    for k in range(len(shards)):
        rows = store.shard(key_of(n, width, k), None)["rows"]  # read and let go of, as extraction does
        places.append(mapped(rows))
    return Matrix(places, digests, [[digests[row] for row in rows] for rows in shards])


def labels_and_cases(n, seed):
    """A label and a case for each row; every case but the smallest holds both classes."""
    rng = np.random.default_rng(seed_for(seed, "labels", n))
    cases = np.sort(rng.integers(0, max(12, n // ROWS_A_CASE), n))
    return (rng.random(n) < SHARE).astype(np.int64), cases


def write_tables(folder, n, widths, seed):
    """Write two feature tables of the same images, one telling the classes apart better; the paths of their arrays."""
    folder.mkdir(parents=True)
    labels, cases = labels_and_cases(n, seed)
    names = [f"P{case:04d}_PAS_1of1_{row:024x}.png" for row, case in enumerate(cases)]
    for name, strength, width in zip("ab", (0.5, 0.35), widths, strict=True):
        rows = np.concatenate(list(row_blocks(n, width, "float32", seed_for(seed, name))))
        signal = np.random.default_rng(seed_for(seed, "signal", name)).standard_normal(width).astype(np.float32)
        rows += strength * (labels[:, None] - SHARE) * signal
        np.save(folder / f"{name}.npy", rows.astype(np.float32))
        pd.DataFrame({"name": names, "label": labels}).to_csv(folder / f"{name}.csv", index=False)
    return [str(folder / "a.npy"), str(folder / "b.npy")]


def write_tiny_images(folder, n, seed):
    """Write many small images in two class folders, for what depends on their number alone; their folder."""
    labels, cases = labels_and_cases(n, seed)
    rng = np.random.default_rng(seed_for(seed, "tiny"))
    for label in (0, 1):
        (folder / str(label)).mkdir(parents=True)
    for row in range(n):
        name = f"P{cases[row]:04d}_PAS_1of1_{row:024x}.png"
        (folder / str(labels[row]) / name).write_bytes(encode_png(rng.integers(0, 256, (8, 8, 3), np.uint8)))
    return str(folder)


def image_paths(folder):
    """Image files of a data set in the manifest's order: by name."""
    return sorted(Path(folder).glob("*/*.png"), key=lambda path: path.name)
