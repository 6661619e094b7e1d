"""Networks: from pixels to scores. Importing this loads no torch; making a network does."""

import importlib.util

from glomfeat.core.installed import need_networks
from glomfeat.core.part_errors import calling
from glomfeat.core.plugins import LISTS, Own, PluginError, definition_of, did_you_mean, if_path, is_own
from glomfeat.models.nets.architectures import ARCHITECTURES, Architecture, find_architecture
from glomfeat.models.nets.grid import epochs_of_choosing, grid, read_grid, written_grid
from glomfeat.models.nets.modes import (
    FINETUNE,
    FROZEN,
    IN_WORDS,
    averaged,
    averages,
    nearly_named,
    one_view,
    split_mode,
)
from glomfeat.models.nets.recipes import POLICIES, Augment, Recipe, applying, converges, recipe_for

__all__ = [
    "ARCHITECTURES",
    "FROM_FUNCTION",
    "FROM_NOTHING",
    "POLICIES",
    "Architecture",
    "Augment",
    "Recipe",
    "applying",
    "averaged",
    "averages",
    "calling_net",
    "check_net",
    "converges",
    "find_architecture",
    "find_start",
    "grid",
    "is_own_net",
    "is_pretrained",
    "make_net",
    "net_bytes",
    "net_names",
    "net_seconds",
    "net_side",
    "one_view",
    "read_grid",
    "recipe_for",
    "split_mode",
    "without_loading",
    "without_tuning",
    "written_grid",
]

FROM_NOTHING = "none, trained from the beginning"  # instead of weights
FROM_FUNCTION = "as its own function makes them"  # a network of the user's may bring weights
STUDY = tuple(f"{model}:{what}" for model in ("resnet18", "vgg16", "vgg19") for what in (FROZEN, FINETUNE))


def net_names():
    """List the names of glomfeat's own networks and of the study's; any torchvision or timm ``MODEL:frozen`` works too.

    Examples
    --------
    >>> net_names()[:3], len(net_names())
    (['compact', 'homemade-128', 'homemade-224'], 21)
    """
    return [*ARCHITECTURES, *STUDY]


def net_side(name):
    """Give the side in pixels that a network reads unless told otherwise; 128 for one written as its layers.

    Examples
    --------
    >>> net_side("compact"), net_side("vgg16:frozen")
    (128, 224)
    """
    architecture = find_architecture(name)
    return architecture.side if architecture else 224


def check_net(name):
    """Check that a name stands for a network, before anything is built.

    torchvision or timm is imported only for a model that is not one of the study's.

    Parameters
    ----------
    name : str
        One of `net_names`; layers that end in ``out``, such as ``C16-BN-MP-F-D64-out``; a model and how it is trained,
        such as ``timm:vit_tiny_patch16_224:lora``; or any of these with ``+tta8``.

    Returns
    -------
    str
        The name.

    Raises
    ------
    PluginError
        No network has this name, or a layer is unknown.
    NotInstalledError
        What networks need is not installed.

    Examples
    --------
    >>> check_net("homemad-128")
    Traceback (most recent call last):
    ...
    glomfeat.core.plugins.PluginError: no net is called 'homemad-128': did you mean 'homemade-128', ...
    """
    plain = one_view(name)
    known_here = plain in STUDY or isinstance(name, Own) or find_architecture(name)
    mode = split_mode(name)
    if known_here or mode or ":" in plain:
        need_networks(f"net {name!r}")
    if known_here:
        return name
    if mode and mode.model.startswith("timm:"):
        from glomfeat.features.deep.timm_nets import find_timm

        find_timm(mode.model, follows=True)
    elif mode:
        from glomfeat.features.deep.weights import model_names

        if mode.model not in model_names():
            known = did_you_mean(mode.model, model_names(), LISTS.format("feature"))
            raise PluginError(f"net {name!r}: torchvision has no model {mode.model!r}; {known}")
    elif plain.startswith("timm:") or _is_torchvisions(plain):
        model = nearly_named(plain)
        raise PluginError(
            f"net {name!r} does not say which part of it is trained: write {model}:frozen; also {IN_WORDS}"
        )
    elif ":" not in name:
        raise PluginError(
            f"no net is called {name!r}: {did_you_mean(name, net_names(), LISTS.format('net'))}; "
            "also layers such as C16-BN-MP-F-D64-out, any torchvision or timm: model with :frozen, :last2, :finetune "
            f"or :lora, and your own 'module:function'{if_path(name)}"
        )
    return name


