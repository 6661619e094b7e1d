"""How many cases a study needs, without data: for limits of a given width, or to detect a difference of two arms."""

from dataclasses import dataclass

from glomfeat.core.errors import InputError
from studies._cli import DONE, open_console, parse_options, run_main


@dataclass(frozen=True)
class SampleSize:
    """Plan a study: how many cases limits of a given width need, or a given difference in AUROC between two arms.

    Images of a case are alike, so more images of the same cases help little. The formulas are for two classes and
    normal scores (Hanley & McNeil 1982; Obuchowski 1997; Obuchowski & McClish 1997); see statistics.md. If you have run
    a study already, next_study.csv in its folder says what its scores are like.
    """

    auroc: float = 0.9
    """The expected AUROC of the better arm."""
    images: tuple[int, ...] = (20,)
    """Images in each case: one number, or several that are equally frequent, such as 5 10 20 80."""
    prevalence: float = 0.2
    """Share of the positive class."""
    icc: tuple[float, ...] = (0.0, 0.1, 0.2, 0.4)
    """How alike the scores of two images of one case and class are, from 0 to 1. Each value is a row of the table."""
    icc_across: float = 0.0
    """The same for two images of one case but of different classes. 0 is cautious, unless a pilot shows that it is
    below 0. No further from 0 than the smallest --icc."""
    label_icc: float = 0.0
    """How alike the labels in one case are: 0 if they are independent, 1 if each case has only one class."""
    width: float = 0.1
    """The width that the 95 % limits of the AUROC may have."""
    difference: float = 0.05
    """The difference in AUROC that the study should detect."""
    correlation: float = 0.5
    """Correlation between the scores of the two arms, for the same images and within a class."""
    power: float = 0.8
    """How often the study should detect that difference (power), at 5 % two-sided."""
    cases: int | None = None
    """Also say what this number of cases would reach."""

    def check(self):
        """Refuse numbers that make no sense."""
        for name in ("auroc", "prevalence", "width", "difference", "power"):
            _inside(name, getattr(self, name), 0 < getattr(self, name) < 1, "between 0 and 1, without these")
        _inside("auroc", self.auroc, self.auroc > 0.5, "above 0.5, because lower ones are below chance")
        far = self.auroc - 0.5
        _inside("difference", self.difference, self.difference < far, f"below {far:g}: the other arm is above chance")
        for value in self.icc or (None,):
            _inside("icc", value, value is not None and 0 <= value <= 1, "from 0 to 1")
        most = min(self.icc)
        _inside("label-icc", self.label_icc, 0 <= self.label_icc <= 1, "from 0 to 1")
        allowed = f"no further from 0 than the smallest --icc, {most:g}"
        _inside("icc-across", self.icc_across, abs(self.icc_across) <= most, allowed)
        _inside("correlation", self.correlation, 0 <= self.correlation < 1, "from 0 to below 1")
        for value in self.images or (None,):
            _inside("images", value, value is not None and value >= 1, "1 or more")
        _inside("cases", self.cases, self.cases is None or self.cases >= 2, "2 or more")


def _inside(name, value, holds, allowed):
    if not holds:
        raise InputError(f"--{name} is {value}: give a number {allowed}")


def plan(options):
    """Find out what cases are worth, and how many are needed, for each ICC.

    Returns
    -------
    list of dict
        ``icc``, ``design_effect`` of the AUROC, ``kish`` (1 + (m - 1) ICC, where m is the mean number of images,
        weighted by itself: Kish 1965), ``cases_width`` and ``cases_difference`` (None above ten million), and ``width``
        and ``difference``, which the given ``--cases`` would reach (None if not given, NaN if fewer than two of them
        would hold one of the classes).

    Examples
    --------
    >>> found = plan(SampleSize(images=(1,), icc=(0.0,)))[0]
    >>> found["design_effect"], found["cases_width"] > 100
    (1.0, True)
    """
    from functools import partial

    import numpy as np

    from glomfeat.metrics.planning import covariance_parts, detectable, fewest_cases, sizes_of, spread_of, width

    sizes, best, found = sizes_of(options.images, options.prevalence, options.label_icc), options.auroc, []
    other, m = best - options.difference, np.asarray(options.images, float)
    for icc in options.icc:
        alike = icc, options.icc_across
        own, its = (covariance_parts(area, area, sizes, *alike) for area in (best, other))
        both = covariance_parts(best, other, sizes, *alike, options.correlation)
        wide = partial(width, best, spread_of(own, sizes.holders))
        shows = partial(detectable, spread_of(own + its - 2 * both, sizes.holders), power=options.power)
        found.append(
            {
                "icc": icc,
                "design_effect": float(own.mean() / covariance_parts(best, best, sizes).mean()),
                "kish": float(1 + ((m**2).sum() / m.sum() - 1) * icc),
                "cases_width": fewest_cases(wide, options.width),
                "cases_difference": fewest_cases(shows, options.difference),
                "width": wide(options.cases) if options.cases else None,
                "difference": shows(options.cases) if options.cases else None,
            }
        )
    return found


def _to_lines(options, rows):
    """Format the table as text."""
    mean = sum(options.images) / len(options.images)
    heads = ["ICC", "design effect", "Kish's", f"cases for limits {options.width:g} wide"]
    heads.append(f"cases for a difference of {options.difference:g}")
    if options.cases:
        heads += [f"limits of {options.cases:,} cases", f"difference that {options.cases:,} cases show"]
    table = [heads]
    for row in rows:
        cells = [f"{row['icc']:g}", f"{row['design_effect']:.2f}", f"{row['kish']:.2f}"]
        cells += [_cases(row[name], mean) for name in ("cases_width", "cases_difference")]
        table.append(cells + [_reached(row[name]) for name in ("width", "difference") if options.cases])
    wide = [max(map(len, column)) for column in zip(*table, strict=True)]
    images = " ".join(map(str, options.images))
    return [
        f"AUROC {options.auroc:g}; {images} images a case, {100 * options.prevalence:g} % positive; power "
        f"{100 * options.power:g} % at 5 % two-sided; scores of both arms correlated by {options.correlation:g}",
        *("  ".join(cell.rjust(size) for cell, size in zip(cells, wide, strict=True)) for cells in table),
    ]


def _cases(number, mean):
    return "over 10,000,000" if number is None else f"{number:,} ({number * mean:,.0f} images)"


def _reached(value):
    return f"{value:.3f}" if value == value else "none (one case holds a class)"


def main(arguments):
    """Print the table that the command line asks for. Exit status: 0."""
    options = parse_options(SampleSize, arguments, "python -m studies.samplesize")
    options.check()
    console = open_console()
    for line in _to_lines(options, plan(options)):
        console.out(line)
    return DONE


if __name__ == "__main__":
    run_main(main)
