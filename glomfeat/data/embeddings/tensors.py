"""``.pt`` files, each with the tensor of one image saved by torch.save; no code in them is run."""

import pickle
from pathlib import Path

import torch

from glomfeat.data.embeddings.named import mean_rows
from glomfeat.data.tables.read import TableError

KEYS = ("embedding", "embeddings", "features", "feats", "feat", "vector")


def read_tensor(path):
    """Read the rows that a ``.pt`` file holds.

    Parameters
    ----------
    path : path-like
        A tensor of shape (d,) or (n, d), as kidney-hfm-eval and CLAM write it; a list of tensors (d,) or (n, d), as
        from eva; or a dict with one of these.

    Returns
    -------
    torch.Tensor, shape (n, d)
        Mapped from the file if its format allows it.

    Raises
    ------
    TableError
        The file is damaged, holds something else, or wants to run code.

    Examples
    --------
    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp(), "a.pt")
    >>> torch.save([torch.ones(3)], path)
    >>> read_tensor(path).tolist()
    [[1.0, 1.0, 1.0]]
    """
    path = Path(path)
    try:
        found = _load(path)
    except FileNotFoundError:
        raise
    except pickle.UnpicklingError as error:
        raise TableError(
            f"{path.name} holds Python objects beside tensors, which could run code, and is not opened: save the "
            "tensor alone, with torch.save(embedding.cpu(), FILE)"
        ) from error
    except Exception as error:  # torch may raise anything on damaged bytes
        raise TableError(f"{path.name} cannot be read: {type(error).__name__}: {error}") from error
    return _as_rows(found, path.name)


def _load(path):
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except RuntimeError as error:
        if "mmap" not in str(error):
            raise
        return torch.load(path, map_location="cpu", weights_only=True)  # written by torch before 1.6


def _as_rows(found, name):
    if isinstance(found, dict):
        tensors = {key: value for key, value in found.items() if isinstance(value, torch.Tensor)}
        known = [key for key in KEYS if key in tensors] or list(tensors)
        if len(known) != 1:
            raise TableError(f"{name} holds {len(tensors)} tensors ({', '.join(map(str, tensors))}): one is needed")
        found = tensors[known[0]]
    if isinstance(found, list | tuple) and found and all(isinstance(part, torch.Tensor) for part in found):
        parts = [part[None] if part.ndim == 1 else part for part in found]
        if len({part.shape[1:] for part in parts}) == 1 and parts[0].ndim == 2:
            return torch.cat(parts) if len(parts) > 1 else parts[0].detach()
    if isinstance(found, torch.Tensor) and found.ndim in (1, 2) and not found.is_sparse and not found.is_complex():
        return (found[None] if found.ndim == 1 else found).detach()
    what = tuple(found.shape) if isinstance(found, torch.Tensor) else type(found).__name__
    raise TableError(f"{name} holds {what}: it must hold a tensor of shape (d,) or (n, d)")


def shape_of(path):
    """The number of rows and columns in a file, without reading its numbers."""
    return tuple(read_tensor(path).shape)


def mean_of(path):
    """The mean of the rows of a file, float32, shape (d,)."""
    tensor = read_tensor(path)
    return mean_rows((tensor.float() if tensor.dtype == torch.bfloat16 else tensor).numpy())  # NumPy has no bfloat16
