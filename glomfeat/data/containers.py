"""Images in a data file: arrays as PatchCamelyon and MedMNIST have them, or Hugging Face's parquet.

A row is read as if it were a file of its own, like the members of archives: rows of arrays as the bytes of a BMP, which
are the same everywhere, and bytes in parquet as they are.
"""

import io
import shutil
import tempfile
import threading
import zipfile
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from os import PathLike
from pathlib import Path
from typing import IO, Any, Literal, TypeVar

import numpy as np
import pandas as pd
from PIL import Image

from glomfeat.core.words import number_of
from glomfeat.data.archives import AGAIN, ArchiveError, Members
from glomfeat.data.folders.names import part_in, split_of

OF_IMAGES = ("x", "images", "image", "img", "imgs")
AT_ONCE = 64  # parquet images held at once while unpacking
OF_LABELS = ("y", "labels", "label", "targets", "target")

Made = TypeVar("Made")
Shape = tuple[int, ...]
Read = Callable[[int], bytes]  # the bytes of a row's image
Listed = tuple[list[str], pd.DataFrame, np.ndarray, Read]  # names, facts, sizes, read


@dataclass(frozen=True)
class Container(Members):
    """Images in one file, by name.

    Attributes
    ----------
    path : pathlib.Path
    names : list of str
        Sorted.
    facts : pandas.DataFrame
        A row for each name, with whatever columns there are, such as ``label`` and ``split``.
    sizes : ndarray of int64
        Bytes of each image; 0 if not known before it is read.
    read : callable
        Returns the bytes of a row's image.
    """

    path: Path
    names: list[str]
    facts: pd.DataFrame
    sizes: np.ndarray
    read: Read = field(repr=False)

    def escaping(self) -> list[str]:
        """No names: no image of a container leads out of it."""
        return []


@dataclass(frozen=True)
class Kind:
    """A kind of file that holds images.

    Attributes
    ----------
    looks : callable
        ``path -> object``: true if the header says that there are images. If it raises anything, the file is not of
        this kind.
    read : callable
        ``path -> (names, facts, sizes, read)`` as for `Container`, in the order of the file.
    """

    looks: Callable[[Path], object]
    read: Callable[[Path], Listed]


def is_container(path: str | PathLike[str]) -> bool:
    """Whether a file holds images in the way of one of these containers; only its header is read."""
    path = Path(path)
    kind = KINDS.get(path.suffix.lower())
    if kind is None or not path.is_file():
        return False
    try:
        return bool(kind.looks(path))
    except Exception:  # another kind of file, or a damaged one, which is reported better elsewhere
        return False


def read_container(path: str | PathLike[str]) -> Container:
    """List the images of a container.

    Parameters
    ----------
    path : path-like

    Returns
    -------
    Container

    Raises
    ------
    ArchiveError
        Labels do not fit the images, or the file is damaged.
    """
    path = Path(path)
    try:
        names, facts, sizes, read = KINDS[path.suffix.lower()].read(path)
    except ArchiveError:
        raise
    except Exception as error:  # h5py, pyarrow and zipfile raise what they like
        raise ArchiveError(f"{path} is damaged or cut off: {AGAIN}") from error
    order = sorted(range(len(names)), key=names.__getitem__)
    facts = facts.iloc[order].reset_index(drop=True)
    return Container(path, [names[k] for k in order], facts, sizes[order], lambda row: read(order[row]))


def _bmp(pixels: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)).save(buffer, "BMP")
    return buffer.getvalue()


def _are_images(name: str, shape: Shape, dtype: np.dtype) -> bool:
    """Whether an array holds 8-bit images: (n, height, width, 1 or 3), or (n, height, width) with a telling name."""
    words = name.lower().replace("/", "_").split("_")
    if dtype != np.uint8 or any(word in OF_LABELS for word in words):  # PatchCamelyon's labels have four axes too
        return False
    called = any(word in OF_IMAGES for word in words)
    return (len(shape) == 4 and shape[-1] in (1, 3)) or (len(shape) == 3 and called)


def _partner(name: str, keys: Collection[str]) -> str | None:
    """The array of labels that goes with an array of images, or None."""
    parts = name.split("_")
    for k, part in enumerate(parts):
        if part.lower() in OF_IMAGES:
            for other in OF_LABELS:
                found = "_".join([*parts[:k], other, *parts[k + 1 :]])
                if found in keys:
                    return found
    return next((key for key in keys if key.lower() in OF_LABELS), None)


