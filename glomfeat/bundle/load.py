"""Reading a bundle that may come from a stranger: everything is checked before it is opened, and no code is run."""

import warnings
from functools import partial
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file

from glomfeat.bundle import columns as table_columns
from glomfeat.bundle.codecs import load_head, load_skops
from glomfeat.bundle.ensemble import Ensemble, share_features
from glomfeat.bundle.format import ARRAYS, COPY, BundleError, other_versions, preprocess_of, read_about
from glomfeat.bundle.model import Bundle, FeatureModel, NetModel
from glomfeat.bundle.of_table import TableBundle, TableEnsemble
from glomfeat.bundle.reference import from_arrays
from glomfeat.bundle.save import REDUCER, WEIGHTS
from glomfeat.bundle.seen import NET, Seen
from glomfeat.bundle.selftest import check
from glomfeat.core.arms import Arm
from glomfeat.core.installed import need_networks
from glomfeat.core.plugins import PluginError
from glomfeat.features.make import FEATURES, FeatureError, make_feature
from glomfeat.models.calibration import CALIBRATIONS, Calibration
from glomfeat.models.reducers.kept import AsIs, Fitted, Linear


class OtherVersionsWarning(UserWarning):
    """A bundle was made with other package versions; its test scores agree, or it would have been refused."""


def load_bundle(path, weights=None, device="auto", trust=()):
    """Read a bundle and make it ready to predict.

    Parameters
    ----------
    path : path-like
        The bundle's folder.
    weights : path-like, optional
        File or folder of a pretrained backbone's parameters, if they are not in the bundle; torchvision's own ImageNet
        parameters are found without it.
    device : str
        Device for deep features and networks: auto, cpu, cuda, ...
    trust : sequence of str
        Your own parts that may be imported, as ``module:function``; a bundle only names them and does not hold them.

    Returns
    -------
    Bundle
        Has ``predict(images)`` and ``predict_proba(images)``; a bundle that learnt rows of a table takes such a table.

    Raises
    ------
    BundleError
        The folder is not a bundle, was changed, has another format, or does not score its test image as it should.
    WeightsError
        The backbone's parameters cannot be found.
    NotInstalledError
        The bundle holds a network, and what networks need is not installed.

    Warns
    -----
    OtherVersionsWarning
        It was made with other package versions.

    Examples
    --------
    >>> bundle = load_bundle("runs/mine/models/classical.v1+ipca128+svm")  # doctest: +SKIP
    >>> bundle.predict(["a.png", "b.png"])  # doctest: +SKIP
    """
    folder = Path(path).expanduser()
    bundle = _load(folder, weights, device, trust)
    other = other_versions(bundle.about["versions"])
    if other:
        tested = "test image scores" if bundle.table is None else "test rows score"
        warnings.warn(f"{other}; its {tested} the same on both", OtherVersionsWarning, stacklevel=2)
    return bundle


def _load(folder, weights, device, trust):
    about = read_about(folder)
    if about.get("kind") == "ensemble":
        members = share_features([_load(folder / name, weights, device, trust) for name in sorted(about["members"])])
    try:
        arrays = load_file(folder / ARRAYS)
        names = [name for name in arrays if name.startswith("out_of_fold.")]
        kept = {name.removeprefix("out_of_fold."): arrays[name] for name in names}, Seen.from_arrays(arrays)
        calibration = _calibration(about["calibration"], len(about["classes"]))
        if about["kind"] == "ensemble":
            made = Ensemble if members[0].table is None else TableEnsemble
            bundle = made(about, members[0].preprocess, None, None, *kept, calibration, members)
            _check_members(bundle)
        else:
            model = (_net if about["kind"] == "net" else _features)(folder, about, arrays, weights, device, trust)
            made, view = (TableBundle, None) if _reads_table(about) else (Bundle, preprocess_of(about))
            bundle = made(about, view, model, from_arrays(arrays, view is not None), *kept, calibration)
        _check_about(bundle)
        check(bundle)
    except (BundleError, OSError, PluginError):
        raise
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError, IndexError, RuntimeError) as error:
        said = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise BundleError(f"{folder} does not hold what a bundle holds ({said}): {COPY}") from error
    return bundle


