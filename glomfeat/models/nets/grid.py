"""The settings of a training that are chosen among, and how: by successive halving, with the longest training last."""

import math
from itertools import product

from glomfeat.core.errors import InputError
from glomfeat.models.nets.recipes import Recipe, applying, recipe_for

KINDS = {"lr": float, "epochs": int, "augment": str}
CALLED = {"lr": "learning rate", "epochs": "number of epochs", "augment": "augmentation"}
EXAMPLE = "lr=1e-4,3e-4 epochs=5,10 augment=none,histology"
# The candidates if no grid is given. If all are equally good, the first is chosen.
RATES = 1.0, 1 / 3, 3.0  # of the network's own learning rate
RICHER = "histology"  # the alternative to the network's own policy of augmentation
SHORTER = 2  # divisor of the network's own epochs for the shorter candidate
RUNGS = 4, 2  # divisors of the epochs, one a round; after each round the better half of the settings stays


def read_grid(tune):
    """Read what is to be chosen: False for nothing, True for the usual settings, or a grid.

    Parameters
    ----------
    tune : bool or sequence of str
        ``NAME=VALUE,VALUE`` with names of `KINDS`. An empty sequence stands for the usual settings.

    Returns
    -------
    bool or dict of str to tuple

    Raises
    ------
    InputError
        A name or a value is not allowed, or there is nothing to choose among.

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
    """Read the values that follow a name."""
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
    """Write what `read_grid` found as text, the same text for all ways to write the same grid.

    Examples
    --------
    >>> written_grid({"lr": (0.0001, 0.0003)}), written_grid(True)
    (['lr=0.0001,0.0003'], True)
    """
    if isinstance(asked, bool):
        return asked
    return [f"{name}={','.join(map(str, values))}" for name, values in asked.items()]


def recipe_of(name, settings):
    """Find the recipe that settings of `glomfeat.models.nets.make_net` lead to."""
    apart = {"seed", "side", "classes", "weights", "device", "preset", "recipe", "callbacks", "plain"}
    apart |= {"init", "new_head"}
    overrides = {field: value for field, value in settings.items() if field not in apart}
    return recipe_for(name, settings.get("preset", "default"), **overrides)


def grid(name, settings, asked=True):
    """List the settings and the epochs to choose among; the network's own, or those written first, come first.

    Parameters
    ----------
    name : str
    settings : dict
        Settings of `glomfeat.models.nets.make_net`. If they set a policy of augmentation, the usual grid keeps it.
    asked : True or dict
        Result of `read_grid`.

    Returns
    -------
    list of dict
        For each candidate, what differs from `settings`, without epochs.
    list of int
        Numbers of epochs.

    Examples
    --------
    >>> grid("resnet18:lora", {"augment": "none"})
    ([{'lr': 0.001}, {'lr': 0.0003333}, {'lr': 0.003}], [10, 5])
    >>> grid("resnet18:lora", {}, {"epochs": (3, 6)})
    ([{}], [3, 6])
    """
    own = recipe_of(name, settings)
    followed = applying(name, {"augment": RICHER} | (asked if isinstance(asked, dict) else {}))
    if asked is True:
        rates = [own.lr if rate == 1 else float(f"{rate * own.lr:.4g}") for rate in RATES]
        policies = [{}] if "augment" in settings or "augment" not in followed else [{}, {"augment": RICHER}]
        lengths = list(dict.fromkeys([own.epochs, math.ceil(own.epochs / SHORTER)]))
        return [{"lr": rate} | policy for policy in policies for rate in rates], lengths
    chosen = {field: values for field, values in asked.items() if field != "epochs" and field in followed}
    found = [dict(zip(chosen, values, strict=True)) for values in product(*chosen.values())]
    return found, list(asked.get("epochs", [own.epochs]))


def halve(left, lengths, loss_of):
    """Choose among settings by halving, and then among numbers of epochs.

    Parameters
    ----------
    left : list of dict
        The settings.
    lengths : list of int
        Numbers of epochs. All settings are tried for a quarter of the largest, and the better half of them for half of
        the largest.
    loss_of : callable
        ``loss_of(setting, epochs)`` trains and returns a number of which lower is better.

    Returns
    -------
    dict
        The chosen setting, with ``epochs``. Among equals it is the first.

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
    """List the epochs of each training that the choice takes, without the final training of the chosen network.

    Examples
    --------
    >>> epochs_of_choosing("compact", {"epochs": 8}, {"lr": (1e-3, 1e-4)})
    [2, 2]
    """
    trained = []
    halve(*grid(name, settings, asked), lambda _, epochs: trained.append(epochs) or 0.0)
    return trained
