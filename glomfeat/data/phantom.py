"""The phantom: generated cartoons of PAS-stained glomeruli in cases and slides, in the file layout of the original.

This module plans what is drawn, as a table; `glomfeat.data.cartoon` draws it.
"""

import hashlib
import json
import shutil
import uuid
from dataclasses import asdict, dataclass
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from PIL import Image

from glomfeat.core.cache_listing import PART, Entry, used
from glomfeat.core.disk import CACHE, writing
from glomfeat.core.errors import InputError, TakenError
from glomfeat.core.starting import spread

ABOUT = (
    "these are drawn cartoons of glomeruli in made-up cases, to see how everything works: no figure says anything "
    "about patients"
)
NOTICE = "data: the built-in phantom, generated cartoons of glomeruli; no figure says anything about patients"
FOR_YOURS = "For images of yours: python -m studies.compare FOLDER, where FOLDER has a sub-folder for each class"
KEPT = {"phantom.json", "public.csv"}
VERSION = "v1"  # part of what "the same phantom" means: raise it when a pixel or a name changes
FOLDERS = ("non_globally_sclerotic_glomeruli", "globally_sclerotic_glomeruli")  # by label
IN_BETWEEN = 0.2  # share of glomeruli with a severity inside BAND, where the label is a matter of opinion
BAND = (0.32, 0.68)
OPINION = 0.08  # how fast the probability of label 1 rises with severity inside the band
MOST_SITES = 20
TIMES = 1.6  # how much more often label 1 is drawn at the site that leans farthest to one side
SERIAL = 0.2  # probability that the next image is another section of the same glomerulus


