"""The ways in which a study reads images: every side with every padding and every treatment of stains."""

from dataclasses import dataclass, replace
from itertools import product

import numpy as np

from glomfeat.core.arms import StudyError, tagged
from glomfeat.data.files import read_bytes
from glomfeat.data.images.decode import ImageError, Preprocess, decode
from glomfeat.data.images.stain import FOLD, IN_WORDS, NONE, TARGETS, Drawn, Stain
from glomfeat.features.seen import Seen
from glomfeat.features.table import Table
from glomfeat.models.nets import find_architecture, net_side


@dataclass(frozen=True)
class Way:
    """One of the ways in which a study reads images.

    Attributes
    ----------
    size : int or None
        The side that is asked for; None if each feature reads its own.
    preprocess : Preprocess
    named : tuple of (str, str)
        The options that have several values, with their value here.
    """

    size: int | None
    preprocess: Preprocess
    named: tuple

    @property
    def tag(self):
        """The part of names that identifies this way; empty if it is the only one."""
        return "-".join(value for _, value in self.named)

    def seen(self, feature):
        """A feature that reads images in this way; a table is returned unchanged, because it reads none."""
        return Seen(feature, self.tag, self.preprocess) if self.tag and not isinstance(feature, Table) else feature

    def called(self, net):
        """The name of a network that reads images in this way, without the side if the network has its own."""
        own = find_architecture(net) is not None
        return tagged(net, "-".join(value for name, value in self.named if not (own and name == "size")))


def find_ways(study, say):
    """The ways in which a study reads images.

    Parameters
    ----------
    study : Study
    say : callable
        Called with the reference that stains are normalised to.

    Returns
    -------
    list of Way

    Raises
    ------
    StudyError
        The stain reference cannot be used.
    """
    colours = {Preprocess.asked(None, padding).colour for padding in study.paddings}
    stains = {one: _stain(study, *one) for one in product(study.stains, sorted(colours))}
    normalised = [method for method in study.stains if method != NONE]
    if normalised:
        named = {name: f"the built-in {words} reference" for name, words in IN_WORDS.items()}
        named[FOLD] = "references that are drawn from the training images of each fold"
        to = named.get(study.stain_reference, "those of an image")
        others = ", ".join([*(name for name in named if name != study.stain_reference), "an image file"])
        say(f"stain: {', '.join(normalised)} to {to} (--stain-reference takes {others} too)")
    values = {"size": study.sizes, "padding": study.paddings, "stain": study.stains}
    found = []
    for size, padding, method in study.ways:
        view = Preprocess.asked(size, padding, study.icc)
        view = replace(view, stain=stains[method, view.colour])
        here = {"size": size, "padding": padding, "stain": view.stain.label if view.stain else NONE}
        named = tuple((name, str(here[name])) for name in values if len(values[name]) > 1)
        found.append(Way(size, view, named))
    return found


def nets_in_ways(nets, ways, reads):
    """Each network once for each way in which it reads images.

    Parameters
    ----------
    nets : sequence of str
    ways : list of Way
    reads : dict of str to (int, str or None) or None
        Side and filter in the configuration of a network's weights, by its name in arms, for ways that leave the side
        open.

    Returns
    -------
    dict of str to Preprocess
        How it reads images, apart from a side of its own, by its name in arms.
    """
    found = {}
    for net in nets:
        for way in ways:
            follows = way.size is None and find_architecture(net) is None
            view = way.preprocess.reading(reads.get(way.called(net)) if follows else None)
            found.setdefault(way.called(net), view)
    return found


def lines_on_ways(study, ways):
    """Lines for the user on networks that have a side of their own, if they are asked to read another."""
    usual = type(study).size  # studies of networks have one that nobody asks for
    asked = {way.size for way in ways} - {None} if study.size != usual else set()
    own = [net for net in study.nets if find_architecture(net) and asked - {net_side(net)}]
    if not own:
        return []
    return [f"{', '.join(own)}: the layers fix the side of images, so --size makes no difference"]


def apart_from(views, ways):
    """Those of some views of images, by their names, whose side and filter belong to no way."""
    usual = [(way.preprocess.size, way.preprocess.filter) for way in ways]
    return {name: view for name, view in views.items() if (view.size, view.filter) not in usual}


def lines_on_sides(views, ways):
    """Lines for the user on networks that read images as the configuration of their weights says.

    Parameters
    ----------
    views : dict of str to Preprocess
        By the network's name.
    ways : list of Way
    """
    return [
        f"net:{name}: reads images of {view.size} px, {view.filter}, as its weights' configuration says (--size N "
        "sets one size for all)"
        for name, view in apart_from(views, ways).items()
    ]


def stain_identity(ways):
    """The numbers that stains are normalised to, for a study's identity; empty if stains are left as they are."""
    stains = {}
    for view in (way.preprocess for way in ways if way.preprocess.stain):
        if stains.setdefault(view.stain.method, view.stain.key) != view.stain.key:
            stains[f"{view.stain.method} on {view.colour}"] = view.stain.key
    return {"stain target": stains} if stains else {}


def _stain(study, method, colour):
    """The stain normalisation of a method, for transparent parts of a colour; None if stains are left as they are."""
    if method == NONE:
        return None
    reference = study.stain_reference
    if reference in TARGETS:
        return Stain(method, TARGETS[reference][method])
    if reference == FOLD:
        return Drawn(method)
    try:
        stain = Stain.of(method, np.asarray(decode(read_bytes(reference), colour, study.icc)))
    except (OSError, ImageError) as error:
        why = getattr(error, "strerror", None) or error
        raise StudyError(
            f"--stain-reference {reference} cannot be read as an image ({why}): give {', '.join(TARGETS)}, {FOLD} "
            "or an image"
        ) from None
    if stain is None:
        raise StudyError(
            f"--stain-reference {reference}: {method} finds in it too little tissue, or only one colour or stain: give "
            "an image that is filled with tissue"
        )
    return stain


def with_ways(features, ways):
    """Features once for each way, those of one kind after each other; tables only once.

    Parameters
    ----------
    features : list of list of Feature
        One list for each way, all equally long.
    ways : list of Way

    Returns
    -------
    list of Feature
    """
    rows = zip(*features, strict=True)
    seen = [way.seen(feature) for row in rows for way, feature in zip(ways, row, strict=True)]
    tables = {}
    return [one for one in seen if not isinstance(one, Table) or tables.setdefault(one.name, one) is one]
