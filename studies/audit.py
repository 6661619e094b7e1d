"""What could be wrong with a data set: files, classes, cases, copies and shortcuts, as coded findings."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import tyro

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main, write_options


@dataclass(frozen=True)
class Options:
    """Look at everything that could be wrong with a data set, before it is learned from.

    Nothing stops at the first problem. Exit status: 0 nothing severe, 1 severe findings, 2 bad usage or no data.
    """

    data: Annotated[str | None, tyro.conf.Positional] = None
    """A folder, zip or tar with a sub-folder per class or a CSV of labels, a CSV, or a feature table (file:PATH).
    Left out: the built-in phantom."""
    labels: str | None = None
    """CSV of labels (name,ground truth); found in DATA if it lies there."""
    positive: str | None = None
    """Name of the positive class; else globally_sclerotic..., else 1, else the last in order."""
    groups: str = "auto"
    """Where the case comes from: auto, none, a column of the CSV, or a regular expression with (?P<case>...)."""
    layout: str | None = None
    """What the folders above images are, from above: class, case, slide, split, site or ignore, then image, such as
    class/case/image. Left out: what their names tell."""
    name_column: str | None = None
    """The column of a table that names images or objects; found by its header if left out."""
    label_column: str | None = None
    """The column of a table that holds the classes; found by its header if left out."""
    columns: tuple[str, ...] = ()
    """Columns of a feature table that describe, by name or pattern; all numbers that are no row numbers, ids, places,
    sites or splits if left out."""
    drop: tuple[str, ...] = ()
    """Columns of a feature table that do not describe, by name or pattern."""
    size: int | None = None
    """Side of the square that images are brought to, in pixels; 224 if left out, of a pretrained embedding what its
    weights' configuration says."""
    padding: Literal["white", "zero", "edge", "reflect"] = "white"
    """What fills the square."""
    icc: Literal["srgb", "keep"] = "srgb"
    """Colours of images with an embedded ICC profile are brought to sRGB, or kept as the numbers in the file."""
    embedding: str | None = None
    """A feature by which further candidates of near-duplicates are found, such as classical or squeezenet1_1."""
    features: tuple[str, ...] = ()
    """Features such as classical, squeezenet1_1 or file:PATH by which it is asked how well sites can be told, beside
    size and colour."""
    sites: tuple[str, ...] = ()
    """Columns of the table of labels that name sites; those called site, centre, hospital, scanner, stain or the like
    if left out."""
    weights: str | None = None
    """Of the embedding and the features that are networks: imagenet (if left out), auto, none, or a folder or file."""
    folds: int = 5
    """Folds that pairs are torn apart by and that the shortcut probe uses."""
    seed: int = 0
    """Root of every seed."""
    memory: str | None = None
    """Budget such as 4GB; 80 % of what the process may use if left out."""
    jobs: int | None = None
    """Images, or pairs, that are worked on at once; as many as there are cores if left out."""
    device: str = "auto"
    """auto, cpu, cuda, cuda:1, mps; of the embedding."""
    out: str = "runs/audit"
    """Output folder: audit.html, audit.txt, audit.json, files.csv, pairs.csv, pairs.png, sites.csv, study.yaml; earlier
    ones are replaced."""
    cache: str | None = None
    """Folder of the feature cache; the user's cache folder if left out."""
    show_names: bool = False
    """Show the real names of cases instead of pseudonyms, and in audit.html those of files."""

    @property
    def asked(self):
        """What is said of the columns of tables, as `glomfeat.data.tables.columns.Asked`."""
        from glomfeat.data.tables.columns import Asked

        return Asked(self.name_column or "", self.label_column or "", self.columns, self.drop, (self.groups,))

    def check(self):
        """Refuse values that no audit can have.

        Raises
        ------
        InputError
            Which option, and what is allowed.
        """
        for name, least in (("size", 32), ("folds", 2), ("jobs", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"--{name} is {value}: at least {least}")


def main(arguments):
    """Audit the data set that the command line describes.

    Returns
    -------
    int
        Exit status: 0, or 1 with severe findings.
    """
    options = parse_options(Options, arguments, "python -m studies.audit")
    options.check()

    from dataclasses import replace
    from pathlib import Path

    import joblib

    from glomfeat.checks.data.run import audit
    from glomfeat.checks.data.write import as_text, write_audit
    from glomfeat.comparison.budget import free_bytes
    from glomfeat.core.cache import cache_folder
    from glomfeat.core.cache_listing import in_use
    from glomfeat.core.locks import alone_in
    from glomfeat.core.memory import PeakMemory, budget_bytes, format_bytes, tree_bytes
    from glomfeat.data.phantom import built_in
    from glomfeat.report.audit_page import write_audit_page

    console, cache, budget = open_console(), cache_folder(options.cache), budget_bytes(options.memory)
    jobs = options.jobs or joblib.cpu_count(only_physical_cores=False)
    settings = asdict(options)
    if options.data is None:
        options = replace(options, data=str(built_in(cache, jobs, console.out)))
    out = Path(options.out).expanduser()
    with alone_in(out, "--out"):
        with in_use(cache), PeakMemory(tree_bytes, every_s=1.0) as memory:
            audited = audit(options, cache, jobs, free_bytes(budget, torch=bool(options.embedding or options.features)))
        write_options(settings, out)
        written = [*write_audit(audited, out), write_audit_page(audited, out, options.show_names)]
    console.out(as_text(audited), end="")
    peak = format_bytes(memory.peak_bytes)
    console.out(f"memory: all processes together held at most {peak}; the budget is {format_bytes(budget)}")
    console.out(f"written to {out}: {', '.join(written)}")
    return INCOMPLETE if any(finding.severity == "severe" for finding in audited.findings) else DONE


if __name__ == "__main__":
    run_main(main)
