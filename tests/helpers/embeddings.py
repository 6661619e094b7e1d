"""Eight rows of three numbers, and embeddings of slides as their tools write them."""

import h5py
import numpy as np
import pandas as pd

NAMES = [f"P{k // 2}_PAS_1of1_{k}.png" for k in range(8)]
STEMS = [name.removesuffix(".png") for name in NAMES]
X = np.random.default_rng(0).normal(size=(8, 3)).astype(np.float32)


def trident(path, features, coords):
    """``save_h5`` of TRIDENT's IO.py: chunks of a row, attributes at the datasets."""
    with h5py.File(path, "w") as file:
        for key, value in (("features", features), ("coords", np.asarray(coords, np.int64))):
            shape = value.shape
            made = file.create_dataset(
                key, shape=shape, maxshape=(None, *shape[1:]), chunks=(1, *shape[1:]), dtype=value.dtype
            )
            made[:] = value
        file["features"].attrs.update({"name": path.stem, "savetodir": "/somewhere"})
        file["coords"].attrs.update({"patch_size": 512, "target_magnification": 20, "overlap": 0})


def clam(path, features, coords):
    """CLAM appends batches to ``features`` and ``coords``."""
    with h5py.File(path, "w") as file:
        for key, value in (("features", features), ("coords", np.asarray(coords, np.int32))):
            made = file.create_dataset(key, data=value[:1], maxshape=(None, value.shape[1]), chunks=(1, value.shape[1]))
            made.resize(len(value), axis=0)
            made[1:] = value[1:]


def stamp(path, features, coords):
    """STAMP: half precision, micrometres, attributes at the file."""
    with h5py.File(path, "w") as file:
        file["coords"] = np.asarray(coords, np.float32)
        file["feats"] = features.astype(np.float16)
        attributes = {"stamp_version": "2.4.0", "extractor": "uni2", "unit": "um", "tile_size_um": 256.0}
        file.attrs.update(attributes | {"tile_size_px": 224, "code_hash": "0a1b2c3d", "feat_type": "tile"})


def write_hdf5(path, features, names, labels):
    """A file of one's own, with names and classes as texts beside the rows."""
    with h5py.File(path, "w") as file:
        file["features"] = features
        for key, values in (("names", names), ("labels", map(str, labels))):
            file.create_dataset(key, data=list(values), dtype=h5py.string_dtype())


def put_names(folder, kind):
    if kind == "csv":
        pd.DataFrame({"file": NAMES, "label": [0, 1] * 4}).to_csv(folder / "t.csv", index=False)
    elif kind == "txt":
        (folder / "t.txt").write_bytes("\ufeff".encode() + "\r\n".join(NAMES).encode() + b"\r\n")
    else:
        np.save(folder / "t_names.npy", np.array(NAMES, "S" if kind == "bytes" else "U"))