def _labels(values: Any, count: int, path: Path | str) -> list[str]:
    """Labels as text, one for each image."""
    values = np.asarray(values)
    flat = values.reshape(len(values), -1) if values.ndim else values.reshape(0, 0)
    if len(flat) != count:
        raise ArchiveError(
            f"{path} holds {len(flat)} labels and there are {count} images: give the labels of these images"
        )
    if flat.shape[1] != 1:
        raise ArchiveError(
            f"{path} holds {flat.shape[1]} labels for each image: one is needed; give a CSV of names and one label "
            "each with --labels"
        )
    return [str(value.decode() if isinstance(value, bytes) else value) for value in flat[:, 0].tolist()]


def _numbered(stem: str, count: int) -> list[str]:
    """Names for images that have none: the name of what holds them, and a number."""
    return [f"{stem}_{k:0{max(6, len(str(count)))}d}" for k in range(count)]


def _rows_of(array: Callable[[], np.ndarray], shape: Shape) -> Read:
    """A reader of an array's images; grey images without a channel axis get one."""
    return lambda row: _bmp(np.asarray(array()[row]).reshape(*shape[1:3], -1))


def _hdf5_image(path: Path) -> str | None:
    import h5py

    with h5py.File(path, "r") as file:
        found: dict[str, h5py.Dataset] = {}
        file.visititems(lambda key, item: found.update({key: item}) if isinstance(item, h5py.Dataset) else None)
        images = [key for key, item in found.items() if _are_images(key, item.shape, item.dtype)]
        return images[0] if len(images) == 1 else None


def _beside(path: Path, words: Iterable[str]) -> Path | None:
    """The file whose name differs from this one's in the last word only."""
    base = path.stem.rpartition("_")[0]
    found = (path.with_name(f"{base}_{word}" if base else word) for word in words)
    return next((other for other in found if other.is_file() and other != path), None)


def _from_hdf5(path: Path) -> Listed:
    import h5py

    image = _hdf5_image(path)
    assert image is not None  # is_container has checked
    file, lock = h5py.File(path, "r"), threading.Lock()
    shape, keys = file[image].shape, list(file)
    key, labels = _partner(image, keys), None
    if key is not None:
        labels = _labels(file[key][:], shape[0], path)
    elif (other := _beside(path, [f"{word}{path.suffix}" for word in OF_LABELS])) is not None:
        with h5py.File(other, "r") as beside:
            labels = _labels(beside[next(iter(beside))][:], shape[0], other)
    facts = pd.DataFrame(index=range(shape[0]))
    if (table := _beside(path, ["meta.csv"])) is not None:
        facts = pd.read_csv(table, dtype=str)
        if len(facts) != shape[0]:
            raise ArchiveError(
                f"{table} has {number_of(len(facts), 'row')}, but the number of images is {shape[0]}: give the table "
                "of these images"
            )
    if labels is not None:
        facts["label"] = labels
    if part := part_in(path.stem):
        facts["split"] = part

    def read(row: int) -> bytes:
        with lock:
            pixels = file[image][row]
        return _bmp(pixels.reshape(*shape[1:3], -1))

    return _numbered(path.stem, shape[0]), facts, np.full(shape[0], int(np.prod(shape[1:])), np.int64), read


def _npz_arrays(path: Path) -> dict[str, tuple[Shape, np.dtype]]:
    """Shape and type of the image arrays in an npz, by name, read from the headers alone."""
    return {key: found for key, found in _npz_headers(path).items() if _are_images(key, *found)}


def _npz_headers(path: Path) -> dict[str, tuple[Shape, np.dtype]]:
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as file:
                found[member.removesuffix(".npy")] = _header(file)[:2]
    return found


def _header(file: IO[bytes]) -> tuple[Shape, np.dtype, Literal["C", "F"]]:
    """Shape, type and order of an array in NumPy's format; leaves the file at its first number."""
    version = np.lib.format.read_magic(file)
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    shape, fortran, dtype = read(file)
    return shape, dtype, "F" if fortran else "C"


def _unpacked(path: Path, member: str) -> np.ndarray:
    """An array of an npz, mapped from a temporary file that disappears once nobody reads it."""
    with tempfile.TemporaryFile(prefix="glomfeat-") as file:
        with zipfile.ZipFile(path) as archive, archive.open(member) as packed:
            shutil.copyfileobj(packed, file, 2**20)
        file.seek(0)
        shape, dtype, order = _header(file)
        return np.memmap(file, dtype, "r", file.tell(), shape, order)


