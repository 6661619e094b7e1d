"""Cut crops of annotated glomeruli out of whole-slide images, and write the table that studies read."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import tyro

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main, write_options


@dataclass(frozen=True)
class Options:
    """Cut the objects that QuPath's annotations outline out of whole slides: PNGs, and manifest.csv for other studies.

    Crops that are there already are kept. What cannot be cut out is listed in quarantine.csv; exit status 1 then.
    """

    slides: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SLIDES")]
    """A slide, or a folder of slides."""
    annotations: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS")]
    """A GeoJSON file as QuPath exports it, or a folder of them, each named as its slide."""
    out: str = "crops"
    """Output folder: a folder of crops for each slide, manifest.csv, quarantine.csv, study.yaml, and copies of the
    annotations, which studies.evaluate --geojson writes calls into."""
    mpp: float | None = None
    """Microns per pixel of the crops. Left out: the full resolution of each slide."""
    margin: float = 0.1
    """Margin around the bounding box of an outline, as a share of its longer side."""
    mask: Literal["none", "white"] = "none"
    """white paints over everything outside the outline."""
    classes: tuple[str, ...] = ()
    """Classes whose objects are cut out. Left out: all."""
    unclassified: bool = False
    """Also cut out objects without a class. A model can call them (studies.evaluate), but not be trained on them."""
    case_pattern: str = "auto"
    """How the case is found in a slide's name: auto, a regular expression with (?P<case>...), or none, which makes
    every slide its own case."""

    def check(self):
        """Refuse values that no crop can have.

        Raises
        ------
        InputError
            Names the option, and what is allowed.
        """
        if self.mpp is not None and not 0 < self.mpp < 100:
            raise InputError(f"--mpp is {self.mpp:g}: microns per pixel, such as 0.5")
        if not 0 <= self.margin <= 10:
            raise InputError(f"--margin is {self.margin:g}: a share of the longer side, 0 to 10")


def main(arguments):
    """Cut out the objects that the command line names.

    Returns
    -------
    int
        Exit status: 0 done, 1 some objects have no crop.
    """
    options = parse_options(Options, arguments, "python -m studies.crops")
    options.check()

    from pathlib import Path

    from glomfeat.core.locks import alone_in
    from glomfeat.data.slides.crops import cases_of, make_crops, pair_up
    from glomfeat.data.slides.read import Cut

    console, out = open_console(), Path(options.out).expanduser()
    pairs, alone = pair_up(options.slides, options.annotations)
    cases = cases_of([slide for slide, *_ in pairs], options.case_pattern)
    cut = Cut(options.mpp, options.margin, options.mask)
    with alone_in(out, "--out"):
        write_options(asdict(options), out)
        made, bad = make_crops(pairs, alone, cases, cut, options.classes, out, options.unclassified)
    console.out(f"{out / 'manifest.csv'}: {made} crops of {len(pairs)} slides of {len(set(cases.values()))} cases")
    if bad:
        console.out(f"{out / 'quarantine.csv'}: {bad} annotations without a crop, with the reasons")
    return INCOMPLETE if bad or not made else DONE


if __name__ == "__main__":
    run_main(main)
