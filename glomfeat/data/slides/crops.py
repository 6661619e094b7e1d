"""From slides and annotations, paired by name, to crops and the tables that list them."""

import csv
import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from glomfeat.core.atomic import written_whole
from glomfeat.core.errors import InputError
from glomfeat.core.progress import track
from glomfeat.core.words import guarded
from glomfeat.data.cases import find_cases
from glomfeat.data.images.decode import encode_png
from glomfeat.data.slides.outlines import read_outlines
from glomfeat.data.slides.read import SUFFIXES, SlideError, cut_out, open_slide

ANNOTATED = (".geojson", ".json")
KEPT = "annotations"  # the folder of copies of annotations, beside the crops' folders
OF_OBJECT = ("object", "number", "bbox_x0", "bbox_y0", "bbox_x1", "bbox_y1")
COLUMNS = ("path", "label", "case", "slide", *OF_OBJECT)


@dataclass(frozen=True)
class Crop:
    """What became of an annotated object.

    Attributes
    ----------
    label : str
        Its class; empty if it has none.
    name : str
        The file's name below the output folder; empty if there is none.
    reason : str
        Why there is no file; empty if there is one.
    where : tuple
        Values of `OF_OBJECT`: its id, its position in the file, from 1, and the bounding box of its outline in pixels
        of the full resolution.
    """

    label: str = ""
    name: str = ""
    reason: str = ""
    where: tuple = ()


def pair_up(slides, annotations):
    """Find the annotations of each slide.

    Parameters
    ----------
    slides, annotations : path-like
        Files or folders; in folders ``a.svs`` goes with ``a.geojson`` or ``a.svs.geojson``.

    Returns
    -------
    pairs : list of (str, pathlib.Path, pathlib.Path)
        Name of the slide, its file and its annotations, sorted.
    alone : list of str
        Names of annotations without a slide.

    Raises
    ------
    InputError
        There is no such file or no pair, two slides share a name, or a slide has several files of annotations.
    """
    slides, annotations = Path(slides).expanduser(), Path(annotations).expanduser()
    for path in (slides, annotations):
        if not path.exists():
            raise InputError(f"there is no {path}: give SLIDES and ANNOTATIONS, each a file or a folder")
    if slides.is_file() and annotations.is_file():
        return [(slides.stem, slides, annotations)], []
    files = sorted(slides.iterdir()) if slides.is_dir() else [slides]
    files = [path for path in files if path.suffix.lower() in SUFFIXES or not slides.is_dir()]
    by_name = {}
    for path in files:
        if path.stem in by_name:
            raise InputError(
                f"{by_name[path.stem].name} and {path.name} are slides with the same name: rename one of them"
            )
        by_name[path.stem] = path
    known = {path.name: path for path in files} | by_name
    found = sorted(annotations.iterdir()) if annotations.is_dir() else [annotations]
    found = [path for path in found if path.suffix.lower() in ANNOTATED]
    pairs = [(known[path.stem].stem, known[path.stem], path) for path in found if path.stem in known]
    if not pairs:
        raise InputError(
            f"no slide of {slides} ({', '.join(SUFFIXES)}) has annotations in {annotations} ({', '.join(ANNOTATED)}): "
            "name them alike, such as a.svs and a.geojson"
        )
    _check_once(pairs)
    return pairs, [path.stem for path in found if path.stem not in known and slides.is_dir()]


def _check_once(pairs):
    """Refuse slides with several files of annotations, whose objects would be cut out once for each file."""
    first = {}
    for slide, _, path in pairs:
        if slide in first:
            raise InputError(
                f"{first[slide].name} and {path.name} are both annotations of the slide {slide}: keep one of them, or "
                "export all objects of the slide into one file"
            )
        first[slide] = path


def cases_of(slides, pattern):
    """Find the case of each slide by its name.

    Parameters
    ----------
    slides : list of str
    pattern : str
        ``auto``, a regular expression with the named group ``case``, or ``none``: every slide is a case of its own.
        A regular expression is searched in the slide's name as it is.

    Returns
    -------
    dict of str to str

    Raises
    ------
    InputError
        The pattern does not match all slides.

    Examples
    --------
    >>> cases_of(["P1_PAS_1of2", "P1_PAS_2of2"], "auto")
    {'P1_PAS_1of2': 'P1', 'P1_PAS_2of2': 'P1'}
    """
    ending = "_0.png" if pattern == "auto" else ".png"  # known patterns are of crops, a pattern given is of slides
    found = find_cases(pd.DataFrame({"name": [f"{slide}{ending}" for slide in slides]}), pattern)
    if found.problems:
        what = found.problems[0][0].partition("; ")[0].replace("--groups", "--case-pattern")
        shown = ", ".join(slides[:3])
        raise InputError(
            f"{what} ({shown}{', ...' if len(slides) > 3 else ''}): give --case-pattern REGEX, whose named group finds "
            "the case, such as '^(?P<case>[^_]+)_', or --case-pattern none to make every slide its own case"
        )
    cases = slides if pattern == "none" else found.cases["case"]
    return dict(zip(slides, cases, strict=True))


