"""Files of parameters: find them in a folder, read them without running code, identify them by their SHA-256."""

import hashlib
import pickle
from collections import OrderedDict

import safetensors.torch
import torch

from glomfeat.core.errors import UserError

SUFFIXES = (".safetensors", ".pth")


class WeightsError(UserError, OSError):
    """Parameters cannot be found, downloaded or read, or do not fit the network; the message says what to do."""


def in_folder(model, folder, models, original=()):
    """Find the one file of a folder that holds a network's parameters.

    Parameters
    ----------
    model : str
        What the file's name begins with.
    folder : Path
    models : sequence of str
        Names of all networks, so that a file of one with a longer name is not taken.
    original : set of str
        Full file names that are accepted as well.

    Returns
    -------
    Path

    Raises
    ------
    WeightsError
        There is no such file, or there are several.
    """
    longer = tuple(name for name in models if name.startswith(model) and name != model)
    files = sorted(path for path in folder.iterdir() if path.is_file())
    found = []
    for path in files:
        named = path.name.startswith(model) and not (longer and path.name.startswith(longer))
        if path.suffix in SUFFIXES and (named or path.name in original):
            found.append(path)
    if len(found) == 1:
        return found[0]
    if found:
        names = ", ".join(path.name for path in found)
        raise WeightsError(f"{folder} holds several weights for {model}: {names}; pass one of them, --weights FILE")
    holds = first_of([path.name for path in files]) or "no files"
    raise WeightsError(
        f"{folder} holds no weights for {model}: looked for {model}*.safetensors, {model}*.pth; it holds {holds}: "
        "put one there, or name another folder or file with --weights"
    )


def read_state(path):
    """Read the named tensors of a file without ever running code that it may contain.

    Parameters
    ----------
    path : Path

    Returns
    -------
    OrderedDict of str to torch.Tensor

    Raises
    ------
    WeightsError
        The file is damaged, or holds something else.
    """
    try:
        if path.suffix == ".safetensors":
            return OrderedDict(safetensors.torch.load_file(path))
        found = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise WeightsError(
            f"{path} is damaged, or holds more than tensors and was not opened because a pickle can run code: "
            "save it anew with torch.save(network.state_dict(), FILE), or as .safetensors"
        ) from error
    except (safetensors.SafetensorError, RuntimeError, EOFError, ValueError) as error:
        raise WeightsError(f"{path} cannot be read as weights, take another copy of it: {error}") from error
    for wrapper in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    if not isinstance(found, dict) or not all(isinstance(value, torch.Tensor) for value in found.values()):
        raise WeightsError(f"{path} holds no dict of named tensors: save network.state_dict()")
    return found if isinstance(found, OrderedDict) else OrderedDict(found)


def digest_of(net):
    """SHA-256 of a network's parameters and buffers, with their names, types and shapes.

    Parameters
    ----------
    net : torch.nn.Module
        On the CPU.

    Returns
    -------
    str

    Examples
    --------
    >>> digest_of(torch.nn.Flatten())[:8]
    'e3b0c442'
    """
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).contiguous().view(torch.uint8).numpy())
    return digest.hexdigest()


def first_of(names):
    """Join the first four names, followed by ... if there are more."""
    return ", ".join([*names[:4], *["..."] * (len(names) > 4)])