@dataclass(frozen=True)
class Phantom:
    """What a phantom is made of.

    Attributes
    ----------
    images, cases : int
        Cases hold uneven numbers of images, each at least one.
    positives : float
        Expected share of images of globally sclerotic glomeruli (label 1), between 0 and 1. The largest third of
        the cases (at least four) are made to hold both classes, so that a very small share comes out larger.
    seed : int
        Same seed, same bytes.
    min_px, max_px : int
        Range of an image's longer side.
    sites : int
        How many sites the cases come from. The images of one site are the same as those without sites. Of several, the
        first is as if it were alone; the others alternate between a paler and bluer stain, a sharper and brighter
        scanner and a smaller share of label 1, and the opposites of these; later sites differ more.

    Raises
    ------
    InputError
        Fewer images than cases, a share that is not between 0 and 1, an empty or too small range of sizes, or too many
        sites to give each four cases.

    Examples
    --------
    >>> Phantom(images=3, cases=4)
    Traceback (most recent call last):
    ...
    glomfeat.core.errors.InputError: images is 3, cases is 4: allowed are 1 <= cases <= images
    """

    images: int = 300
    cases: int = 24
    positives: float = 0.25
    seed: int = 0
    min_px: int = 120
    max_px: int = 220
    sites: int = 1

    def __post_init__(self):
        if not 1 <= self.cases <= self.images:
            raise InputError(f"images is {self.images}, cases is {self.cases}: allowed are 1 <= cases <= images")
        if not 0 < self.positives < 1:
            raise InputError(f"positives is {self.positives}: it is a share, above 0 and below 1")
        if not 48 <= self.min_px <= self.max_px:
            raise InputError(f"sizes are {self.min_px} to {self.max_px} px: allowed are 48 <= min_px <= max_px")
        most = max(1, min(MOST_SITES, self.cases // 4, self.images - self.cases))
        if not 1 <= self.sites <= most:
            where = f"allowed are 1 <= sites <= {most}, of four cases each"
            raise InputError(f"sites is {self.sites}, of {self.cases} cases and {self.images} images: {where}")

    @property
    def named_sites(self):
        """The names of the sites, ``A``, ``B``, ...; empty if there is only one."""
        return [chr(ord("A") + k) for k in range(self.sites)] if self.sites > 1 else []


def folder_in(cache, spec=Phantom()):
    """The folder in the cache of a phantom that is made because no data were named.

    Parameters
    ----------
    cache : pathlib.Path
        From `glomfeat.core.cache.cache_folder`.
    spec : Phantom

    Examples
    --------
    >>> folder_in(Path("cache")).name
    'v1-300-24-0-120-220'
    """
    facts = [VERSION, spec.images, spec.cases, spec.seed, spec.min_px, spec.max_px]
    return cache / "phantom" / "-".join(map(str, [*facts, *([f"{spec.sites}sites"] if spec.sites > 1 else [])]))


def built_in(cache, jobs, spec=Phantom()):
    """Make the phantom that stands in for data when none were named; whoever shows its figures says so.

    Parameters
    ----------
    cache : pathlib.Path
        From `glomfeat.core.cache.cache_folder`.
    jobs : int
    spec : Phantom

    Returns
    -------
    pathlib.Path
    """
    return _make(folder_in(cache, spec), spec, jobs, cache, CACHE)


def make_phantom(folder, spec=Phantom(), jobs=1):
    """Write a phantom to a folder as the original data set is shipped: one folder per class, and ``public.csv``.

    With several sites the CSV has a column ``site``, so that ``--scheme leave-out:site`` leaves out each once. The
    folder appears under its name only once it is finished. A finished phantom of the same spec is left as it is.

    Parameters
    ----------
    folder : path-like
        Must not exist, or be empty, or hold a finished phantom of this spec.
    spec : Phantom
    jobs : int
        Number of processes; it changes no byte.

    Returns
    -------
    pathlib.Path
        The folder.

    Raises
    ------
    TakenError
        The folder holds something else.

    Examples
    --------
    >>> import tempfile
    >>> folder = make_phantom(Path(tempfile.mkdtemp()) / "phantom", Phantom(images=4, cases=2))
    >>> pd.read_csv(folder / "public.csv").columns.tolist(), len(list(folder.glob("*/P00?_PAS_*.png")))
    (['name', 'ground truth'], 4)
    """
    return _make(Path(folder), spec, jobs, folder, None)


def _make(folder, spec, jobs, shown, option):
    """Make a phantom like `make_phantom`; `shown` and `option` are for messages about a disk that refuses to write."""
    if _is_finished(folder, spec):
        return folder
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise TakenError(f"{folder} exists and is not a finished {spec}: name another folder, or remove it")
    part = folder.with_name(f".{folder.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with writing(shown, option, part):
            _write(part, spec, jobs)
            if folder.exists():
                folder.rmdir()  # empty, see above
            try:
                part.rename(folder)
            except OSError:
                if not _is_finished(folder, spec):  # otherwise another process has made the same one meanwhile
                    raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return folder


def _write(part, spec, jobs):
    for name in FOLDERS:
        (part / name).mkdir(parents=True)
    plan = plan_phantom(spec)
    tasks = (joblib.delayed(_write_image)(part, spec, row) for row in plan.to_dict("records"))
    spread(tasks, jobs)
    (part / "phantom.json").write_text(json.dumps(_facts(spec), indent=2) + "\n", encoding="utf-8")
    told = ["name", "label", *(["site"] if "site" in plan else [])]
    table = plan[told].rename(columns={"label": "ground truth"})
    table.to_csv(part / "public.csv", index=False, lineterminator="\n")


def _facts(spec):
    facts = {"phantom": VERSION, **asdict(spec)}
    return facts if spec.sites > 1 else {name: fact for name, fact in facts.items() if name != "sites"}


def _is_finished(folder, spec):
    try:
        facts = json.loads((folder / "phantom.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return facts == _facts(spec) and (folder / "public.csv").is_file()


def plan_phantom(spec):
    """Decide everything about a phantom but its pixels.

    Parameters
    ----------
    spec : Phantom

    Returns
    -------
    pandas.DataFrame
        One row per image, by name: ``name, case, slide, slides, glomerulus, section, severity, label, diameter, aspect,
        width, height``. Sections of one glomerulus (numbered within its case) share severity and label. ``severity``
        runs from 0 (open) to 1 (globally sclerotic); inside `BAND` the label is drawn, and is 1 more often the higher
        the severity. ``diameter`` and sizes are in pixels and do not depend on the class. With several sites there are
        also ``site`` and ``leaning``, how far the site leans to one side: -1 to 1.

    Examples
    --------
    >>> plan = plan_phantom(Phantom())
    >>> len(plan), plan["case"].nunique(), int((plan.groupby("case")["label"].nunique() == 2).sum()) >= 8
    (300, 24, True)
    """
    from glomfeat.data.cartoon import generator  # imports scipy.ndimage, which those who only look should not wait for

    rng = generator(spec.seed, "plan")
    both = min(spec.cases, max(4, -(-spec.cases // 3)))  # how many cases are made to hold both classes
    weights = np.sort(rng.lognormal(0, 0.9, spec.cases))[::-1]
    counts = np.ones(spec.cases, int)
    counts[: min(both, spec.images - spec.cases)] += 1
    counts += rng.multinomial(spec.images - counts.sum(), weights / weights.sum())
    rates = rng.beta(2.5 * spec.positives, 2.5 * (1 - spec.positives), spec.cases)
    rates = np.clip(rates * spec.positives / max(np.average(rates, weights=counts), 1e-9), 0, 1)
    numbers = rng.permutation(spec.cases) + 1  # the name of a case does not tell how large it is
    sites = spec.named_sites
    leaning = site_leanings(len(sites))
    rows = []
    for i in range(spec.cases):
        case = f"P{numbers[i]:03d}"
        if not sites:
            rows += _plan_case(rng, spec, case, counts[i], rates[i], i < both)
            continue
        at = i % len(sites)  # gives each site cases of each size, and of both classes
        rate = min(1.0, rates[i] * TIMES ** leaning[at])
        of_case = _plan_case(rng, spec, case, counts[i], rate, i < both)
        rows += [row | {"site": sites[at], "leaning": leaning[at]} for row in of_case]
    return pd.DataFrame(rows).sort_values("name", ignore_index=True)


def site_leanings(sites):
    """How far each site leans to one side: the first not at all, the others alternately to both, later ones farther.

    Examples
    --------
    >>> site_leanings(3), site_leanings(5)
    ([0.0, -1.0, 1.0], [0.0, -0.5, 0.5, -1.0, 1.0])
    """
    steps = [(k + 1) // 2 * (1 if k % 2 == 0 else -1) for k in range(sites)]
    return [step / max(1, sites // 2) + 0.0 for step in steps]


def _plan_case(rng, spec, case, count, rate, both):
    # The first two images show two glomeruli, so that a case of two images can hold both classes.
    glomerulus = np.cumsum([i < 2 or rng.random() >= SERIAL for i in range(count)]) - 1
    n = glomerulus[-1] + 1
    label = (rng.random(n) < rate).astype(int)
    low, high = BAND
    clear = np.where(label == 1, rng.uniform(high, 1, n), rng.uniform(0, low, n))
    # A severity whose drawn label is not the wanted one is mirrored: this gives the density of severity given the
    # label.
    between = rng.uniform(low, high, n)
    opinion = rng.random(n) < 1 / (1 + np.exp(-(between - 0.5) / OPINION))
    between = np.where(opinion == label, between, 1 - between)
    severity = np.where(rng.random(n) < IN_BETWEEN, between, clear)
    if both and n > 1 and len(set(label)) == 1:
        flipped = rng.integers(n)
        label[flipped], severity[flipped] = 1 - label[flipped], 1 - severity[flipped]
    diameter, aspect = rng.uniform(spec.min_px, spec.max_px, n), rng.lognormal(0, 0.14, n)
    slides = int(rng.choice([1, 2], p=[0.65, 0.35]))
    rows = []
    for i, g in enumerate(glomerulus.tolist()):
        longer = np.clip(diameter[g] * rng.uniform(0.94, 1.06), spec.min_px, spec.max_px)
        section, slide = int((glomerulus[:i] == g).sum()), int(rng.integers(slides)) + 1
        key = json.dumps([VERSION, spec.seed, case, g, section])
        rows.append({
            "name": f"{case}_PAS_{slide}of{slides}_{hashlib.sha256(key.encode()).hexdigest()[:24]}.png",
            "case": case, "slide": slide, "slides": slides, "glomerulus": g, "section": section,
            "severity": float(severity[g]), "label": int(label[g]),
            "diameter": float(diameter[g]), "aspect": float(aspect[g]),
            "width": round(longer * min(1, aspect[g])), "height": round(longer * min(1, 1 / aspect[g])),
        })  # fmt: skip
    return rows


def _write_image(folder, spec, row):
    from glomfeat.data.cartoon import render

    Image.fromarray(render(spec.seed, row)).save(folder / FOLDERS[row["label"]] / row["name"], compress_level=4)


def read_phantom(path):
    """The listing entry of a phantom in a cache folder, finished or not, if nothing else lies in its folder.

    Parameters
    ----------
    path : pathlib.Path

    Returns
    -------
    entry : glomfeat.core.cache_listing.Entry or None
    foreign : list of pathlib.Path
        Always empty.
    """
    finished, files = path / "public.csv", [file for file in path.rglob("*") if not file.is_dir()]
    of_images = [file for file in files if file.parent.parent == path and file.parent.name in FOLDERS]
    of_images = [file for file in of_images if file.suffix == ".png"]
    rest = {file.name for file in set(files) - set(of_images) if file.parent == path}
    if path.is_symlink() or len(of_images) + len(rest) < len(files) or not rest <= KEPT:
        return None, []
    stats = [file.stat() for file in files]
    size, newest = sum(stat.st_size for stat in stats), max(map(used, stats), default=path.stat().st_mtime)
    if PART.fullmatch(path.name):
        return Entry("unfinished", "unfinished", "left by a process that was killed", path, size, newest), []
    if rest != KEPT:
        return None, []
    try:
        facts = json.loads((path / "phantom.json").read_text(encoding="utf-8"))
        of = f" of {facts['sites']} sites" if "sites" in facts else ""
        what = f"{facts['images']} images of {facts['cases']} cases{of}, seed {facts['seed']}"
    except (ValueError, KeyError, TypeError):
        return None, []
    return Entry("phantom", "phantom", what, path, size, used(finished.stat()), len(of_images)), []
