"""Networks: from pixels to scores. Importing this loads no torch; making a network does."""

from glomfeat.core.installed import need_networks
from glomfeat.core.part_errors import calling
from glomfeat.core.plugins import LISTS, Own, PluginError, definition_of, did_you_mean, is_own
from glomfeat.models.nets.architectures import ARCHITECTURES, Architecture, find_architecture
from glomfeat.models.nets.recipes import FINETUNE, FROZEN, Augment, Recipe, converges, recipe_for

__all__ = [
    "ARCHITECTURES",
    "FROM_NOTHING",
    "Architecture",
    "Augment",
    "Recipe",
    "calling_net",
    "check_net",
    "converges",
    "find_architecture",
    "find_start",
    "is_own_net",
    "is_pretrained",
    "make_net",
    "net_bytes",
    "net_names",
    "net_seconds",
    "net_side",
    "recipe_for",
]

FROM_NOTHING = "none, trained from the beginning"  # instead of weights
STUDY = tuple(f"{model}:{what}" for model in ("resnet18", "vgg16", "vgg19") for what in (FROZEN, FINETUNE))


def net_names():
    """The names of the networks of our own and of the study; any torchvision ``MODEL:frozen`` works too.

    Examples
    --------
    >>> net_names()[:3], len(net_names())
    (['compact', 'homemade-128', 'homemade-224'], 21)
    """
    return [*ARCHITECTURES, *STUDY]


def net_side(name):
    """The side in pixels that a network reads unless told otherwise; 128 of one written as its layers.

    Examples
    --------
    >>> net_side("compact"), net_side("vgg16:frozen")
    (128, 224)
    """
    architecture = find_architecture(name)
    return architecture.side if architecture else 224


def check_net(name):
    """Check that a name stands for a network, before anything is built.

    Only a torchvision model outside of the study costs the import of torchvision.

    Parameters
    ----------
    name : str
        Of `net_names`, or layers that end in ``out``, such as ``C16-BN-MP-F-D64-out``.

    Returns
    -------
    str
        The name.

    Raises
    ------
    PluginError
        No network is called so, or a layer is unknown.
    NotInstalledError
        What networks need is not installed.

    Examples
    --------
    >>> check_net("homemad-128")
    Traceback (most recent call last):
    ...
    glomfeat.core.plugins.PluginError: no net is called 'homemad-128': did you mean 'homemade-128', ...
    """
    model, colon, what = name.partition(":")
    known_here = name in STUDY or isinstance(name, Own) or find_architecture(name)
    if known_here or colon:
        need_networks(f"net {name!r}")
    if known_here:
        return name
    if what in (FROZEN, FINETUNE):
        from glomfeat.features.deep.weights import model_names

        if model not in model_names():
            known = did_you_mean(model, model_names(), LISTS.format("feature"))
            raise PluginError(f"net {name!r}: torchvision has no model {model!r}; {known}")
    elif not colon:
        raise PluginError(
            f"no net is called {name!r}: {did_you_mean(name, net_names(), LISTS.format('net'))}; "
            "also layers such as C16-BN-MP-F-D64-out, any torchvision MODEL:frozen or MODEL:finetune, and your own "
            "'module:function'"
        )
    return name


def is_own_net(name):
    """Whether a network is a function of the user's own.

    Examples
    --------
    >>> is_own_net("mylab:net"), is_own_net("resnet18:frozen"), is_own_net("compact")
    (True, False, False)
    """
    return is_own(name) and name.rpartition(":")[2] not in (FROZEN, FINETUNE) and not find_architecture(name)


def calling_net(name):
    """A block in which a network is called, see `glomfeat.core.part_errors.calling`."""
    own = is_own_net(name)
    return calling("net", name, definition_of(name) if own else None, own)


def is_pretrained(name):
    """Whether a network is one of torchvision's, whose training starts from parameters that are looked for."""
    return name.partition(":")[2] in (FROZEN, FINETUNE)


def find_start(name, weights):
    """The parameters that a network's training starts from.

    Parameters
    ----------
    name : str
    weights : str
        As `glomfeat.features.deep.weights.find_weights`.

    Returns
    -------
    glomfeat.features.deep.weights.Weights or None
        None where it begins from nothing.

    Raises
    ------
    WeightsError
        The weights cannot be found.

    Examples
    --------
    >>> find_start("compact", "imagenet") is None
    True
    """
    if not is_pretrained(name):
        return None
    from glomfeat.features.deep.weights import find_weights

    return find_weights(name.partition(":")[0], weights)


def net_bytes(name, settings, n=0):
    """Memory that training with n images takes; see `glomfeat.models.nets.cost.training_bytes`."""
    from glomfeat.models.nets import cost

    return cost.training_bytes(name, n, **settings)


def net_seconds(name, settings, n, n_valid, n_threads=1):
    """Seconds that training takes, and that scoring an image does; see `glomfeat.models.nets.cost.training_cost`."""
    from glomfeat.models.nets import cost
    from glomfeat.models.nets import repeating as device

    with device.threads(n_threads):
        found = cost.training_cost(name, n, n_valid, **settings)
    return found.total_s, found.predict_ms / 1000


def make_net(name, **settings):
    """Make an untrained network; see `glomfeat.models.nets.make.make_net`."""
    from glomfeat.models.nets import make

    return make.make_net(name, **settings)
