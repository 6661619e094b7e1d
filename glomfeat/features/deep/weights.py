"""Where a network's parameters come from: ImageNet, a file of your own, or a seed."""

import http.client
import re
import socket
import sys
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import torch
import torchvision

from glomfeat.core.plugins import LISTS, PluginError, did_you_mean
from glomfeat.core.seeds import seed_for
from glomfeat.data.files import sha256_of
from glomfeat.data.images.decode import FILTERS
from glomfeat.features.deep.checkpoints import SUFFIXES, WeightsError, digest_of, first_of, in_folder, read_state
from glomfeat.features.recalled import hub_folder

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DOWNLOAD_TIMEOUT_S = 10
SEED, CLASSES = 0, 1000

# Auxiliary heads serve training only; torchvision's parameters of both networks expect `transform_input`.
_INCEPTION = {"aux_logits": False, "transform_input": True, "init_weights": True}
_AUXILIARY = {"inception_v3": ("AuxLogits.",), "googlenet": ("aux1.", "aux2.")}
_OLD_DENSENET = re.compile(r"(.*denselayer\d+\.(?:norm|relu|conv))\.([12]\..*)")


@dataclass(frozen=True)
class Weights:
    """Where a network's parameters come from, and the images that they expect.

    Attributes
    ----------
    name : str
        "imagenet", "random", "own", or the name in the file's name.
    sha256 : str
        SHA-256 of the file's bytes; of the parameters themselves if they are random or come from your own code.
    path : Path or None
        The file; None if there is none.
    mean, std : tuple of float
        Mean and standard deviation of the red, green and blue channels, on a scale of 0 to 1.
    reads : (int, str or None) or None
        The side in pixels to which their configuration resizes images, and the filter; the filter is None if it is not
        one of `glomfeat.data.images.decode.FILTERS`. None if no configuration is known.
    configuration : str
        Digest of the file that says how the network is built and images are normalised; empty if no file says so.

    Examples
    --------
    >>> weights = Weights("imagenet", "f37072fd" + 56 * "0", Path("resnet18-f37072fd.pth"))
    >>> weights.tag
    'imagenet-f37072fd'
    >>> weights.said[:24]
    'imagenet sha256:f37072fd'
    """

    name: str
    sha256: str
    path: Path | None = None
    mean: tuple = IMAGENET_MEAN
    std: tuple = IMAGENET_STD
    reads: tuple | None = None
    configuration: str = ""

    @property
    def tag(self):
        """Name and short digests, for the feature's name."""
        return "-".join([self.name, self.sha256[:8], *filter(None, [self.configuration[:8]])])

    @property
    def said(self):
        """The description of the parameters in every row of the results."""
        seed = f" (seed {SEED})" if self.name == "random" and not self.path else ""
        configuration = f" configuration:{self.configuration}" if self.configuration else ""
        return f"{self.name}{seed} sha256:{self.sha256}{configuration}"


def find_weights(model, where="imagenet"):
    """Find the parameters of a torchvision classification network.

    Parameters
    ----------
    model : str
        A name of ``torchvision.models``, such as "resnet18".
    where : str or Path
        ``imagenet``: torchvision's default ones, downloaded unless they are cached. ``auto``: the same, or random ones
        if that fails. ``none``: seeded random ones. Else a file, or a folder with a file ``<model>*.safetensors`` or
        ``<model>*.pth``.

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        There is no such file or there are several, the cached one is damaged, or the download failed.
    glomfeat.core.plugins.PluginError
        torchvision has no such classification network.

    Examples
    --------
    >>> find_weights("shufflenet_v2_x0_5", "none").said
    'random (seed 0) sha256:...'
    """
    enum, where = _entries(model), str(where)
    if where == "none":
        return Weights("random", _random_digest(model), None, *_configuration(_default(enum)))
    if where in ("imagenet", "auto"):
        try:
            path = _cached(model, enum)
        except WeightsError:
            if where == "auto":
                return find_weights(model, "none")
            raise
        weights = _weights_of(model, path, enum)
        if weights.name != "imagenet":
            raise WeightsError(f"{path} is damaged, its sha256 is {weights.sha256}: delete it and run again")
        return weights
    path = Path(where).expanduser()
    if not path.exists():
        raise WeightsError(f"--weights {where}: no such path; allowed are imagenet, auto, none, a folder or a file")
    if path.is_dir():
        path = in_folder(model, path, model_names(), {_file_name(entry) for entry in enum})
    return _weights_of(model, path, enum)


