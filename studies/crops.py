"""Cut crops of annotated glomeruli out of whole-slide images, and write the table that studies read."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import tyro

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main


@dataclass(frozen=True)
class Options:
    """Cut objects that are outlined in QuPath out of whole slides, as PNGs and a manifest.csv that studies read.

    Crops that are newer than the file of their slide are kept. Objects that cannot be cut out are listed in
    quarantine.csv, and the exit status is then 1.
    """

    slides: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="SLIDES")]
    """A slide, or a folder of slides."""
    annotations: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="ANNOTATIONS")]
    """A GeoJSON file as QuPath exports it, or a folder of them. Each has the name of its slide."""
    out: str = "crops"
    """Output folder. It gets a folder of crops for each slide, manifest.csv, quarantine.csv, study.yaml, and copies of
    the annotations, into which studies.evaluate --geojson writes calls."""
    mpp: float | None = None
    """Microns per pixel of the crops. Default: the full resolution of each slide."""
    margin: float = 0.1
    """Margin around the bounding box of an outline, as a share of its longer side."""
    mask: Literal["none", "white"] = "none"
    """Whether to paint everything outside the outline white."""
    classes: tuple[str, ...] = ()
    """Classes whose objects are cut out. Default: all."""
    unclassified: bool = False
    """Also cut out objects without a class. A model can call them (studies.evaluate), but not be trained on them."""
    case_pattern: str = "auto"
    """How the case is found in a slide's name: auto, a regular expression with (?P<case>...), or none, which makes
    every slide its own case."""

    def check(self):
        """Refuse values that no crop can have."""
        if self.mpp is not None and not 0 < self.mpp < 100:
            raise InputError(f"--mpp is {self.mpp:g}: microns per pixel, such as 0.5")
        if not 0 <= self.margin <= 10:
            raise InputError(f"--margin is {self.margin:g}: a share of the longer side, 0 to 10")


def main(arguments):
    """Cut out the objects that the command line names. Exit status: 0 done, 1 some objects have no crop."""
    options = parse_options(Options, arguments, "python -m studies.crops")
    options.check()

    from pathlib import Path

    import pandas as pd

    from glomfeat.core.locks import alone_in
    from glomfeat.core.settings import write_settings
    from glomfeat.data.slides.crops import cases_of, make_crops, pair_up
    from glomfeat.data.slides.read import Cut

    console, out = open_console(), Path(options.out).expanduser()
    pairs, alone = pair_up(options.slides, options.annotations)
    cases = cases_of([slide for slide, *_ in pairs], options.case_pattern)
    cut = Cut(options.mpp, options.margin, options.mask)
    with alone_in(out, "--out"):
        write_settings(asdict(options), out / "study.yaml")
        made, bad = make_crops(pairs, alone, cases, cut, options.classes, out, options.unclassified)
    console.out(f"{out / 'manifest.csv'}: {made} crops of {len(pairs)} slides of {len(set(cases.values()))} cases")
    named = {*pd.read_csv(out / "manifest.csv", dtype=str)["path"]}
    if others := sum(path.relative_to(out).as_posix() not in named for path in out.glob("*/*.png")):
        console.out(f"other PNGs in {out}: {others}; name {out / 'manifest.csv'} as DATA, to leave them out")
    if bad:
        console.out(f"{out / 'quarantine.csv'}: {bad} annotations without a crop, with the reasons")
    return INCOMPLETE if bad or not made else DONE


if __name__ == "__main__":
    run_main(main)
