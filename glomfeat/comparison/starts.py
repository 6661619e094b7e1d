"""Bundles of other studies that networks start from, and parts of the recipe that a network cannot follow."""

from functools import lru_cache
from pathlib import Path

import numpy as np

from glomfeat.bundle.format import ABOUT, read_about
from glomfeat.bundle.seen import NET, read_seen
from glomfeat.comparison.options import OF_NETS, PRECISIONS_OF_NETS
from glomfeat.comparison.recall import Start
from glomfeat.core.arms import Arm, StudyError
from glomfeat.core.words import joined
from glomfeat.data.labels.classes import spelling
from glomfeat.models.nets import (
    applying,
    converges,
    find_architecture,
    find_start,
    grid,
    net_side,
    one_view,
    split_mode,
)
from glomfeat.models.nets.modes import LORA, begun_with

OF_EPOCHS = "epochs", "batch", "lr"  # without effect on a last layer that is fitted to convergence


def starts_of(study, ways, manifest, notes, begun=None):
    """What each network of a study starts from.

    Parameters
    ----------
    study : Study
    ways : list of glomfeat.comparison.ways.Way
    manifest : Manifest
        Images that a bundle of ``--init`` must not have learnt from.
    notes : glomfeat.comparison.recall.Notes
    begun : dict of str to Start, optional
        Starting points that are known, from `noted_starts`.

    Returns
    -------
    found : dict of str to (Start or None)
        By the network's name in arms, for random parameters of some networks depend on the side; None for nothing.
    looked_up : dict of str to (Weights or None)
        By network, those whose weights were looked for.
    """
    if study.init:
        _found.cache_clear()  # bundles may have been replaced since another study of this session
        pairs = [(net, way) for net in study.nets for way in ways]
        return {way.called(net): _find_init(study.init, net, manifest, way) for net, way in pairs}, {}
    named = {way.called(net): (net, way.size) for net in study.nets for way in ways}
    known = {name: (begun or {}).get(name) or notes.net(net, study.weights) for name, (net, _) in named.items()}
    asked = dict.fromkeys(named[name] for name, start in known.items() if start is None)
    weights = {(net, side): find_start(net, study.weights, side) for net, side in asked}
    starts = {of: start and Start(start.said, start.reads if start.path else None) for of, start in weights.items()}
    found = {name: start or starts[named[name]] for name, start in known.items()}
    return found, {net: start for (net, _), start in weights.items()}


def noted_starts(identity):
    """Starting points of networks as a study's journal names them.

    Parameters
    ----------
    identity : dict
        Of the study.

    Returns
    -------
    dict of str to glomfeat.comparison.recall.Start
        By the network's name in arms.

    Examples
    --------
    >>> noted_starts({"nets": ["compact@zero: bundle sha256:0f"], "reads": {"net:compact@zero": [32, "bicubic"]}})
    {'compact@zero': Start(said='bundle sha256:0f', reads=(32, 'bicubic'))}
    """
    lines = [line.partition(": ")[::2] for line in identity.get("nets", [])]
    reads = {name: tuple(view) for name, view in identity.get("reads", {}).items()}
    return {name: Start(said, reads.get(f"net:{name}")) for name, said in lines}


def _find_init(init, name, manifest, way):
    """The starting point of a network that begins with a bundle, which must not have learnt from these images.

    If the study leaves open at which side it reads images, the bundle sets it.
    """
    side = net_side(name) if find_architecture(name) else way.size
    folder, about = _found(init, name, side, *_look(way.preprocess))
    _refuse_learnt(init, folder, manifest)
    return Start(begun_with(folder / NET), (about["preprocess"]["size"], about["preprocess"]["filter"]))


def init_settings(init, name, view, classes):
    """The settings of `glomfeat.models.nets.make_net` with which a network starts from a bundle.

    Parameters
    ----------
    init, name
        As `_find_init`.
    view : Preprocess
        How the network reads images.
    classes : sequence of str
        Of the study, in their order.
    """
    folder, about = _bundle(init, name, view)
    return {"init": str(folder / NET)} | ({"new_head": True} if _other_classes(about, classes) else {})


def _other_classes(about, classes):
    """The classes of the bundle that a network starts from, unless they are a study's in the same order."""
    theirs = about["classes"]
    return [] if [*map(spelling, theirs)] == [*map(spelling, classes)] else theirs


def refuse_cohorts(prepared):
    """Refuse bundles that have learnt from some of the images of cohorts."""
    for folder, _ in _bundles(prepared).values():
        for cohort in prepared.cohorts:
            _refuse_learnt(prepared.study.init, folder, cohort.manifest)


def _refuse_learnt(init, folder, manifest):
    """Refuse a bundle that has learnt from some of the images, because their scores would be too good."""
    seen = read_seen(folder)
    own = manifest.digests
    learnt = int(np.isin(own, seen.files).sum())
    if learnt:
        raise StudyError(
            f"--init {init}: the bundle has learnt {learnt} of these {len(own)} images, and scores of cases that it "
            "knows would be too good: take a bundle of other images, or leave out --init"
        )


def learnt_before(init, arm, view_of_net):
    """What an arm's networks had learnt before the study, from the bundles that they start from.

    Parameters
    ----------
    init : str or None
    arm : Arm
    view_of_net : callable
        As `glomfeat.comparison.prepare.Prepared.view_of_net`.

    Returns
    -------
    list of glomfeat.bundle.seen.Seen
    """
    nets = [one for one in arm.members or [arm] if one.net] if init else []
    return [read_seen(_bundle(init, one.network, view_of_net(one.net))[0]) for one in nets]


