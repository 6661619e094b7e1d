"""What the folders above images mean: classes, cases, slides, sites, the parts of a split, or nothing."""

import sys
from dataclasses import dataclass

from glomfeat.core.errors import UserError
from glomfeat.core.words import number_of
from glomfeat.data.folders.names import (
    DRAWN,
    are_classes,
    are_numbered,
    are_parts,
    are_patients,
    are_sites,
    are_slides,
    are_versions,
    are_years,
    is_split,
    mixed_split,
    outlines_beside,
    split_of,
)
from glomfeat.data.tables.joining import without_suffix

KINDS = ("class", "case", "slide", "split", "site", "ignore")
IMAGE = "image"
MAYBE = "case or site"  # folders above the classes that are named like neither patients nor sites
OF_CASES = ("case", "slide", MAYBE)
CALLED = {"case": are_patients, "slide": are_slides, "site": are_sites}
SHOWN = 6


class LayoutError(UserError, ValueError):
    """Folders cannot be understood, or are not as the user says; the message gives the remedy."""


class OutlinesError(LayoutError):
    """Folders of masks and the like lie beside images."""


@dataclass(frozen=True)
class Tree:
    """What each level of folders means.

    Attributes
    ----------
    above : tuple of str
        Folders that contain everything, and therefore say nothing.
    levels : tuple of str
        For each further level one of `KINDS`, or `MAYBE`.
    names : tuple of tuple of str
        The folders of each of these levels, sorted.
    by_hand : bool
        Whether the levels were given by the user.
    """

    above: tuple = ()
    levels: tuple = ()
    names: tuple = ()
    by_hand: bool = False

    def of(self, kind, folder):
        """The name of the folder at the level of a kind; empty if there is no such level.

        Parameters
        ----------
        kind : str
        folder : str
            With slashes, from `folder_of`.

        Examples
        --------
        >>> Tree(("data",), ("split", "class")).of("class", "data/train/sick")
        'sick'
        """
        parts = folder.split("/") if folder else []
        at = len(self.above) + self.levels.index(kind) if kind in self.levels else len(parts)
        return sys.intern(parts[at]) if at < len(parts) else ""

    def taken(self, old, new):
        """The tree with one kind of level read as another."""
        levels = tuple(new if kind == old else kind for kind in self.levels)
        return Tree(self.above, levels, self.names, self.by_hand)

    def __str__(self):
        pairs = zip(self.levels, self.names, strict=True)
        called = {"ignore": "not used"}
        kinds = [f"{called.get(kind, kind)} ({_some(names, kind in OF_CASES)})" for kind, names in pairs]
        return "/".join([*kinds, IMAGE])


def _some(names, hidden=False):
    """Names if they are few; if they are many or identify patients, only how many there are."""
    return ", ".join(names) if len(names) <= SHOWN and not hidden else f"{len(names)} folders"


def folder_of(name):
    """The folder of an image's relative name; images in one folder share one text."""
    return sys.intern(name.rpartition("/")[0])


def parse_layout(text):
    """Read a layout that the user gives.

    Parameters
    ----------
    text : str
        Levels from the top, such as ``class/case/image``.

    Returns
    -------
    tuple of str
        Without the image.

    Raises
    ------
    LayoutError

    Examples
    --------
    >>> parse_layout("split/class/image")
    ('split', 'class')
    """
    *levels, last = text.strip().strip("/").lower().split("/")
    once = [kind for kind in levels if kind != "ignore"]
    if last != IMAGE or not set(levels) <= set(KINDS) or len(set(once)) < len(once):
        raise LayoutError(
            f"--layout is {text!r}: name each level of folders from the top, one of {', '.join(KINDS)}, and "
            "image at the end; each only once, except ignore; such as class/case/image"
        )
    return tuple(levels)


def read_tree(relative, layout=None, labelled=False, packed=False):
    """Find out what the folders of a data set mean.

    Parameters
    ----------
    relative : sequence of str
        Names of images with their folders.
    layout : str, optional
        What the user says they mean, in the form that `parse_layout` reads.
    labelled : bool
        Whether the classes are known without the folders.
    packed : bool
        Whether the first folders are archives. They are cases only if they are called so, and no classes if their names
        differ in numbers alone, because these may be parts of a download.

    Returns
    -------
    Tree

    Raises
    ------
    LayoutError
        Only some folders of a level are parts of a split, there are no class folders, or the folders do not fit the
        given layout.

    Examples
    --------
    >>> str(read_tree(["v2/train/sick/1.png", "v2/test/sick/2.png", "v2/test/well/3.png"]))
    'split (test, train)/class (sick, well)/image'
    """
    parts = _folders(relative)
    if layout:
        return _by_hand(parts, layout, relative, labelled)
    above, below, names = _levels(parts)
    kinds = _kinds(below, names, labelled, packed and not above)
    if not labelled and "class" not in kinds:
        above, kinds, names = _with_class(above, kinds, names)
    return Tree(above, tuple(kinds), tuple(map(tuple, names)))


