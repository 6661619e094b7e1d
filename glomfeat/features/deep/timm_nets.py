"""Networks of timm as features, named as in timm, on the Hugging Face hub, or by a local folder."""

import importlib
import re
from dataclasses import dataclass, replace
from functools import lru_cache, partial

import torch
from torch import nn

from glomfeat.core.cache import digest_of
from glomfeat.core.plugins import PluginError, did_you_mean
from glomfeat.data.images.decode import SIDE
from glomfeat.features.base import FeatureError
from glomfeat.features.deep.builder import Builder
from glomfeat.features.deep.network import Deep
from glomfeat.features.deep.timm_cards import CARDS, CLASS, MEAN, POOLINGS, Card
from glomfeat.features.deep.timm_weights import fetch_weights, fill, find_timm_weights, hub_config
from glomfeat.features.deep.weights import reads, seeded

# Arguments that a stranger's bundle may pass to a constructor: plain settings of the architecture, no paths, no code.
ARGUMENTS = {
    *("img_size", "dynamic_img_size", "patch_size", "embed_dim", "depth", "num_heads", "mlp_ratio", "mlp_layer"),
    *("act_layer", "init_values", "class_token", "reg_tokens", "no_embed_class", "pos_embed", "global_pool"),
    *("qkv_bias", "qk_norm", "pre_norm", "final_norm", "fc_norm"),
}


class Pooled(nn.Module):
    """A transformer that returns the pooled tokens of its last layer: the class token, the mean of patches, or both."""

    def __init__(self, net, pooling):
        super().__init__()
        self.net, self.pooling = net, pooling

    def forward(self, images):
        tokens = self.net.forward_features(images)
        mean = tokens[:, self.net.num_prefix_tokens :].mean(dim=1)
        if self.pooling == MEAN:
            return mean
        return tokens[:, 0] if self.pooling == CLASS else torch.cat([tokens[:, 0], mean], dim=1)


@dataclass(frozen=True)
class TimmNet(Builder):
    """Build a timm network without its classes; see `glomfeat.features.deep.network.Deep`.

    Attributes
    ----------
    architecture : str
        A name of ``timm.list_models()``.
    args : tuple of (str, value)
        Arguments of its constructor.
    source : str
        The name that the user gave.
    pictures : bool
        Whether its last layer's output is a picture, and not a list of tokens.
    """

    architecture: str
    args: tuple = ()
    source: str = ""
    pictures: bool = False

    needs_no_file = True
    copies = 3  # of the parameters, while a file that is no .safetensors is read

    def __call__(self, model, weights, pooling):
        net = self.random(model) if weights.path is None else fill(self.make, weights.path, self.architecture)
        return Pooled(net.eval(), pooling) if pooling else net.eval()

    def make(self, **options):
        """Build the network with random weights, or as `options` of ``timm.create_model`` say."""
        timm = import_timm(self.architecture)
        args = {name: timm.layers.SwiGLUPacked if value == "SwiGLUPacked" else value for name, value in self.args}
        return timm.create_model(self.architecture, **{"pretrained": False, "num_classes": 0} | args | options)

    def random(self, model):
        """Build the network with random weights from a seed that is derived from its name."""
        with seeded(model):
            return self.make().eval()

    @property
    def plain(self):
        """Plain data that a bundle stores."""
        return {"source": self.source, "architecture": self.architecture, "args": dict(self.args)}


def from_plain(plain):
    """Read the network that a bundle stored.

    Parameters
    ----------
    plain : dict
        From `TimmNet.plain`, perhaps of a stranger's bundle.

    Returns
    -------
    TimmNet

    Raises
    ------
    ValueError
        timm has no such network, or the arguments are not plain ones of an architecture.
    """
    timm, args = import_timm(plain["architecture"]), plain["args"]
    if not timm.is_model(plain["architecture"]) or not set(args) <= ARGUMENTS:
        raise ValueError("no network of timm")
    if not all(isinstance(value, int | float | str | None) for value in args.values()):
        raise ValueError("arguments that are not plain")
    return TimmNet(plain["architecture"], tuple(args.items()), str(plain["source"]))


def find_again(net, label, where):
    """Find the parameters of a network that a bundle stored.

    Parameters
    ----------
    net : TimmNet
    label : str
        The feature's name.
    where : str or Path
        As `glomfeat.features.deep.timm_weights.find_timm_weights`.

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        They cannot be found or downloaded.
    """

    def fetch():
        config = _look_up(net.source)[1]
        return fetch_weights(f"timm:{net.source}", net.source, config)

    return find_timm_weights(net, label, where, fetch)