def name_of(path, slide, outline, cut):
    """The name of a crop, which depends on all that its pixels depend on, so that an existing file can be kept.

    Parameters
    ----------
    path : pathlib.Path
        The slide's file; its size stands for its content, and `crops_of` also looks at its times.
    slide : str
        Name of the slide.
    outline : glomfeat.data.slides.outlines.Outline
    cut : Cut

    Returns
    -------
    str
    """
    rings = [[ring.tolist() for ring in rings] for rings in outline.polygons]
    # older versions hid islands in holes: their crops are not kept
    mask = "white.v2" if cut.mask == "white" and len(rings) > 1 else cut.mask
    about = json.dumps([path.stat().st_size, rings, cut.mpp, cut.margin, mask])
    return f"{slide}_{hashlib.sha256(about.encode()).hexdigest()[:16]}.png"


def crops_of(path, slide, annotations, cut, classes, out, unclassified=False):
    """Cut out all annotated objects of a slide, one at a time; existing crops that are newer than it are kept.

    Parameters
    ----------
    path : pathlib.Path
        The slide's file.
    slide : str
        The slide's name.
    annotations : pathlib.Path
        A GeoJSON file.
    cut : Cut
    classes : sequence of str
        Classes of the wanted objects; empty for all classes.
    out : pathlib.Path
    unclassified : bool
        Whether objects without a class are wanted too.

    Yields
    ------
    Crop
        For each object.
    """
    seen, opened = {}, None
    try:
        outlines = read_outlines(annotations)
    except (OSError, ValueError) as error:
        yield Crop(reason=str(error))
        return
    try:
        for number, outline in enumerate(outlines, 1):
            reason = outline.problem or _unwanted(outline.label, classes, unclassified)
            name = "" if reason else name_of(path, slide, outline, cut)
            if name in seen:
                name, reason = "", f"an object of class {seen[name]!r} has the same outline"
            target = out / slide / name
            if not reason:
                seen[name] = outline.label
                if not _is_of(target, path):
                    try:
                        opened = opened or open_slide(path)
                        data = encode_png(cut_out(opened, outline, cut))
                        with written_whole(target, folder=out) as part:  # a slide's name may be a patient's
                            part.write_bytes(data)
                    except SlideError as error:
                        reason = str(error)
            if reason:
                yield Crop(outline.label, reason=reason)
            else:
                yield Crop(outline.label, f"{slide}/{name}", "", (outline.identity, number, *_box(outline)))
    finally:
        if opened:
            opened.close()


def _is_of(target, path):
    """Whether a crop is there, and was cut after the slide's file was written or came to its place."""
    if not target.is_file():
        return False
    slide = path.stat()  # a file that is moved or copied may keep its old time of writing
    return target.stat().st_mtime_ns >= max(slide.st_mtime_ns, slide.st_ctime_ns)


def _box(outline):
    """Left, top, right and bottom as text; whole numbers without decimals."""
    return [f"{value:.12g}" for value in outline.box]


def _unwanted(label, classes, unclassified):
    if not label:
        return "" if unclassified else "without a class: give it one in QuPath, or cut it out with --unclassified"
    return f"class {label!r} is not among --classes" if classes and label not in classes else ""


def make_crops(pairs, alone, cases, cut, classes, out, unclassified=False):
    """Cut out all annotated objects of all slides; the tables appear once all is done.

    Parameters
    ----------
    pairs, alone
        From `pair_up`.
    cases : dict of str to str
        From `cases_of`.
    cut : Cut
    classes : sequence of str
        Classes of the wanted objects; empty for all classes.
    out : pathlib.Path
        Receives ``manifest.csv`` (`COLUMNS`), ``quarantine.csv`` (``slide,number,label,reason``) and, in the folder
        `KEPT`, copies of the annotations that lines of the manifest refer to.
    unclassified : bool
        As for `crops_of`.

    Returns
    -------
    made, bad : int
        The number of crops, and of annotations without one.
    """
    made, bad = 0, len(alone)
    with (
        _table(out / "quarantine.csv", ("slide", "number", "label", "reason")) as reasons,
        _table(out / "manifest.csv", COLUMNS) as crops,
    ):
        reasons.writerows((guarded(name), "", "", "no slide of this name") for name in alone)
        for slide, path, annotations in track(pairs, "slides", len(pairs)):
            cut_any, found = False, crops_of(path, slide, annotations, cut, classes, out, unclassified)
            for number, crop in enumerate(found, 1):
                if crop.reason:
                    reasons.writerow((guarded(slide), number, guarded(crop.label), crop.reason))
                else:
                    crops.writerow((crop.name, crop.label, cases[slide], slide, *crop.where))
                    cut_any = True
                made, bad = made + (not crop.reason), bad + bool(crop.reason)
            if cut_any:
                with written_whole(annotations_of(out, slide), folder=out) as part:
                    part.write_bytes(annotations.read_bytes())
    return made, bad


def annotations_of(out, slide):
    """The path of the copy of a slide's annotations in a folder of crops."""
    return Path(out) / KEPT / f"{slide}.geojson"


@contextmanager
def _table(path, columns):
    """A CSV that is written row by row and appears once it is complete."""
    with written_whole(path) as part, part.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        yield writer
