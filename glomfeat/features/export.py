"""Export of features as parquet or HDF5, one row an image, written a block of rows at a time."""

import filecmp
import json
from pathlib import Path

import numpy as np
from sklearn.utils import gen_batches

from glomfeat import __version__
from glomfeat.core.atomic import reserve, written_whole
from glomfeat.core.disk import TO, check_room
from glomfeat.core.errors import UserError
from glomfeat.data.cases import pseudonyms

FORMATS = (".parquet", ".h5", ".hdf5")
BLOCK_BYTES, ROW_GROUP_BYTES = 2**24, 2**25
HDF5_BYTES, HDF5_TEXT_BYTES = 2**16, 64  # overhead of a file, and of each text
MOST_COLUMNS = 10_000  # a parquet file describes each column in each row group


class ExportError(UserError, ValueError):
    """The file cannot be written, or would replace another one."""


def check_target(to):
    """Refuse a file name whose ending names no format.

    Raises
    ------
    ExportError
        The ending is not one of `FORMATS`.
    """
    if Path(to).suffix.lower() not in FORMATS:
        raise ExportError(f"--to is {str(to)!r}: name a file that ends in {', '.join(FORMATS)}")


def target_of(to, feature, several):
    """The file of a feature: the one that was asked for, or one with the feature's name in it if there are several.

    Examples
    --------
    >>> target_of("runs/rows.h5", "shortcut.v1", several=True).name
    'rows.shortcut.v1.h5'
    """
    to = Path(to).expanduser()
    return to.with_name(f"{to.stem}.{feature}{to.suffix}") if several else to


def export_feature(extracted, feature, path, show_names=False):
    """Write the rows of a feature, which must be stored already.

    Parameters
    ----------
    extracted : glomfeat.features.shards.Extracted
    feature : object
        As `glomfeat.features.make.make_feature` returns it.
    path : path-like
        ``.parquet`` has the columns ``name``, ``label``, ``case`` (if cases are known) and a float32 column for each
        number, named by the feature or ``<feature>:<k>``. ``.h5`` has the datasets ``features`` (n, d) of float32,
        ``names``, ``labels`` and ``cases`` (n,) and, if the numbers have names, ``columns`` (d,) of texts. The metadata
        of the parquet schema or the attributes of the HDF5 file say what the numbers depend on.
    show_names : bool
        Whether cases have their names instead of pseudonyms. Images always have theirs, so that rows can be joined.

    Returns
    -------
    bool
        Whether the file was written; if not, it was there with the same bytes.

    Raises
    ------
    ExportError
        A different file is there, or parquet would have too many columns.

    Examples
    --------
    >>> import tempfile; import pandas as pd
    >>> from glomfeat.features.make import Handcrafted; from glomfeat.features.shards import Extracted
    >>> from glomfeat.data.manifest import Manifest
    >>> table = pd.DataFrame({"name": ["a.png"], "label": [1], "case": ["Smith"]})
    >>> feature = Handcrafted("red.v1", None)
    >>> made = Extracted(Manifest(table, ("no", "yes"), True), {"red.v1": np.ones((1, 1))}, keys={"red.v1": {}})
    >>> path = Path(tempfile.mkdtemp(), "red.parquet")
    >>> export_feature(made, feature, path), pd.read_parquet(path).columns.tolist()
    (True, ['name', 'label', 'case', 'red.v1:0'])
    """
    path, manifest, matrix = Path(path), extracted.manifest, extracted.matrices[feature.name]
    table, known = manifest.table, [str(name) for name in feature.columns]
    facts = {"name": table["name"].tolist(), "label": [manifest.classes[label] for label in manifest.labels]}
    if manifest.by_case:
        hidden = pseudonyms(table["case"])
        facts["case"] = [case if show_names else hidden[case] for case in table["case"]]
    about = {
        "glomfeat": __version__,
        "feature": feature.name,
        "weights": feature.weights,
        "key": json.dumps(extracted.keys[feature.name], sort_keys=True),
    }
    with written_whole(path, option=TO) as part:
        if path.suffix.lower() == ".parquet":
            _write_parquet(part, facts, matrix, known or [f"{feature.name}:{k}" for k in range(matrix.shape[1])], about)
        else:
            _write_hdf5(part, facts, matrix, known, about)
        there = path.exists()
        if there and not filecmp.cmp(part, path, shallow=False):
            raise ExportError(f"{path} exists and holds something else: name another file with --to, or delete it")
    return not there


def _blocks(matrix, size_bytes):
    for rows in gen_batches(len(matrix), max(1, size_bytes // (4 * matrix.shape[1]))):
        yield rows, matrix[rows].astype(np.float32, copy=False)


def _write_parquet(path, facts, matrix, columns, about):
    import pyarrow as pa
    from pyarrow import parquet

    if len(columns) > MOST_COLUMNS:
        raise ExportError(f"{about['feature']} has {len(columns)} columns, too many for parquet: write .h5")
    fields = [(name, pa.string()) for name in facts] + [(name, pa.float32()) for name in columns]
    schema = pa.schema(fields, metadata={f"glomfeat.{key}": value for key, value in about.items()})
    settings = {"use_dictionary": ["label", "case"], "write_statistics": False}  # for each column in each row group
    with parquet.ParquetWriter(path, schema, **settings) as writer:
        for rows, block in _blocks(matrix, ROW_GROUP_BYTES):
            texts = [pa.array(values[rows], pa.string()) for values in facts.values()]
            writer.write_batch(pa.record_batch([*texts, *map(pa.array, np.ascontiguousarray(block.T))], schema=schema))


def _write_hdf5(path, facts, matrix, columns, about):
    import h5py

    size = HDF5_BYTES + 4 * matrix.shape[0] * matrix.shape[1]
    size += sum(len(text.encode()) + HDF5_TEXT_BYTES for texts in (*facts.values(), columns) for text in texts)
    check_room([(path.parent, TO, size)])
    reserve(path, size)  # a full quota shows here: HDF5 ends the process if it cannot write
    path.unlink()
    with h5py.File(path, "w") as file:
        file.attrs.update(about)
        for name, values in [*((f"{name}s", values) for name, values in facts.items()), ("columns", columns)]:
            if values:
                file.create_dataset(name, data=values, dtype=h5py.string_dtype())
        found = file.create_dataset("features", matrix.shape, np.float32)
        for rows, block in _blocks(matrix, BLOCK_BYTES):
            found[rows] = block