def _bundle(init, name, view):
    """The folder and the description of the bundle that a network starts from that reads images as `view` says."""
    return _found(init, name, view.size, *_look(view))


def _bundles(prepared):
    """As `_bundle`, for each network of a study, by its name in arms; empty without ``--init``."""
    init, names = prepared.study.init, prepared.nets if prepared.study.init else ()
    return {name: _bundle(init, Arm(net=name).network, prepared.view_of_net(name)) for name in names}


def _look(view):
    """What images look like apart from their side: what pads them, and how their stains are normalised."""
    return view.padding, view.stain.method if view.stain else ""


@lru_cache(maxsize=256)
def _found(init, name, side, padding, stain):
    """The folder and the description of the bundle that a network starts from; with None, of any side."""
    place = Path(init).expanduser()
    folders = [place] if (place / ABOUT).is_file() else sorted(path.parent for path in place.glob(f"models/*/{ABOUT}"))
    if not folders:
        raise StudyError(
            f"--init {init} holds no bundle: give a folder with {ABOUT}, or the folder of a study that has saved its "
            "models (--save-models). If the bundle of a finished study OUT was moved, put it back, or name its new "
            "place with python -m studies.compare --config OUT/study.yaml --init NEW, which changes no result"
        )
    abouts = [(folder, read_about(folder)) for folder in folders]
    nets = [(folder, about) for folder, about in abouts if about.get("kind") == "net"]
    fitting = [one for one in nets if _is_alike(one[1]["net"], name)]
    read = [one for one in fitting if side in (None, one[1]["preprocess"]["size"])]
    if read:
        return min(
            read, key=lambda one: (*_distance(one[1]["net"]["name"], name), *_looks_other(one[1], padding, stain))
        )
    if fitting:
        sides = joined(map(str, sorted({about["preprocess"]["size"] for _, about in fitting})))
        raise StudyError(
            f"--init {init}: its bundles of such networks read images of {sides} px, and {name} is to read {side} px: "
            "take such a --size, or leave out --init"
        )
    there = joined(sorted({str(about["arm"]) for _, about in abouts}))
    raise StudyError(
        f"--init {init} holds {there}, and {name} can only start from a network of the same architecture: name such a "
        "bundle, or compare networks like those"
    )


def _distance(theirs, name):
    """Sort key for networks of one architecture: the same, then those with other views, then all others."""
    return theirs != name, one_view(theirs) != one_view(name)


def _looks_other(about, padding, stain):
    """Sort key for bundles: those whose images look as the study's, then those of another stain, then all others."""
    theirs = about["preprocess"]
    return theirs.get("padding") != padding, (theirs.get("stain") or {}).get("method", "") != stain


def _is_alike(net, name):
    """Whether a bundle's network has the same architecture as another network."""
    own, mode, theirs = find_architecture(name), split_mode(name), split_mode(net["name"])
    if own is not None:
        return net["layers"] is not None and tuple(net["layers"]) == tuple(own.layers)
    if mode is not None:
        return theirs is not None and theirs.model == mode.model
    return one_view(net["name"]) == one_view(name)


def refuse_training(study):
    """Refuse a precision or compilation that the device does not allow, and patterns of layers that fit no network.

    Raises
    ------
    InputError, StudyError
        The message says what to do.
    """
    asked = study.recipe()
    compiled = any("compile" in applying(name, asked) for name in study.nets)
    if study.nets and ("precision" in asked or compiled):
        from glomfeat.features.deep.device import find_device

        find_device(study.device, asked.get("precision", "auto"), compiled)
    nets = [name for name in study.nets if (mode := split_mode(name)) and mode.how == LORA]
    if "," not in study.lora_layers or not nets:  # a single pattern that fits nothing is refused for its network
        return
    from glomfeat.models.nets.pretrained import unfit_patterns

    if unfit := set.intersection(*(unfit_patterns(one_view(name), study.lora_layers) for name in nets)):
        raise StudyError(
            f"--lora-layers {study.lora_layers}: {joined(sorted(unfit))} fits no layer of {joined(nets)}: "
            "correct the pattern, or leave it out"
        )


def _chooses(name, settings, tuned):
    """Whether there is more than one training to choose among."""
    candidates, lengths = grid(name, settings, tuned)
    return len(candidates) * len(lengths) > 1


def lines_on_bundles(prepared):
    """Lines for the user on the bundles that networks start from."""
    lines, classes = [], prepared.manifest.classes
    for name, (_, about) in _bundles(prepared).items():
        line = f"net:{name}: starts from the bundle of {about['arm']}"
        if theirs := _other_classes(about, classes):
            line += (
                f", but with a new last layer: the bundle's is for {', '.join(theirs)}, and the classes here are "
                f"{', '.join(classes)}"
            )
        lines.append(line)
    return lines


def lines_on_recipe(study):
    """Lines for the user on options that networks cannot follow."""
    asked = study.recipe()
    lines = []
    for name in study.nets:
        followed = applying(name, asked)
        settings = followed | {"preset": study.preset}
        in_epochs = not converges(name, settings)
        left = [field for field in OF_NETS if field in asked and field not in followed]
        left += [] if in_epochs else [field for field in OF_EPOCHS if field in asked]
        left += ["tune"] if study.tuned and not (in_epochs and _chooses(name, settings, study.tuned)) else []
        left += [] if study.precision in ("float32", *PRECISIONS_OF_NETS) else ["precision"]
        left += ["compile"] if study.compile and "compile" not in followed else []
        if left:
            options = joined([f"--{field.replace('_', '-')}" for field in left])
            lines.append(f"net:{name}: trained without {options}, which it cannot use")
    return lines
