"""Where networks looked, as part of the page: maps over small pictures, beside what random weights would show."""

from html import escape

from PIL import Image

from glomfeat.report.sections.errors import image_names, read_calls
from glomfeat.report.thumbnails import SIDE, as_uri, find_images, read_square
from glomfeat.results.maps import read_maps
from glomfeat.results.words import figure, plain_class

ARMS = 6
TINT = (213, 94, 0)  # Okabe & Ito's vermilion
STRONGEST = 0.75  # share of the tint where a map is at its highest
HOW = (
    "Beside each image, HiResCAM (Draelos & Carin 2020) tints where the network found evidence for its answer: of both "
    "classes the surest images that were called right and the surest that were called wrong, from one fold. Such a map "
    "says where, not why."
)
SANE = (
    "Adebayo et al. (2018) found methods whose maps stay the same when all that was learned is thrown away. So each "
    "map is compared with that of the same network with random weights: a likeness (rank correlation) near 1 says that "
    "it shows the image's edges and is no evidence; near 0, that it depends on what was learned."
)
UNTAUGHT = " The weights of this arm are random as they are: only its classifier has learned."


def inside_html(loaded, results, names, folder, show_names=False):
    """The section as HTML.

    Parameters
    ----------
    loaded : glomfeat.results.load.Loaded
    results : pandas.DataFrame
        Of `glomfeat.results.tables.results_table`.
    names : dict of str to str
        Of `glomfeat.report.arm_names.plain_arms`.
    folder : Path or None
        Of `glomfeat.report.thumbnails.data_folder`.
    show_names : bool

    Returns
    -------
    str
        Empty where no network was looked into.
    """
    arms = [arm for arm in results["arm"] if "maps" in loaded.inside.get(arm, {})][:ARMS]
    if not arms:
        return ""
    manifest, calls = loaded.run.manifest, read_calls(loaded.run, results)
    called = image_names(manifest, show_names)
    rows = sorted({row for arm in arms for row in loaded.inside[arm]["rows"]})
    paths = find_images(folder, manifest.table["name"].iloc[rows].tolist())
    html = [f"<p>{escape(HOW)}</p><p>{escape(SANE)}</p>"]
    weights = results.set_index("arm")["weights"]
    for arm in arms:
        found, place = loaded.inside[arm], calls.arms.index(arm)
        cards = []
        for row, seen in zip(found["rows"], read_maps(found), strict=True):
            square = read_square(paths.get(manifest.table["name"].iloc[row]))
            truth = plain_class(manifest.classes[manifest.labels[row]])
            wrong = calls.wrong[place, row] >= 0.5
            verdict = f"{truth}, called {'wrong' if wrong else 'right'}"
            alt = f"Image {called[row]}, {verdict}, and where {names[arm]} looked"
            cards.append(
                f'<figure class="card wide"><img src="{as_uri(overlay(square, seen))}" alt="{escape(alt)}" '
                f'width="{2 * SIDE}" height="{SIDE}"><figcaption><b>{escape(called[row])}</b>'
                f"<span{' class=flag' if wrong else ''}>{escape(verdict)}</span> score "
                f"{figure(calls.score[place, row], 2)}</figcaption></figure>"
            )
        sane = f"Likeness to maps of random weights: {figure(found['likeness'], 2)}."
        sane += UNTAUGHT if weights[arm].startswith("random") else ""
        html.append(
            f'<h3>{escape(names[arm])}</h3><div class="cards pairwise">{"".join(cards)}</div><p>{escape(sane)}</p>'
        )
    return "".join(html)


def overlay(square, seen, side=SIDE):
    """An image, and beside it the same one tinted where a network looked.

    Parameters
    ----------
    square : PIL.Image.Image or None
        None: the tint is put on white.
    seen : ndarray of uint8, shape (height, width)
        255 where the evidence is strongest.
    side : int
        Pixels.

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
