"""Writing a bundle: arrays and networks as safetensors, scikit-learn's parts through skops, trees as JSON."""

import hashlib
import re

import numpy as np
from safetensors.numpy import save_file

from glomfeat.bundle.card import make_card
from glomfeat.bundle.codecs import dump_head, dump_skops
from glomfeat.bundle.format import ARRAYS, CARD, MEMBER_NAME, write_folder
from glomfeat.bundle.reference import to_arrays
from glomfeat.bundle.seen import NET

REDUCER, WEIGHTS = "reducer.skops", "weights.safetensors"


def folder_of(arm):
    """The name of an arm's folder; a long one is cut and made unique by a digest.

    Examples
    --------
    >>> folder_of("resnet18.imagenet/ipca128/svm"), folder_of("net:compact")
    ('resnet18.imagenet+ipca128+svm', 'net+compact')
    >>> folder_of("mean:" + ",".join(f"feature{k}.v1/none/svm" for k in range(12)))
    'mean+feature0.v1+none+svm+feature1.v1+no+...'
    """
    name = re.sub(r"[^\w.@-]+", "+", arm)
    # file systems allow 255 bytes, and the name while writing is a little longer
    return name if len(name.encode()) <= 200 else f"{name[:40]}+{hashlib.sha256(arm.encode()).hexdigest()[:12]}"


def save_bundle(bundle, folder, include_weights=False):
    """Write a bundle into a new folder, and the members of an ensemble into folders inside it.

    Parameters
    ----------
    bundle : Bundle
        From `glomfeat.comparison.refit.refit_arm`.
    folder : path-like
    include_weights : bool
        Whether to include the parameters of a pretrained backbone. Without them, they are looked for when the bundle is
        loaded, and their SHA-256 is checked.

    Raises
    ------
    BundleError
        The folder exists already, or a part is of a type that bundles do not hold.
    """
    about, model = {**bundle.about}, bundle.model
    arrays = {f"out_of_fold.{name}": part for name, part in bundle.out_of_fold.items()}
    arrays, parts = arrays | bundle.seen.arrays(), {}
    if about["kind"] != "ensemble":
        arrays |= to_arrays(bundle.reference)
    if about["kind"] == "features":
        stored, file, data = dump_head(about["head"]["name"], model.estimator)
        about["head"], parts[file] = {**about["head"], "stored": stored}, data
        if about["reducer"]["stored"] == "linear":
            arrays |= {f"reducer.{name}": getattr(model.reducer, name) for name in ("mean", "scale", "components")}
        if about["reducer"]["stored"] == "skops":
            parts[REDUCER] = dump_skops(model.reducer.transformer)
            if model.reducer.kept is not None:
                arrays["reducer.kept"] = model.reducer.kept
        if bundle.table is not None:
            arrays |= bundle.table.arrays()
        weights = about["feature"]["weights"]
        if weights is not None:
            about["feature"] = {**about["feature"], "weights": {**weights, "included": include_weights}}

    def write(part):
        for name, data in parts.items():
            (part / name).write_bytes(data)
        save_file({name: np.ascontiguousarray(array) for name, array in arrays.items()}, part / ARRAYS)
        if about["kind"] == "net":
            from glomfeat.models.nets.state import state_to_safetensors

            state_to_safetensors(model.net, part / NET)
        elif about["kind"] == "ensemble":
            for k, member in enumerate(bundle.members, 1):
                save_bundle(member, part / MEMBER_NAME.format(k), include_weights)
        elif include_weights and about["feature"]["weights"]:
            _save_weights(model.feature, part / WEIGHTS)
        (part / CARD).write_text(make_card(about), encoding="utf-8")

    write_folder(folder, about, write)


def _save_weights(feature, path):
    from glomfeat.features.deep.weights import load_state

    if feature.builder.plain:
        state = feature.build(feature.model, feature.weights_found, None).state_dict()
    else:
        state = load_state(feature.weights_found, feature.model)
    save_file({name: np.ascontiguousarray(tensor.numpy()) for name, tensor in state.items()}, path)