def refuse_outlines(relative, otherwise, labelled=False):
    """Refuse images some of whose folders seem to hold drawings of those beside them, such as masks.

    Parameters
    ----------
    relative : sequence of str
        Names of images with their folders.
    otherwise : str
        What to do if these folders cannot be moved away.
    labelled : bool
        Whether the classes are known without the folders.

    Raises
    ------
    OutlinesError
    """
    _, below, names = _levels(_folders(relative))
    for k, level in enumerate(names):
        images = any(len(one) == k for one in below)
        if outlines := outlines_beside(level, images, labelled):
            others = _some([*(name for name in level if name not in outlines), *["images"] * images])
            said = f"{_some(outlines)} beside {others} seems by its name to hold drawings of the images and not a class"
            raise OutlinesError(f"{said}: move it away{'' if images else f', or {otherwise}'}")


def refuse_versions(relative):
    """Refuse folders that seem to hold each image in several versions, such as raw and normalised.

    Parameters
    ----------
    relative : sequence of str
        Names of images with their folders.

    Raises
    ------
    LayoutError
    """
    above, _, names = _levels(_folders(relative))
    for k, level in enumerate(names, len(above)):
        first, *rest = map(set, _held(relative, k).values()) if are_versions(level) else [set()]
        if rest and all(one == first for one in rest):
            raise LayoutError(
                f"the folders {_some(level)} hold images of the same names, so that they seem to be versions of each "
                "image: leave one of them in DATA, or say what the folders mean with --layout, such as "
                f"{_such(relative[0])}"
            )


def lines_on_drawings(names):
    """Warn of images that are called like others, with a word such as ``mask`` at the end or with another suffix.

    Examples
    --------
    >>> names = ["a/1.png", "a/1_mask.png", "b/1_mask.jpg", "b/2-Mask.png", "b/3.jpg", "b/3.png"]
    >>> [line.split(":")[1] for line in lines_on_drawings(names)]
    [' 1 image named like another with _mask at the end', ' 1 image named like another but for the suffix']
    """
    stems, found = list(map(without_suffix, names)), []
    there, ends = {*stems}, filter(None, map(DRAWN.search, stems))
    if drawn := [end[0] for end in ends if end.string[: end.start()] in there]:
        said = f"{number_of(len(drawn), 'image')} named like another with {' or '.join(sorted({*drawn}))} at the end"
        found.append(f"warning: {said}: move what is no crop out of DATA")
    if twice := len(stems) - len(there):
        said = f"{number_of(twice, 'image')} named like another but for the suffix"
        found.append(f"warning: {said}: move what is no crop, and all but one version of each image, out of DATA")
    return found


def lines_on_doubles(relative):
    """Warn of folders called like drawings, and read as classes, that hold an image for each one beside them."""
    above, _, names = _levels(_folders(relative))
    level = names[0] if names else []
    drawn = outlines_beside([*level, "images"])
    if not drawn or len(level) < 2:
        return []
    held = _held(relative, len(above))
    others = [one for name, some in held.items() if name not in drawn for one in some]
    alone = len({*others}) == len(others)  # else names are numbers within each folder
    if not (found := [name for name in drawn if alone and {*others} <= {*held[name]}]):
        return []
    said = f"{_some(found)} beside {_some([name for name in level if name not in drawn])} is read as a class and holds"
    return [f"warning: {said} images of the same names: if they are drawings of the images, move it out of DATA"]


def _held(relative, level):
    """What the folders of a level hold: images without suffix, each as the parts of its path but that of the level."""
    held = {}
    for name in relative:
        *folders, last = without_suffix(name).split("/")
        held.setdefault("".join(folders[level : level + 1]), []).append((*folders[:level], *folders[level + 1 :], last))
    return held


def _folders(relative):
    """The folders of images, each as its parts, sorted."""
    folders = sorted({folder_of(name) for name in relative})
    return [tuple(folder.split("/")) if folder else () for folder in folders]


def _levels(parts):
    """The folders that contain everything, what is below them, and the names at each level of that."""
    above = _shared(parts) if parts else ()
    below = [one[len(above) :] for one in parts]
    depth = max(map(len, below), default=0)
    return above, below, [sorted({one[k] for one in below if len(one) > k}) for k in range(depth)]


