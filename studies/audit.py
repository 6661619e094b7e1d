"""Checks of a data set: files, classes, cases, copies and shortcuts, as coded findings."""

from dataclasses import asdict, dataclass
from typing import Annotated, Literal

import tyro

from studies._cli import DONE, INCOMPLETE, ReadsTables, at_least, open_console, parse_options, run_main


@dataclass(frozen=True)
class Options(ReadsTables):
    """Look for everything that could be wrong with a data set, before anything is trained on it.

    Nothing stops at the first problem. Exit status: 0 nothing severe, 1 severe findings, 2 bad usage or no data.
    """

    data: Annotated[str | None, tyro.conf.Positional] = None
    labels: str | None = None
    """Table of labels (name,ground truth; CSV, Excel or parquet). A CSV or workbook in DATA is found anyway."""
    positive: str | None = None
    groups: str = "auto"
    layout: str | None = None
    name_column: str | None = None
    label_column: str | None = None
    columns: tuple[str, ...] = ()
    """Columns of a feature table to use as features, by name or pattern. Default: all numbers except row numbers, ids,
    places, sites and splits."""
    drop: tuple[str, ...] = ()
    """Columns of a feature table not to use as features, by name or pattern."""
    size: int | None = None
    """Side in pixels of the square to which images are resized. Default: 224, or for a pretrained embedding the size
    that its weights were made for."""
    padding: Literal["white", "zero", "edge", "reflect"] = "white"
    icc: Literal["srgb", "keep"] = "srgb"
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
    memory: str | None = None
    jobs: int | None = None
    """How many images, or pairs, to work on at once. Default: one for each core."""
    device: str = "auto"
    """The device that computes the embedding: auto, cpu, cuda, cuda:1, mps."""
    out: str = "runs/audit"
    """Output folder for audit.html, audit.txt, audit.json, files.csv, pairs.csv, pairs.png, sites.csv, study.yaml.
    Earlier ones are replaced."""
    cache: str | None = None
    show_names: bool = False
    """Show the real names of cases instead of pseudonyms, and the names of files in audit.html."""

    def check(self):
        """Refuse values that no audit can have."""
        at_least(self, size=32, folds=2, jobs=1)


def main(arguments):
    """Audit the data set that the command line names. Exit status: 0, or 1 with severe findings."""
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
