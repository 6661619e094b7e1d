"""Settings of a training to choose among, and how: by successive halving, with the longest training last."""

import math
from itertools import product

from glomfeat.core.errors import InputError
from glomfeat.models.nets.recipes import Recipe, recipe_for

KINDS = {"lr": float, "epochs": int, "augment": str}
EXAMPLE = "lr=1e-4,3e-4 epochs=5,10 augment=none,histology"
# What is chosen among where no grid is given. The first is what stays where all are alike.
RATES = 1.0, 1 / 3, 3.0  # of the network's own learning rate
RICHER = "histology"  # the policy beside the network's own
SHORTER = 2  # by which its own epochs are divided
RUNGS = 4, 2  # by which epochs are divided, in each round of which half of the settings stay


def read_grid(tune):
    """What is to be chosen: False for nothing, True for the usual settings, or a grid.

    Parameters
    ----------
    tune : bool or sequence of str
        ``NAME=VALUE,VALUE`` of `KINDS`. None of them stand for the usual settings.

    Returns
    -------
    bool or dict of str to tuple

    Raises
    ------
    InputError
        A name or a value that there is not, or nothing to choose among.

    Examples
    --------
    >>> read_grid(["epochs=5,10", "lr=1e-4,3e-4"]), read_grid([])
    ({'lr': (0.0001, 0.0003), 'epochs': (5, 10)}, True)
    """
    if isinstance(tune, bool):
        return tune
    found = {}
    for text in tune:
        name, equals, values = text.partition("=")
        if not equals or name not in KINDS:
            raise InputError(
                f"tune is {text!r}: write values of {', '.join(KINDS)}, such as {EXAMPLE}; the data stand before it"
            )
        if name in found:
            raise InputError(f"tune names {name} twice: write all its values behind one {name}=")
        found[name] = _values(name, values)
    return {name: found[name] for name in KINDS if name in found} or True


def _values(name, text):
    """The values that are written behind a name."""
    parts, found = text.split(","), []
    for part in parts:
        try:
            value = KINDS[name](part)
            if name != "augment" and not math.isfinite(value):
                raise ValueError
            Recipe(**{name: value})
        except InputError as error:
            raise InputError(f"tune {name}={text}: {error}") from None
        except ValueError:
            kind = "whole number" if name == "epochs" else "number"
            raise InputError(f"tune {name}={text}: {part!r} is no {kind}; write such as {EXAMPLE}") from None
        found.append(value)
    if len(set(found)) < max(2, len(parts)):
        raise InputError(f"tune {name}={text}: give at least two values, each once; to set one, pass --{name}")
    return tuple(found)


def written_grid(asked):
    """What `read_grid` found, as it is written: alike for all ways to write the same.

    Examples
    --------
    >>> written_grid({"lr": (0.0001, 0.0003)}), written_grid(True)
    (['lr=0.0001,0.0003'], True)
    """
    if isinstance(asked, bool):
        return asked
    return [f"{name}={','.join(map(str, values))}" for name, values in asked.items()]


def recipe_of(name, settings):
    """The recipe that settings of `glomfeat.models.nets.make_net` lead to."""
    apart = {"seed", "side", "classes", "weights", "device", "preset", "recipe", "callbacks", "init", "plain"}
    overrides = {field: value for field, value in settings.items() if field not in apart}
    return recipe_for(name, settings.get("preset", "default"), **overrides)


def grid(name, settings, asked=True):
    """Settings to choose among, and epochs; the network's own come first, or those that are written first.

    Parameters
    ----------
    name : str
    settings : dict
        Of `glomfeat.models.nets.make_net`. In the usual grid a policy of augmentation that they hold is not chosen.
    asked : True or dict
        Of `read_grid`.

    Returns
    -------
    list of dict
        Each with what differs from `settings`, without epochs.
    list of int
        Epochs.

    Examples
    --------
    >>> grid("resnet18:lora", {"augment": "none"})
    ([{'lr': 0.001}, {'lr': 0.0003333}, {'lr': 0.003}], [10, 5])
    >>> grid("resnet18:lora", {}, {"epochs": (3, 6)})
    ([{}], [3, 6])
    """
    own = recipe_of(name, settings)
    if asked is True:
        rates = [own.lr if rate == 1 else float(f"{rate * own.lr:.4g}") for rate in RATES]
        policies = [{}] if "augment" in settings else [{}, {"augment": RICHER}]
        lengths = list(dict.fromkeys([own.epochs, math.ceil(own.epochs / SHORTER)]))
        return [{"lr": rate} | policy for policy in policies for rate in rates], lengths
    chosen = {field: values for field, values in asked.items() if field != "epochs"}
    found = [dict(zip(chosen, values, strict=True)) for values in product(*chosen.values())]
    return found, list(asked.get("epochs", [own.epochs]))


def halve(left, lengths, loss_of):
    """Choose among settings, the better half of which goes on, and then among epochs.

    Parameters
    ----------
    left : list of dict
    lengths : list of int
        Epochs. All settings are tried for a quarter of the most, and the better half of them for half of the most.
    loss_of : callable
        ``loss_of(setting, epochs)`` trains, and says what is better by being lower.

    Returns
    -------
    dict
        The setting, with ``epochs``. Of what is alike it is the first.

    Examples
    --------
    >>> halve([{"lr": 1}, {"lr": 2}, {"lr": 3}], [8, 4], lambda one, epochs: abs(one["lr"] - 2) - epochs)
    {'lr': 2, 'epochs': 8}
    """
    known = {}
    for part in RUNGS:
        if len(left) == 1:
            break
        epochs = math.ceil(max(lengths) / part)
        losses = [loss_of(one, epochs) for one in left]
        stay = 1 if part == RUNGS[-1] else math.ceil(len(left) / 2)
        order = sorted(sorted(range(len(left)), key=losses.__getitem__)[:stay])
        left, known = [left[k] for k in order], {epochs: losses[order[0]]}
    if len(lengths) > 1:
        known |= {epochs: loss_of(left[0], epochs) for epochs in lengths if epochs not in known}
    return left[0] | {"epochs": min(lengths, key=known.get) if len(lengths) > 1 else lengths[0]}


def epochs_of_choosing(name, settings, asked):
    """The epochs of each training that choosing takes, without the last one, of which the network is.

    Examples
    --------
    >>> epochs_of_choosing("compact", {"epochs": 8}, {"lr": (1e-3, 1e-4)})
    [2, 2]
    """
    trained = []
    halve(*grid(name, settings, asked), lambda _, epochs: trained.append(epochs) or 0.0)
    return trained
