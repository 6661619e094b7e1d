"""Where the parameters of timm's networks come from: a package, a hub, a folder, a file of your own, or a seed."""

import re
from functools import lru_cache
from pathlib import Path

from glomfeat.data.files import sha256_of
from glomfeat.features.base import FeatureError
from glomfeat.features.deep.checkpoints import WeightsError, digest_of, in_folder, read_state
from glomfeat.features.deep.weights import Weights, download, of_file
from glomfeat.features.shipped import SHIPPED, shipped_file

HUB_FILES = ("model.safetensors", "pytorch_model.bin")  # in the order in which timm looks for them
FOLDER = "put its files into a folder and name that, timm:local-dir:FOLDER"
OWN = "pass --weights FOLDER with such a file, or --weights none for random ones"


def find_timm_weights(net, label, where, fetch):
    """Find the parameters of a network of timm.

    Parameters
    ----------
    net : glomfeat.features.deep.timm_nets.TimmNet
    label : str
        The feature's name, such as "timm_vit_tiny_patch16_224".
    where : str or Path
        As `glomfeat.features.deep.weights.find_weights`.
    fetch : callable
        Returns the weights that the name stands for.

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        They cannot be found or fetched.
    """
    where = str(where)
    if where in ("imagenet", "auto"):
        try:
            return fetch()
        except WeightsError:
            if where == "imagenet":
                raise
    if where in ("none", "auto"):
        return Weights("random", _random_digest(net, label))
    path, stem = Path(where).expanduser(), label.removeprefix("timm_")
    if not path.exists():
        raise WeightsError(f"--weights {where}: no such path; allowed are imagenet, auto, none, a folder or a file")
    if path.is_dir():
        import timm

        path = in_folder(stem, path, timm.list_models())
    return of_file(stem, path)


@lru_cache(maxsize=64)
def _random_digest(net, label):
    return digest_of(net.random(label))


def hub_config(model, source, ident):
    """Read the configuration that lies next to weights on a hub or in a folder.

    Parameters
    ----------
    model : str
        ``source:ident``, for messages.
    source : {"hf-hub", "local-dir"}
    ident : str
        OWNER/MODEL, perhaps with @REVISION; or the folder.

    Returns
    -------
    config : dict
    architecture : str
    args : dict

    Raises
    ------
    WeightsError, FeatureError
        It cannot be found or downloaded, or does not describe a timm network.
    """
    from timm.models import _hub

    on_hub = source == "hf-hub"
    folder = _from_hub(model, ident, ("config.json",), FOLDER).parent if on_hub else Path(ident).expanduser()
    try:
        config, architecture, args = _hub.load_model_config_from_path(folder)
        return config | ({"hf_hub_id": ident} if on_hub else {}), architecture, args
    except FileNotFoundError:
        raise WeightsError(f"timm:{model}: {ident} holds no config.json of timm's: name such a folder") from None
    except (KeyError, ValueError, TypeError) as error:
        raise FeatureError(f"timm:{model}: its config.json is not one of timm's ({error!r})") from error


def fetch_weights(name, model, config):
    """Get the weights that a name stands for, from an installed package, the cache, the hub or the folder.

    Parameters
    ----------
    name : str
        For messages.
    model : str
        A name in timm's list, ``hf-hub:OWNER/MODEL`` or ``local-dir:FOLDER``.
    config : dict

    Returns
    -------
    Weights

    Raises
    ------
    WeightsError
        There are none, they cannot be downloaded, or a package holds a different file than it should; with the remedy.
    """
    if path := shipped_file(_architecture(model)):
        return _shipped_weights(_architecture(model), path)
    if model.startswith("local-dir:"):
        folder = Path(model.removeprefix("local-dir:")).expanduser()
        path = next((folder / file for file in HUB_FILES if (folder / file).is_file()), None)
        if path is None:
            raise WeightsError(f"{name}: {folder} holds no {' or '.join(HUB_FILES)}: {OWN}")
        tag = "folder"
    elif config.get("hf_hub_id"):
        files = (config["hf_hub_filename"],) if config.get("hf_hub_filename") else HUB_FILES
        path = _from_hub(model, config["hf_hub_id"], files, OWN)
        tag = "hub" if model.startswith("hf-hub:") else config.get("tag")
    elif config.get("url"):
        path, tag = download(config["url"], f"weights of {name}"), config.get("tag")
    else:
        raise WeightsError(f"timm has no pretrained weights for {model}: {OWN}")
    return Weights(re.sub(r"[^\w.-]", "-", tag or "pretrained"), sha256_of(path), path)


