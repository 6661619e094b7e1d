"""The state of a trained network as one safetensors file."""

import json
from pathlib import Path

from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import nn

from glomfeat.core.atomic import written_whole
from glomfeat.core.errors import UserError
from glomfeat.core.notes import NEW_HEAD
from glomfeat.models.nets.modes import begun_with


class StateError(UserError, ValueError):
    """The file does not hold the state of this network."""


def state_to_safetensors(net, path):
    """Write the state of a trained network, normalisation included.

    Parameters
    ----------
    net : NetClassifier
        Trained.
    path : str or Path
        The file appears whole or not at all.
    """
    path = Path(path)
    state = {key: value.detach().cpu().contiguous() for key, value in net.module_.state_dict().items()}
    about = {"net": net.module__name, "side": str(net.module__side), "weights": net.weights_}
    with written_whole(path) as part:
        part.write_bytes(_in_order(save(state, metadata=about)))


def _in_order(data):
    """Sort the metadata of a file by name, because safetensors writes it in a different order each time."""
    size = int.from_bytes(data[:8], "little")
    header = json.loads(data[8 : 8 + size])
    header["__metadata__"] = dict(sorted(header["__metadata__"].items()))
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8 bytes
    return len(text).to_bytes(8, "little") + text + data[8 + size :]


def state_from_safetensors(net, path):
    """Load the state of a trained network into an untrained one, made with the same name, side and classes.

    Parameters
    ----------
    net : NetClassifier
        An untrained network; it needs no pretrained weights.
    path : str or Path

    Returns
    -------
    NetClassifier
        Ready to predict.

    Raises
    ------
    StateError
        The file holds other tensors than the network has.
    """
    net.initialize()
    state, about = _read(path)
    own = net.module_.state_dict()
    if wrong := _unlike(own, state):
        raise StateError(
            f"{path} holds {_said(about)}, not {net.module__name} at side {net.module__side} with {len(net.classes_)} "
            f"classes: {len(wrong)} tensors differ, such as {wrong[0]}; make the net as the file was made"
        )
    net.module_.load_state_dict(state)
    net.weights_ = about.get("weights", "")
    return net


def start_from(net, path, new_head=False):
    """Start the training of a network from the state of one that was trained before, normalisation included.

    A last layer for another number of classes is not taken over, but starts anew.

    Parameters
    ----------
    net : NetClassifier
        An initialised network.
    path : str or Path
        File written by `state_to_safetensors`.
    new_head : bool
        Whether the last layer starts anew in any case, because it learnt other classes.

    Returns
    -------
    str
        What the network starts from, in words.

    Raises
    ------
    StateError
        The file holds another network, or one without a dense layer that could start anew.
    """
    state, about = _read(path)
    own = net.module_.state_dict()
    last = [name for name, layer in net.module_.named_modules() if isinstance(layer, nn.Linear)][-1:]
    if new_head and not last:
        raise StateError(
            f"{path} has learnt other classes, and {net.module__name} has no dense layer (nn.Linear) that could start "
            "anew: leave out --init, or take a bundle for the same classes in the same order"
        )
    of_head = [key for key in own if key.rpartition(".")[0] in last and key in state]
    anew = {key: own[key] for key in of_head if new_head or own[key].shape != state[key].shape}
    state |= anew
    if wrong := _unlike(own, state):
        raise StateError(
            f"{path} holds {_said(about)}, from which {net.module__name} at side {net.module__side} cannot start: "
            f"{len(wrong)} tensors differ, such as {wrong[0]}; take a bundle of the same network and --size"
        )
    net.module_.load_state_dict(state)
    if anew:
        net.notes_.append(NEW_HEAD)
    return begun_with(path)


def _read(path):
    with safe_open(path, "pt") as file:
        return load_file(path), file.metadata() or {}


def _unlike(own, state):
    """List the names of tensors that only one of two states holds, or whose shapes differ."""
    wrong = sorted(own.keys() ^ state.keys())
    return wrong + [key for key in own.keys() & state.keys() if own[key].shape != state[key].shape]


def _said(about):
    return f"{about.get('net', 'another network')} at side {about.get('side', '?')}"