def import_timm(name):
    """Import timm; if it is not installed, the error says what to do."""
    try:
        return importlib.import_module("timm")
    except ModuleNotFoundError as error:
        if error.name != "timm":
            raise
        raise FeatureError(f'{name} needs timm, which is not installed: pip install "glomfeat[timm]"') from None


def split_name(name):
    """Split ``timm:MODEL[:POOLING]`` into the model and the pooling.

    Examples
    --------
    >>> split_name("timm:hf-hub:MahmoodLab/UNI:class+mean"), split_name("timm:resnet10t")
    (('hf-hub:MahmoodLab/UNI', 'class+mean'), ('resnet10t', None))
    """
    whole = name.removeprefix("timm:")
    model, _, pooling = whole.rpartition(":")
    if model and pooling in POOLINGS:
        return model, pooling
    if model and not whole.startswith(("hf-hub:", "local-dir:")):
        raise PluginError(f"{name}: no pooling is called {pooling!r}; allowed are {', '.join(POOLINGS)}")
    return whole, None


def timm_deep(name, where="imagenet", layer=None, device="auto", precision="float32", side=None):
    """Find a network of timm and its weights, and make it a feature.

    Parameters
    ----------
    name : str
        ``timm:MODEL`` or ``timm:MODEL:POOLING``; the model is in timm's list, with or without the tag of its
        weights, or ``hf-hub:OWNER/MODEL``, or ``local-dir:FOLDER``. The pooling is one of `POOLINGS`.
    where : str or Path
        ``imagenet``: the weights that the name stands for. Else as `glomfeat.features.deep.weights.find_weights`.
    layer : str or None
        Must be None, since layers can be named only for torchvision's networks.
    device, precision
        As `glomfeat.features.deep.network.Deep`.
    side : int or None
        As `glomfeat.features.deep.network.deep`.

    Returns
    -------
    Deep

    Raises
    ------
    FeatureError
        timm is not installed, a layer is named, or the network does not take such images or has no such pooling.
    PluginError
        timm has no such model.
    WeightsError
        Its configuration or weights cannot be found or downloaded.
    """
    import_timm(name)
    if layer:
        raise FeatureError(f"{name}: --layer {layer} names a layer of torchvision's; here write :class or :mean")
    named, found, follows = with_weights(name, side, where)
    return Deep(named.label, found, named.pooling, device, precision, build=named.build, follows=follows)


@dataclass(frozen=True)
class Named:
    """What a name stands for, before its parameters are looked for.

    Attributes
    ----------
    name, model : str
        ``timm:MODEL:POOLING``, and the model alone.
    label : str
        The feature's name.
    config : dict
        Configuration of its weights.
    card : Card
    pooling : str or None
    build : TimmNet
        Builds the network for images of one side.
    configuration : str
        As in `glomfeat.features.deep.weights.Weights`.
    """

    name: str
    model: str
    label: str
    config: dict
    card: Card
    pooling: str | None
    build: TimmNet
    configuration: str = ""

    def weights(self, where):
        """Find the network's parameters, as `glomfeat.features.deep.timm_weights.find_timm_weights`."""
        fetch = partial(fetch_weights, self.name, self.model, self.config)
        found, card, config = find_timm_weights(self.build, self.label, where, fetch), self.card, self.config
        mean, std = _normalisation(card, config)
        return replace(found, mean=mean, std=std, reads=_reads(config), configuration=self.configuration)


def find_timm(name, side=None, follows=False):
    """Find the network that a name stands for, for images of a side.

    Parameters
    ----------
    name : str
        As `timm_deep`.
    side : int or None
        Side of the images in pixels; None for the study's.
    follows : bool
        Whether images are read as the configuration of the weights says.

    Returns
    -------
    Named

    Raises
    ------
    FeatureError, PluginError, WeightsError
        As `timm_deep`.
    """
    import_timm(name)
    model, pooling = split_name(name)
    architecture, config, args, label = _look_up(model)
    card = CARDS.get(model.removeprefix("hf-hub:").partition("@")[0].lower(), Card())
    pooling = pooling or card.pooling
    build = TimmNet(architecture, tuple((args | dict(card.args)).items()), model)
    facts = architecture, sorted(build.args), _normalisation(card, config)
    configuration = digest_of(map(repr, facts))[:16] if ":" in model else ""  # names of timm's own list say all of it
    build = _fitted(name, build, config, pooling, _reads(config)[0] if follows else side or SIDE)
    return Named(name, model, label, config, card, pooling, build, configuration)