def _reads_table(about):
    return about["kind"] == "features" and "table" in about["feature"]


def _check_members(bundle):
    about, members = bundle.about, [member.about for member in bundle.members]
    if [str(arm) for arm in Arm.parse(about["arm"]).members] != [member["arm"] for member in members]:
        raise ValueError("members are not those of the arm")
    if any(member["classes"] != about["classes"] for member in members) or about["calibration"]["kind"] != "none":
        raise ValueError("members of other classes, or a calibration beside theirs")
    tables = [
        [member["feature"][name] for name in ("name", "width", "table")] if _reads_table(member) else None
        for member in members
    ]
    if any(table != tables[0] for table in tables):
        raise ValueError("members that read other tables, or images beside a table")


def _check_about(bundle):
    about, classes = bundle.about, bundle.about["classes"]
    value = about["threshold"]["value"]
    if not (
        isinstance(classes, list) and len(classes) == bundle.parts[0].model.classes >= 2 and all(map(_is_text, classes))
    ):
        raise ValueError("classes are not a list of names")
    if len(classes) == 2 and not 0 <= float(value) <= 1:
        raise ValueError("the threshold is not in 0..1")
    if not _is_text(about["arm"]) or (bundle.table is None and bundle.preprocess.size > 10_000):
        raise ValueError("no arm, or images of more than 10,000 px")


def _is_text(value):
    return isinstance(value, str) and value.isprintable()  # a terminal obeys what is not printable


def _calibration(about, classes):
    kind, maps = about["kind"], about["maps"]
    if kind not in CALIBRATIONS or len(maps) != (0 if kind == "none" else 1 if classes == 2 else classes):
        raise ValueError(f"calibration {kind!r} with {len(maps)} maps")
    corners = np.linspace(0, 1, 101)
    found = Calibration(kind, tuple(maps))
    for one in maps:
        values = Calibration(kind, (one,)).apply(corners)
        if not ((values >= 0) & (values <= 1)).all() or (np.diff(values) < 0).any():
            raise ValueError("a calibration that does not rise from 0 to 1")
    return found


def _trusted(name, trust):
    """Refuse a user's own part unless it was named as trusted."""
    if ":" in name and name not in trust:
        raise BundleError(
            f"the bundle needs {name!r}, a part of someone's own that would be imported and run: read that code, and "
            f"if you trust it pass --trust {name}"
        )
    return name


def _features(folder, about, arrays, weights, device, trust):
    if not _reads_table(about) and (about["feature"]["weights"] is not None or "batch" in about["feature"]):
        need_networks(f"the bundle of {about['arm']}")
    classes, threads = len(about["classes"]), about["threads"]
    if _reads_table(about):
        feature = table_columns.from_about(about["feature"], arrays)
    else:
        feature = _feature(folder, about["feature"], weights, device, trust)
    columns, width = about["reducer"]["columns"], about["feature"]["width"]
    reducer = _reducer(folder, about["reducer"]["stored"], arrays)
    estimator = load_head(about["head"]["stored"], folder, columns, classes)
    if type(threads) is not int or not 1 <= threads <= 1024:
        raise ValueError("threads is no number")
    model = FeatureModel(feature, reducer, estimator, classes, threads)
    if reducer.transform(np.zeros((1, width), np.float32)).shape != (1, columns):
        raise ValueError(f"{about['reducer']['name']} does not give {columns} columns")
    return model


def _feature(folder, about, weights, device, trust):
    if about["weights"] is not None:
        return _deep(folder, about, weights, device)
    own = "batch" in about  # a backbone that a user's own code provides
    more = {"device": _device(device, about["precision"]), "precision": about["precision"]} if own else {}
    asked = about["asked"]
    if asked not in FEATURES:
        _trusted(asked, trust)
        if ":" not in asked or asked.startswith("file:"):
            raise BundleError(f"the bundle needs the feature {asked!r}, which this glomfeat does not have: update it")
    feature = make_feature(asked, **more)
    if own:
        feature = feature.having(batch=_batch(about))
    if feature.name != about["name"]:
        raise BundleError(
            f"the bundle needs the feature {about['name']}, and {asked} is {feature.name} here: install the version "
            "of glomfeat, or of your own part, that it was made with"
        )
    return feature


