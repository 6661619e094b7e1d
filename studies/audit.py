"""Checks of a data set: files, classes, cases, copies and shortcuts, as coded findings."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import tyro

from glomfeat.core.errors import InputError
from studies._cli import DONE, INCOMPLETE, open_console, parse_options, run_main


@dataclass(frozen=True)
class Options:
    """Look for everything that could be wrong with a data set, before anything is trained on it.

    Nothing stops at the first problem. Exit status: 0 nothing severe, 1 severe findings, 2 bad usage or no data.
    """

    data: Annotated[str | None, tyro.conf.Positional] = None
    """A folder, zip or tar with a sub-folder for each class or with a CSV of labels; a CSV; or a feature table
    (file:PATH). Default: the built-in phantom."""
    labels: str | None = None
    """CSV of labels (name,ground truth). A CSV inside DATA is found without this option."""
    positive: str | None = None
    """Name of the positive class. Default: globally_sclerotic..., or else 1, or else the last class in order."""
    groups: str = "auto"
    """Where the case comes from: auto, none, a column of the CSV, or a regular expression with (?P<case>...)."""
    layout: str | None = None
    """What each level of folders means, from the top: class, case, slide, split, site or ignore, and image at the end,
    such as class/case/image. Default: read from the names of the folders."""
    name_column: str | None = None
    """The column of a table that names images or objects. Default: found by its header."""
    label_column: str | None = None
    """The column of a table that holds the classes. Default: found by its header."""
    columns: tuple[str, ...] = ()
    """Columns of a feature table to use as features, by name or pattern. Default: all numbers except row numbers, ids,
    places, sites and splits."""
    drop: tuple[str, ...] = ()
    """Columns of a feature table not to use as features, by name or pattern."""
    size: int | None = None
    """Side in pixels of the square to which images are resized. Default: 224, or for a pretrained embedding the size
    that its weights were made for."""
    padding: Literal["white", "zero", "edge", "reflect"] = "white"
    """What fills the square around an image."""
    icc: Literal["srgb", "keep"] = "srgb"
    """Whether images with an embedded ICC profile are converted to sRGB, or keep the numbers in the file."""
    embedding: str | None = None
    """A feature, such as classical or squeezenet1_1, that helps to find more near-duplicates."""
    features: tuple[str, ...] = ()
    """Features, such as classical, squeezenet1_1 or file:PATH. The audit tests how well they tell sites apart, as it
    does for size and colour."""
    sites: tuple[str, ...] = ()
    """Columns of the table of labels that name sites. Default: those called site, centre, hospital, scanner, stain or
    similar."""
    weights: str | None = None
    """Weights of networks: imagenet, auto, none, or a folder or file. Default: imagenet."""
    folds: int = 5
    """Number of folds, for the test of shortcuts and for counting pairs that folds by image would separate."""
    seed: int = 0
    """The seed that all others are derived from."""
    memory: str | None = None
    """Memory for all processes together, such as 4GB. Default: 80 % of what the process may use."""
    jobs: int | None = None
    """How many images, or pairs, to work on at once. Default: one for each core."""
    device: str = "auto"
    """The device that computes the embedding: auto, cpu, cuda, cuda:1, mps."""
    out: str = "runs/audit"
    """Output folder for audit.html, audit.txt, audit.json, files.csv, pairs.csv, pairs.png, sites.csv, study.yaml.
    Earlier ones are replaced."""
    cache: str | None = None
    """Folder of the feature cache. Default: your user's cache folder."""
    show_names: bool = False
    """Show the real names of cases instead of pseudonyms, and the names of files in audit.html."""

    @property
    def asked(self):
        """The user's choices about columns of tables, as `glomfeat.data.tables.columns.Asked`."""
        from glomfeat.comparison.option_checks import name_tables
        from glomfeat.data.tables.columns import Asked

        words = self.name_column or "", self.label_column or "", self.columns, self.drop
        return Asked(*words, groups=self.groups, others=name_tables(self.features))

    def check(self):
        """Refuse values that no audit can have.

        Raises
        ------
        InputError
            Names the option, and what is allowed.
        """
        for name, least in (("size", 32), ("folds", 2), ("jobs", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise InputError(f"--{name} is {value}: at least {least}")


def main(arguments):
    """Audit the data set that the command line names.

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
    from glomfeat.core.settings import write_settings
    from glomfeat.data.phantom import NOTICE, built_in
    from glomfeat.report.audit_page import write_audit_page

    console, cache, budget = open_console(), cache_folder(options.cache), budget_bytes(options.memory)
    jobs = options.jobs or joblib.cpu_count(only_physical_cores=False)
    settings = asdict(options)
    if options.data is None:
        console.out(NOTICE)
        options = replace(options, data=str(built_in(cache, jobs)))
    out = Path(options.out).expanduser()
    with alone_in(out, "--out"):
        with in_use(cache), PeakMemory(tree_bytes, every_s=1.0) as memory:
            audited = audit(options, cache, jobs, free_bytes(budget, torch=bool(options.embedding or options.features)))
        write_settings(settings, out / "study.yaml")
        written = [*write_audit(audited, out), write_audit_page(audited, out, options.show_names)]
    console.out(as_text(audited), end="")
    peak = format_bytes(memory.peak_bytes)
    console.out(f"memory: all processes together held at most {peak}; the budget is {format_bytes(budget)}")
    console.out(f"written to {out}: {', '.join(written)}")
    return INCOMPLETE if any(finding.severity == "severe" for finding in audited.findings) else DONE


if __name__ == "__main__":
    run_main(main)