def with_weights(name, side, where):
    """Find the network that a name stands for, and its parameters.

    Parameters
    ----------
    name, side
        As `find_timm`.
    where : str
        As `timm_deep`.

    Returns
    -------
    named : Named
    found : Weights
    follows : bool
        Whether images are read as the configuration of the weights says: if no side is given and there are weights.
    """
    follows = side is None and str(where) != "none"
    named = find_timm(name, side, follows)
    found = named.weights(where)
    return with_weights(name, None, "none") if follows and found.path is None else (named, found, follows)


def _normalisation(card, config):
    """The mean and standard deviation of the channels."""
    mean, std = (card.mean, card.std) if card.mean else (config["mean"], config["std"])
    return tuple(mean), tuple(std)


def _reads(config):
    return reads(config["input_size"][-1], config["interpolation"])


def _look_up(model):
    """Look up a model's architecture, the configuration of its weights, its arguments, and the feature's name."""
    timm = importlib.import_module("timm")
    source, colon, ident = model.partition(":")
    if colon:
        config, architecture, args = hub_config(model, source, ident)
        label = ident.partition("@")[0] if source == "hf-hub" else re.split(r"[/\\]", ident.rstrip("/\\"))[-1]
        args = {key: tuple(v) if isinstance(v, list) else v for key, v in args.items() if key != "num_classes"}
    else:
        architecture, args, label = model.partition(".")[0], {}, model.partition(".")[0]
    if not timm.is_model(architecture):
        known = did_you_mean(architecture, timm.list_models(), "timm.list_models() in Python")
        raise PluginError(f"timm {timm.__version__} has no model {architecture!r}: {known}")
    if not colon:
        try:
            config = timm.models.get_pretrained_cfg(model).to_dict()
        except RuntimeError:
            tags = ", ".join(sorted(known.partition(".")[2] for known in timm.list_pretrained(f"{architecture}.*")))
            raise PluginError(f"timm's {architecture} has no weights {model.partition('.')[2]!r}: {tags}") from None
    about = timm.data.resolve_data_config({}, pretrained_cfg=config)
    return architecture, config | about, args, "timm_" + re.sub(r"[^\w.-]", "_", label)


def _fitted(name, build, config, pooling, side):
    """Fit the network to images of a side and try it on the meta device, so that nothing is downloaded in vain."""
    if config.get("fixed_input_size"):
        sized = replace(build, args=tuple((dict(build.args) | {"img_size": side}).items()))
        try:
            with torch.device("meta"):
                sized.make()
            build = sized
        except TypeError:  # the constructor takes no img_size
            pass
        except AssertionError:
            build = sized
    try:
        return replace(build, pictures=_try(name, build, pooling, side))
    except FeatureError:
        raise
    except Exception as error:  # networks refuse a side in as many ways as there are networks
        right = next((px for px in _other_sides(config, side) if _takes(name, build, pooling, px)), None)
        remedy = f"pass --size {right}" if right else "pass another --size"
        raise FeatureError(f"{name} does not take images of {side} px: {remedy} ({error})") from error


def _takes(name, build, pooling, side):
    sized = {key: side if key == "img_size" else value for key, value in build.args}
    try:
        return _try(name, replace(build, args=tuple(sized.items())), pooling, side) is not None
    except Exception:
        return False


def _other_sides(config, side):
    """List sides that a network may take: the nearest multiples of common patches, and its weights' own side."""
    near = [max(1, round(side / patch)) * patch for patch in (14, 16, 32)]
    return [*sorted(near, key=lambda px: abs(px - side)), config["input_size"][-1]]


@lru_cache(maxsize=64)
def _try(name, build, pooling, side):
    """Run the network on the meta device; return whether its last layer's output is a picture."""
    with torch.device("meta"), torch.inference_mode():
        net, images = build.make().eval(), torch.zeros(1, 3, side, side)
        kept = net.forward_features(images)
        if pooling:
            _check_pooling(name, net, kept, pooling)
            return False
        rows = net(images)
    if rows.ndim != 2:
        raise FeatureError(f"{name} gives {tuple(rows.shape[1:])} numbers for an image: choose a pooling, {name}:mean")
    return isinstance(kept, torch.Tensor) and kept.ndim == 4 and kept.shape[1] == net.num_features


def _check_pooling(name, net, kept, pooling):
    plain = name.removesuffix(f":{pooling}")
    if not (isinstance(kept, torch.Tensor) and kept.ndim == 3 and hasattr(net, "num_prefix_tokens")):
        raise FeatureError(f"{name}: this network has no tokens to pool; leave out :{pooling} and write {plain}")
    if pooling != MEAN and getattr(net, "cls_token", None) is None:
        raise FeatureError(f"{name}: this network has no class token; write {plain}:{MEAN}, or {plain}")