def _once(make: Callable[[], Made]) -> Callable[[], Made]:
    """A function that makes something on its first call and returns it ever after."""
    lock = threading.Lock()
    made: list[Made] = []

    def get() -> Made:
        with lock:
            if not made:
                made.append(make())
        return made[0]

    return get


def _from_npz(path: Path) -> Listed:
    headers, names, sizes, readers, facts = _npz_headers(path), [], [], [], []
    for key, (shape, _) in sorted(_npz_arrays(path).items()):
        with np.load(path) as arrays:
            partner = _partner(key, list(headers))
            labels = [""] * shape[0] if partner is None else _labels(arrays[partner], shape[0], f"{path}: {partner}")
        part = split_of(key)
        names += _numbered(part or path.stem, shape[0])
        sizes += [int(np.prod(shape[1:]))] * shape[0]
        facts.append(pd.DataFrame({"label": labels} | ({"split": part} if part else {})))
        read = _rows_of(_once(partial(_unpacked, path, f"{key}.npy")), shape)
        readers += [(read, row) for row in range(shape[0])]
    return names, pd.concat(facts, ignore_index=True), np.array(sizes), lambda k: readers[k][0](readers[k][1])


def _image_column(path: Path) -> tuple[str, str, str | None] | None:
    """The image column and, within it, where bytes and names are; None if there is none."""
    import pyarrow as pa
    from pyarrow import parquet

    schema = parquet.read_schema(path)
    for column in schema:
        if pa.types.is_struct(column.type) and column.type.get_field_index("bytes") >= 0:
            named = column.type.get_field_index("path") >= 0
            return column.name, f"{column.name}.bytes", f"{column.name}.path" if named else None
        if column.name.lower() in OF_IMAGES and (
            pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
        ):
            return column.name, column.name, None
    return None


def _class_names(schema: Any, column: str) -> list[str] | None:
    """The names of the classes that a column numbers, from the schema as Hugging Face writes it; None if not there."""
    import json

    try:
        features = json.loads(schema.metadata[b"huggingface"])["info"]["features"]
        return features[column]["names"]
    except (KeyError, TypeError, ValueError):
        return None


def _from_parquet(path: Path) -> Listed:
    import pyarrow as pa
    from pyarrow import parquet

    found = _image_column(path)
    assert found is not None  # is_container has checked
    column, place, named = found
    file = parquet.ParquetFile(path, memory_map=True)
    nested = [one.name for one in file.schema_arrow if pa.types.is_nested(one.type) or one.name == column]
    table = file.read(columns=[one.name for one in file.schema_arrow if one.name not in nested]).to_pandas()
    count = file.metadata.num_rows
    names = _numbered(path.stem, count)
    if named:
        paths = file.read(columns=[named]).column(0).combine_chunks().field("path").to_pylist()
        if count and all(paths) and len(set(paths)) == count:
            names = paths
    for label in table:
        if classes := _class_names(file.schema_arrow, label):
            called = dict(enumerate(classes))
            table[label] = [called.get(value) for value in table[label]]
    if part := part_in(path.stem):
        table["split"] = part
    unpacked = _once(lambda: _spilled(path, place))

    def read(row: int) -> bytes:
        data, ends = unpacked()
        return bytes(data[ends[row] : ends[row + 1]])

    return names, table, np.zeros(count, np.int64), read


def _spilled(path: Path, place: str) -> tuple[np.ndarray | bytes, list[int]]:
    """The bytes of all images, one after another in a temporary file, and where each begins."""
    from pyarrow import parquet

    ends = [0]
    with tempfile.TemporaryFile(prefix="glomfeat-") as file, parquet.ParquetFile(path) as rows:
        for batch in rows.iter_batches(AT_ONCE, columns=[place]):
            column = batch.column(0)
            for one in (column.field("bytes") if "." in place else column).to_pylist():
                ends.append(ends[-1] + file.write(one or b""))
        file.flush()
        return np.memmap(file, np.uint8, "r") if ends[-1] else b"", ends


_HDF5 = Kind(_hdf5_image, _from_hdf5)
KINDS = {  # a row here is all that another kind of file needs
    ".h5": _HDF5,
    ".hdf5": _HDF5,
    ".npz": Kind(_npz_arrays, _from_npz),
    ".parquet": Kind(_image_column, _from_parquet),
}
SUFFIXES = tuple(KINDS)