def _shared(parts):
    """The folders that contain all images."""
    first, last = parts[0], parts[-1]
    count = next((k for k, (one, other) in enumerate(zip(first, last, strict=False)) if one != other), None)
    return first[: min(map(len, parts)) if count is None else min(count, *map(len, parts))]


def _with_class(above, kinds, names):
    """If there are no class folders, the last folder that contains everything is the only class."""
    alone = [k for k, level in enumerate(names) if len(level) == 1 and kinds[k] == "ignore"]
    if "split" in kinds and not alone:
        return above, kinds, names
    if alone:
        kinds = [*kinds]
        kinds[alone[-1]] = "class"
    elif above:
        above, kinds, names = above[:-1], ["class", *kinds], [[above[-1]], *names]
    return above, kinds, names


def _kinds(below, names, labelled, packed):
    """The meaning of each level."""
    kinds = ["ignore"] * len(names)
    for k, level in enumerate(names):
        if is_split(level) and "split" not in kinds:
            kinds[k] = "split"
        elif others := mixed_split(level):
            parts = sorted(name for name in level if split_of(name))
            raise LayoutError(
                f"the folders {_some(parts)} have the names of parts of a split, and {_some(others)} beside them do "
                "not: give all one meaning with --layout, such as class/image or split/class/image, or move some away"
            )
    rest = [k for k, level in enumerate(names) if len(level) > 1 and kinds[k] == "ignore"]
    parts = packed and are_parts(names[0])
    if parts:
        rest = [k for k in rest if k]
    while rest and not labelled:
        k = rest.pop(0)
        found = next((kind for j in rest if (kind := _above(below, k, j, names))), "")
        if packed and not k and found in ("case", MAYBE) and not are_patients(names[0]):
            found = "site"
        if not found:
            if are_patients(names[k]) or are_slides(names[k]) or are_sites(names[k], coded=True):
                rest.insert(0, k)
            else:
                kinds[k] = "class"
            break
        twice = found in kinds or (found == MAYBE and "case" in kinds)
        kinds[k] = found if not twice else "slide" if found == "case" and "slide" not in kinds else "ignore"
    for k in rest:
        kinds[k] = next((kind for kind, are in CALLED.items() if kind not in kinds and are(names[k])), "ignore")
    if parts and kinds[0] == "ignore" and "class" in kinds and "site" not in kinds:
        kinds[0] = "site"
    if years := [k for k, kind in enumerate(kinds) if kind in ("case", MAYBE) and are_years(names[k])]:
        kinds[years[0]] = "ignore" if "site" in kinds else "site"
    return kinds


def _above(below, k, j, names):
    """The meaning of a level that has classes at another level below it; empty if it has none."""
    held = {}
    for one in below:
        if len(one) > j:
            held.setdefault("".join(one[j].casefold().split()), set()).add(one[k])  # one class, however it is spelt
    upper, lower = names[k], names[j]
    shared = [name for name, folders in held.items() if len(folders) > 1]
    if len(shared) < 2 or 2 * len(shared) < len(lower) or are_patients(lower):
        return ""
    known = {"site": are_sites, "slide": are_slides}
    if kind := next((kind for kind, are in known.items() if are(upper)), ""):
        return kind
    if are_patients(upper) or (are_numbered(upper) and len(upper) > len(lower) and not are_numbered(lower)):
        return "case"
    by_words = are_classes(lower) and not are_classes(upper)
    by_number = len(upper) > 10 and len(upper) >= 4 * len(lower) and not are_classes(upper)
    return MAYBE if by_words or by_number else ""


def _by_hand(parts, layout, relative, labelled):
    """The tree that the user describes; every image must lie exactly that deep."""
    levels = parse_layout(layout)
    if not labelled and "class" not in levels:
        raise LayoutError(
            f"--layout {layout} names no level of classes and there is no table of labels: give --labels FILE"
        )
    most = len(_shared(parts))
    over = min(most, max(0, min(map(len, parts)) - len(levels)))
    wrong = {"/".join(one) for one in parts if len(one) != over + len(levels)}
    if wrong:
        names = [name for name in relative if folder_of(name) in wrong]
        raise LayoutError(
            f"--layout {layout} does not fit {len(names)} of {len(relative)} images: {', '.join(names[:3])}"
            f"{', ...' if len(names) > 3 else ''}; write one level for each folder above an image, such as "
            f"{_such(names[0])}, or move these files away"
        )
    names = [sorted({one[over + k] for one in parts}) for k in range(len(levels))]
    return Tree(parts[0][:over], levels, tuple(map(tuple, names)), by_hand=True)


def _such(name):
    """An example layout that is as deep as a name."""
    depth = name.count("/")
    return "/".join([*["ignore"] * (depth - 1), *["class"] * bool(depth), IMAGE])