def _deep(folder, about, weights, device):
    from glomfeat.features.deep.cut import backbone
    from glomfeat.features.deep.network import Deep
    from glomfeat.features.deep.weights import Weights, WeightsError, find_weights

    needed = about["weights"]
    name, sha256, model = needed["name"], needed["sha256"], needed["model"]
    known = {"mean": tuple(needed["mean"]), "std": tuple(needed["std"])}
    known |= {"configuration": str(needed.get("configuration", ""))}
    rest = {"layer": about["layer"], "device": _device(device, about["precision"]), "precision": about["precision"]}
    rest |= {"batch": _batch(about) if "batch" in about else Deep.batch, "build": backbone}  # older bundles do not say
    find = partial(find_weights, model)
    if needed.get("timm"):
        from glomfeat.features.deep.timm_nets import find_again, from_plain

        try:
            rest["build"] = from_plain(needed["timm"])
        except FeatureError as error:
            raise BundleError(str(error)) from None
        find = partial(find_again, rest["build"], model)
    if needed["included"]:
        feature = Deep(model, Weights(name, sha256, folder / WEIGHTS, **known), **rest)
    else:
        where = weights or ("none" if name == "random" else "imagenet")
        remedy = "pass --weights with its file or folder, or write the bundle again with --include-weights"
        what = f"the bundle needs the weights {name!r} of {model}, with sha256 {sha256}"
        try:
            found = find(where)
        except WeightsError as error:
            raise WeightsError(f"{what}: {remedy} ({error})") from error
        if found.sha256 != sha256:
            raise BundleError(f"{what}, and those found here have {found.sha256}: {remedy}")
        feature = Deep(model, Weights(name, sha256, found.path, **known), **rest)
    if feature.name != about["name"]:
        raise ValueError(f"the feature {about['name']} is made of {feature.name}")
    return feature


def _batch(about):
    batch = about["batch"]
    if type(batch) is not int or not 1 <= batch <= 1024:
        raise ValueError("batch is no number")
    return batch


def _device(device, precision="float32"):
    from glomfeat.features.deep.device import find_device

    try:
        return str(find_device(device, precision))
    except ValueError as error:
        raise BundleError(f"--device: {error}") from None


def _reducer(folder, stored, arrays):
    if stored == "as is":
        return AsIs()
    if stored == "linear":
        found = Linear(*(arrays[f"reducer.{name}"] for name in ("mean", "scale", "components")))
        if not found.mean.shape == found.scale.shape == found.components.shape[1:]:
            raise ValueError("components of several widths")
        return found
    return Fitted(load_skops((folder / REDUCER).read_bytes(), folder / REDUCER), arrays.get("reducer.kept"))


def _net(folder, about, arrays, weights, device, trust):
    need_networks(f"the bundle of {about['arm']}")
    from glomfeat.models.nets import averaged, averages, make_net, split_mode
    from glomfeat.models.nets.state import state_from_safetensors

    net, classes = about["net"], len(about["classes"])
    if net["layers"]:
        layers = "-".join(net["layers"])
        name = averaged(layers) if averages(net["name"]) else layers
    else:
        name = net["name"] if split_mode(net["name"]) else _trusted(net["name"], trust)
    if name.startswith("timm:") and not net.get("timm"):
        raise ValueError("a network of timm, without what builds it")  # else a name from a stranger would be downloaded
    settings = {"side": net["side"], "batch": net["batch"], "precision": net["precision"], "plain": net.get("timm")}
    made = make_net(name, classes=classes, device=_device(device, net["precision"]), **settings)
    return NetModel(state_from_safetensors(made, folder / NET), classes)