def model_names():
    """List the names of all classification networks of torchvision."""
    return torchvision.models.list_models(module=torchvision.models)


def _entries(model):
    """The enumeration of the weights that torchvision has for a network."""
    if model not in model_names():
        known = did_you_mean(model, model_names(), LISTS.format("feature"))
        raise PluginError(f"torchvision has no classification network {model!r}: {known}")
    return torchvision.models.get_model_weights(model)


def _default(enum):
    return getattr(enum, "DEFAULT", None)


def _configuration(entry):
    """Read mean, standard deviation, and `Weights.reads` from the configuration of weights."""
    if entry is None:
        return IMAGENET_MEAN, IMAGENET_STD, None
    preset = entry.transforms()
    return tuple(preset.mean), tuple(preset.std), reads(preset.crop_size[0], preset.interpolation.value)


def reads(side, interpolation):
    """Write a configuration's side and filter as `Weights.reads` has them.

    Examples
    --------
    >>> reads(518, "bicubic"), reads(224, "nearest")
    ((518, 'bicubic'), (224, None))
    """
    return side, interpolation if interpolation in FILTERS else None


def made_for(model):
    """The side in pixels of the images that torchvision's default weights were made for; 0 if it has none.

    Examples
    --------
    >>> made_for("resnet18"), made_for("efficientnet_b7")
    (224, 600)
    """
    read = _configuration(_default(_entries(model)))[2]
    return read[0] if read else 0


def default_file(model):
    """The name of the file with torchvision's default weights; empty if it has none.

    Examples
    --------
    >>> default_file("resnet18")
    'resnet18-f37072fd.pth'
    """
    entry = _default(_entries(model))
    return _file_name(entry) if entry else ""


def _file_name(entry):
    return entry.url.rpartition("/")[2]


def _promised(file_name):
    """The first digits of the SHA-256 in a file name of torchvision, or ''."""
    found = re.search(r"-([0-9a-f]{8,})\.pth$", file_name)
    return found[1] if found else ""


def _cached(model, enum):
    """Find the file of torchvision's default weights in torch.hub's folder, or download it."""
    entry = _default(enum)
    if entry is None:
        raise WeightsError(
            f"torchvision has no ImageNet weights for {model}: pass --weights FOLDER, or --weights none for random ones"
        )
    return download(entry.url, f"the ImageNet weights of {model}")


def download(url, what):
    """Download a file into torch.hub's folder, unless it is there already.

    Parameters
    ----------
    url, what : str
        `what` describes the file at the beginning of the error message.

    Returns
    -------
    Path

    Raises
    ------
    WeightsError
        The download failed; the message says what to do instead.
    """
    path = hub_folder() / url.rpartition("/")[2]
    if path.exists():
        return path
    patience = socket.getdefaulttimeout()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        socket.setdefaulttimeout(DOWNLOAD_TIMEOUT_S)
        torch.hub.download_url_to_file(url, str(path), _promised(path.name), progress=sys.stderr.isatty())
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        raise WeightsError(
            f"{what} could not be downloaded ({error}): put {path.name} from {url} into {path.parent}, or "
            "pass --weights FOLDER with such a file, or --weights none for random ones"
        ) from error
    finally:
        socket.setdefaulttimeout(patience)
    return path