def _architecture(model):
    """Take the architecture from a name in timm's list, which may include the tag of its weights."""
    return model.partition(".")[0]


def _shipped_weights(architecture, path):
    known, found = SHIPPED[architecture], sha256_of(path)
    if found != known.sha256:
        raise WeightsError(
            f"{path} is damaged, or of another release: its sha256 is {found} instead of {known.sha256}: install "
            f"{known.package.replace('_', '-')} again"
        )
    return Weights("imagenet", found, path)


def _from_hub(model, ident, files, otherwise):
    """Get the first of some files that a model's repository has; a cached one is not asked for again."""
    import huggingface_hub as hub
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    repository, _, revision = ident.partition("@")
    page = f"{hub.constants.ENDPOINT}/{repository}"
    for file in files:
        cached = hub.try_to_load_from_cache(repository, file, revision=revision or None)
        if isinstance(cached, str):
            return Path(cached)
    error = None
    for file in files:
        try:
            return Path(hub.hf_hub_download(repository, file, revision=revision or None))
        except LocalEntryNotFoundError as found:
            error = found
            break
        except EntryNotFoundError as found:
            error = found
        except Exception as found:  # connections fail in many ways
            error = found
            break
    status = getattr(getattr(error, "response", None), "status_code", None)
    if type(error).__name__ == "GatedRepoError" or status in (401, 403):
        raise WeightsError(
            f"timm:{model} is not open to you, or does not exist: accept its licence at {page}, then give a token of "
            "your account, with hf auth login or in HF_TOKEN"
        ) from error
    raise WeightsError(
        f"{files[0]} of timm:{model} could not be downloaded ({_short(error)}): run once with a connection to {page}, "
        f"or {otherwise}"
    ) from error


def _short(error):
    return str(error).strip().partition("\n")[0].partition(". ")[0]


def fill(make, path, architecture):
    """Build a timm network, load the parameters of a file into it, and remove its classes.

    Parameters
    ----------
    make : callable
        ``make(**options)`` calls ``timm.create_model``, which adapts names and position embeddings of older files.
    path : Path
    architecture : str

    Returns
    -------
    torch.nn.Module

    Raises
    ------
    WeightsError
        The file is damaged, does not hold named tensors, or belongs to another network.
    """
    from timm.models import get_pretrained_cfg

    state = {key.removeprefix("module."): value for key, value in read_state(path).items()}
    if architecture in SHIPPED and sha256_of(path) == SHIPPED[architecture].sha256:
        names = make(num_classes=len(state["_fc.bias"])).state_dict()  # the same tensors in the same order
        state = dict(zip(names, state.values(), strict=True))
    heads = (get_pretrained_cfg(architecture) or {"classifier": None}).classifier or ()
    head = (heads if isinstance(heads, tuple | list) else (heads,))[:1]
    classes = next((len(state[f"{part}.weight"]) for part in head if f"{part}.weight" in state), 0)
    overlay = {"num_classes": classes, "custom_load": False, "label_offset": None}
    if path.suffix == ".safetensors":
        overlay["file"], state = str(path), None
    else:
        overlay["state_dict"] = state  # older versions of timm would run the code that a pickle may contain
    try:
        net = make(pretrained=True, num_classes=classes, pretrained_cfg_overlay=overlay)
    except (RuntimeError, KeyError, ValueError) as error:
        said = "; ".join(line.strip() for line in str(error).splitlines()[1:]) or _short(error)
        raise WeightsError(
            f"{path} does not fit timm's {architecture}: {said[:300]}. Pass --weights with a file of that network"
        ) from error
    net.pretrained_cfg.pop("state_dict", None)
    if classes:
        net.reset_classifier(0)
    return net
