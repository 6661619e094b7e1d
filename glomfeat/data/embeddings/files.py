"""Which files hold rows: one file, an npy and its names, or a folder with one file per image."""

import hashlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from glomfeat.data.files import names_below, sha256_of
from glomfeat.data.tables.read import HDF5, PER_IMAGE, TableError

MANIFEST = "manifest.csv"


def files_of(path):
    """List the files that make up a table of rows.

    Parameters
    ----------
    path : path-like
        A file, or a folder of ``.h5`` or ``.pt`` files.

    Returns
    -------
    list of pathlib.Path
        In order of name; for a folder, all that hold rows at any depth.

    Raises
    ------
    TableError
        Nothing is there, or a folder holds no such files or both kinds of them.
    """
    path = Path(path)
    if path.is_dir():
        return rows_below(path)
    if not path.is_file():
        raise TableError(f"there is no {path}: give a feature table or a folder of .h5 or .pt files")
    return [path, names_beside(path)] if path.suffix.lower() == ".npy" else [path]


def stem_of(path):
    """The name of a folder, or that of a file without its ending."""
    path = Path(path)
    return path.resolve().name if path.is_dir() else path.stem


def rows_below(folder):
    """The ``.h5`` or ``.pt`` files below a folder, each once; hidden ones are left out."""
    names = [name for name in names_below(folder) if Path(name).suffix.lower() in PER_IMAGE]
    found = _once(Path(folder), [Path(folder, name) for name in names])
    kinds = {"HDF5" if path.suffix.lower() in HDF5 else ".pt" for path in found}
    if len(kinds) > 1:
        where = sorted({str(path.parent.relative_to(folder)) for path in found})
        raise TableError(f"{folder} holds HDF5 and .pt files (in {', '.join(where[:5])}): name the folder of one kind")
    if not found:
        raise TableError(f"{folder} holds no {', '.join(PER_IMAGE)} file: embeddings are one file for each image")
    return found


def _once(folder, files):
    """Files below a folder, sorted; of those that links to folders show several times, the one not below a link."""
    base, real = folder.resolve(), {parent: parent.resolve() for parent in {file.parent for file in files}}
    kept = {}
    for file in sorted(files, key=lambda file: (real[file.parent] != base / file.parent.relative_to(folder), file)):
        kept.setdefault((real[file.parent], file.name), file)
    return sorted(kept.values())


def names_beside(path):
    """Find the only file of names beside ``t.npy``: ``t.csv``, ``t.txt`` (a name on each line) or ``t_names.npy``."""
    path = Path(path)
    asked = [path.with_suffix(".csv"), path.with_suffix(".txt"), path.with_name(f"{path.stem}_names.npy")]
    there = [beside for beside in asked if beside.is_file()]
    if not there:
        csv, txt, npy = (beside.name for beside in asked)
        raise TableError(
            f"{path.name} needs names beside it: {csv} (a column name), {txt} (one name on each line) or {npy}"
        )
    if len(there) > 1:
        raise TableError(f"{path.name} has names in {' and '.join(beside.name for beside in there)}: keep one of them")
    return there[0]


def digest_files(path, files):
    """SHA-256 over all that makes up a table of rows.

    Parameters
    ----------
    path : path-like
    files : list of pathlib.Path
        From `files_of`.

    Returns
    -------
    str
        For a single file, the digest of its bytes; else of the names and digests of all files, and of a manifest among
        them if there is one.

    Examples
    --------
    >>> import tempfile
    >>> folder = Path(tempfile.mkdtemp())
    >>> _ = (folder / "a.csv").write_bytes(b"")
    >>> digest_files(folder / "a.csv", [folder / "a.csv"])[:8]
    'e3b0c442'
    """
    path = Path(path)
    base, files = path if path.is_dir() else path.parent, _with_manifest(path, files)
    with ThreadPoolExecutor() as pool:
        digests = list(pool.map(sha256_of, files))
    if len(files) == 1 and not path.is_dir():
        return digests[0]
    lines = sorted(f"{file.relative_to(base).as_posix()}\t{sha}" for file, sha in zip(files, digests, strict=True))
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()


def stamps_of(path, files):
    """Size, times and inode of all files that `digest_files` reads: as long as these stay, so do the bytes."""
    found = [file.stat() for file in _with_manifest(Path(path), files)]
    return tuple((one.st_size, one.st_mtime_ns, one.st_ctime_ns, one.st_ino) for one in found)


def _with_manifest(path, files):
    """The files, followed by the manifest of a folder if there is one."""
    return [*files, path / MANIFEST] if path.is_dir() and (path / MANIFEST).is_file() else files