def _weights_of(model, path, enum):
    found = of_file(model, path)
    entry = next((entry for entry in enum if _file_name(entry) == path.name), None)
    mean, std, read = _configuration(entry or _default(enum))
    original = entry is not None and found.sha256.startswith(_promised(path.name))
    return replace(found, name="imagenet" if original else found.name, mean=mean, std=std, reads=read)


def of_file(model, path):
    """Describe the weights in a file, with ImageNet's normalisation and no configuration.

    Parameters
    ----------
    model : str
        Name of the model; what follows it in the file's name is the name of the weights.
    path : Path

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        The file's name ends in none of `SUFFIXES`.
    """
    if path.suffix not in SUFFIXES:
        raise WeightsError(f"{path} is not a file of weights: allowed are {' and '.join(SUFFIXES)}")
    text = path.name.removesuffix(path.suffix).removeprefix(model).lstrip(".-_")
    return Weights(re.sub(r"[^\w.-]+", "-", text) or "weights", sha256_of(path), path)


@contextmanager
def seeded(model):
    """Draw random numbers from a seed that is derived from a network's name, leaving the global state untouched."""
    with torch.random.fork_rng(devices=[]):
        torch.random.default_generator.manual_seed(seed_for(SEED, "random weights", model))
        yield


def random_network(model):
    """Build a seeded network with its architecture's own initialisers, leaving the global random state untouched.

    Returns
    -------
    torch.nn.Module
        In evaluation mode, on the CPU, without auxiliary heads, with ImageNet's 1000 classes.
    """
    options = dict(_INCEPTION) if model in _AUXILIARY else {}
    if model.startswith("vit_"):  # its position embeddings fit one image size: 518 px for the weights of vit_h_14
        options["image_size"] = _default(_entries(model)).meta["min_size"][0]
    with seeded(model):
        return torchvision.models.get_model(model, weights=None, **options).eval()


@lru_cache(maxsize=64)
def _random_digest(model):
    return digest_of(random_network(model))


def load_network(weights, model):
    """Build a network and load its parameters.

    Parameters
    ----------
    weights : Weights
    model : str

    Returns
    -------
    torch.nn.Module
        As `random_network`.

    Raises
    ------
    WeightsError
        The file is damaged, does not hold named tensors, or belongs to another network.
    """
    net = random_network(model)
    if weights.path is None:
        return net
    state, own = read_state(weights.path), net.state_dict()
    for key in list(state):
        value = state.pop(key)
        name = _OLD_DENSENET.sub(r"\1\2", key.removeprefix("module."))
        if not name.startswith(_AUXILIARY.get(model, ("\0",))):
            state[name] = value
    if not hasattr(state, "_metadata"):  # versions of the layers, by which torchvision adapts older files
        state._metadata = own._metadata
    reshaped = []
    try:
        missing, unexpected = net.load_state_dict(state, strict=False)
    except RuntimeError:
        missing, unexpected = own.keys() - state.keys(), state.keys() - own.keys()
        both = [(key, tuple(state[key].shape), tuple(own[key].shape)) for key in own if key in state]
        reshaped = [f"{key} {found} instead of {needed}" for key, found, needed in both if found != needed]
    missing = [key for key in missing if not key.endswith(".num_batches_tracked")]
    wrong = {"missing": sorted(missing), "unexpected": sorted(unexpected), "of another shape": reshaped}
    if any(wrong.values()):
        said = "; ".join(f"{len(keys)} {what} ({first_of(keys)})" for what, keys in wrong.items() if keys)
        raise WeightsError(
            f"{weights.path} does not fit {model}, which has {len(own)} tensors: {said}. "
            f"Pass --weights with a file of torchvision's {model} with {CLASSES} classes"
        )
    return net


def load_state(weights, model):
    """Read the parameters of a network, as `load_network` does.

    Returns
    -------
    dict of str to torch.Tensor
        Floating-point tensors as float32, on the CPU, under the names of the current network.
    """
    return load_network(weights, model).state_dict()
