"""The section on where networks looked: maps over small pictures, and how much random weights give the same maps."""

from PIL import Image

from glomfeat.core.arms import Arm
from glomfeat.core.words import joined
from glomfeat.models.nets import FROZEN, averages, split_mode
from glomfeat.report.thumbnails import SIDE, as_uri, find_images, read_square
from glomfeat.results.calls import image_names
from glomfeat.results.maps import read_maps
from glomfeat.results.words import figure, plain_class

NAME, TITLE, ORDER, TEMPLATE = "inside", "Where networks looked", 50, "sections/saliency.html"
ARMS = 6
TINT = (213, 94, 0)  # Okabe & Ito's vermilion
STRONGEST = 0.75  # opacity of the tint where a map is highest
ONE_VIEW = " These maps are of the image as it is, while its score is a mean over eight flips and turns."
HOW = (
    "Next to each image, HiResCAM (Draelos & Carin 2020) tints where the network found evidence for its answer. Shown "
    "are images of one fold: for each class, those with the most confident right calls and the most confident wrong "
    "ones. Such a map says where, not why."
)
SANE = (
    "Adebayo et al. (2018) found methods whose maps stay the same when all that was learned is thrown away. So each "
    "map is compared with that of the same network with random weights: a likeness (rank correlation) near 1 says that "
    "it shows the image's edges and is no evidence; near 0, that it depends on what was learned."
)
UNTAUGHT = (
    "The weights of {whose} are random, and only a classifier has learned. Maps of random weights show how such maps "
    "look, and nothing about these images."
)


def fill(content):
    """Collect the maps of the networks that were looked into; None if no network was looked into."""
    inside, manifest, names = content.loaded.inside, content.run.manifest, content.names
    arms = [arm for arm in content.results["arm"] if "maps" in inside.get(arm, {})][:ARMS]
    if not arms:
        return None
    called = image_names(manifest, content.show_names)
    rows = sorted({row for arm in arms for row in inside[arm]["rows"]})
    paths = find_images(content.images, manifest.table["name"].iloc[rows].tolist())
    table, parts = content.results.set_index("arm"), []
    untaught = [arm for arm in arms if table.at[arm, "weights"].startswith("random") and not _learns(arm)]
    for arm in arms:
        found = inside[arm]
        seen = zip(found["rows"], read_maps(found), strict=True)
        sane = f"Likeness to maps of random weights: {figure(found['likeness'], 2)}."
        cards = [_card(arm, row, its_map, content, called, paths) for row, its_map in seen]
        views = ONE_VIEW if averages(Arm.parse(arm).network) else ""
        parts.append({"title": names[arm], "sane": sane + views, "cards": cards})
    warning = UNTAUGHT.format(whose=joined(names[arm] for arm in untaught)) if untaught else ""
    return {"warning": warning, "how": HOW, "sane": SANE, "parts": parts, "side": SIDE}


def _learns(arm):
    """Whether the layers of a network learn, and not only what reads its features."""
    network = Arm.parse(arm).network
    mode = split_mode(network) if network else None
    return bool(network) and (mode is None or mode.how != FROZEN)


def _card(arm, row, seen, content, called, paths):
    calls, manifest = content.calls, content.run.manifest
    place, square = calls.arms.index(arm), read_square(paths.get(manifest.table["name"].iloc[row]))
    wrong = calls.wrong[place, row] >= 0.5
    verdict = f"{plain_class(manifest.classes[manifest.labels[row]])}, called {'wrong' if wrong else 'right'}"
    return {
        "called": called[row],
        "wrong": wrong,
        "verdict": verdict,
        "alt": f"Image {called[row]}, {verdict}, and where {content.names[arm]} looked",
        "uri": as_uri(overlay(square, seen)),
        "score": calls.score[place, row],
    }


def overlay(square, seen, side=SIDE):
    """Draw an image, and to its right the same image tinted where a network looked.

    Parameters
    ----------
    square : PIL.Image.Image or None
        The image; if None, the tint is put on white.
    seen : ndarray of uint8, shape (height, width)
        Strength of the evidence, 255 at most.
    side : int
        Side of the image in pixels.

    Returns
    -------
    PIL.Image.Image
        Twice as wide as high.

    Examples
    --------
    >>> import numpy as np
    >>> tinted = overlay(None, np.array([[0, 255]], np.uint8), side=4)
    >>> tinted.size, tinted.getpixel((0, 0)), tinted.getpixel((7, 0)) == (255, 255, 255)
    ((8, 4), (255, 255, 255), False)
    """
    square = square or Image.new("RGB", (side, side), "white")
    strength = Image.fromarray(seen).resize((side, side), Image.Resampling.BILINEAR).point(lambda v: int(v * STRONGEST))
    both = Image.new("RGB", (2 * side, side))
    both.paste(square, (0, 0))
    both.paste(Image.composite(Image.new("RGB", (side, side), TINT), square, strength), (side, 0))
    return both