def _is_torchvisions(name):
    """Whether a name that stands for no network begins with a torchvision model's name, and not with a module's."""
    model = nearly_named(name)
    if not model.isidentifier() or importlib.util.find_spec(model):
        return False
    from glomfeat.features.deep.weights import model_names

    return model in model_names()


def is_own_net(name):
    """Whether a network is a function that the user wrote.

    Examples
    --------
    >>> is_own_net("mylab:net"), is_own_net("resnet18:frozen"), is_own_net("compact")
    (True, False, False)
    """
    return is_own(name) and split_mode(name) is None and not find_architecture(name)


def without_loading(name):
    """Say what a network starts from for which no weights are loaded.

    Examples
    --------
    >>> without_loading("compact"), without_loading("mylab:net")
    ('none, trained from the beginning', 'as its own function makes them')
    """
    return FROM_FUNCTION if is_own_net(name) else FROM_NOTHING


def calling_net(name, **how):
    """Open a block in which a network is called; `how` is that of `glomfeat.core.part_errors.calling`."""
    own = is_own_net(name)
    return calling("net", name, definition_of(one_view(name)) if own else None, own, **how)


def is_pretrained(name):
    """Whether a network is torchvision's or timm's, so that its training starts from parameters that must be found."""
    return split_mode(name) is not None


def find_start(name, weights, side=None):
    """Find the parameters that a network's training starts from.

    Parameters
    ----------
    name : str
    weights : str
        As `glomfeat.features.deep.weights.find_weights`.
    side : int or None
        Side of the images in pixels; None for the side in the configuration of the weights.

    Returns
    -------
    glomfeat.features.deep.weights.Weights or None
        None if training starts from scratch.

    Raises
    ------
    WeightsError
        The weights cannot be found.

    Examples
    --------
    >>> find_start("compact", "imagenet") is None
    True
    """
    mode = split_mode(name)
    if mode is None:
        return None
    from glomfeat.models.nets.pretrained import find_backbone_weights

    return find_backbone_weights(mode.model, weights, side)


def net_bytes(name, settings, n=0):
    """Estimate the bytes that training on n images takes; see `glomfeat.models.nets.cost.training_bytes`."""
    from glomfeat.models.nets import cost

    return cost.training_bytes(name, n, **without_tuning(settings))


def net_seconds(name, settings, n, n_valid, n_threads=1):
    """Estimate the seconds of training, of scoring one image, and of compiling once in each process.

    They come from `glomfeat.models.nets.cost.training_cost`. If settings are to be chosen, every training that this
    takes is counted, and the final training is assumed to be the longest.
    """
    from glomfeat.models.nets import cost
    from glomfeat.models.nets import repeating as device

    plain, tried, asked = without_tuning(settings), [], settings.get("tune")
    if asked and not converges(name, settings):
        tried = epochs_of_choosing(name, plain, asked)
        plain["epochs"] = max(grid(name, plain, asked)[1])
    with device.threads(n_threads):
        found = cost.training_cost(name, n, n_valid, **plain)
    before_s = sum(found.fit_s(epochs) for epochs in tried)
    return before_s + found.total_s, found.predict_ms / 1000, found.compile_s


def without_tuning(settings):
    """Settings for `make_net`, without the request that some of them be chosen."""
    return {field: value for field, value in settings.items() if field != "tune"}


def make_net(name, **settings):
    """Make an untrained network; see `glomfeat.models.nets.make.make_net`."""
    from glomfeat.models.nets import make

    return make.make_net(name, **settings)
