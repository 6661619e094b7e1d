"""Everything that the report's figures and sections need, read once."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path

import pandas as pd
from PIL import Image

from glomfeat.checks.data.write import read_audit
from glomfeat.core.csvs import read_csv
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.thumbnails import data_folder, small_uri
from glomfeat.results.calls import Calls, read_calls
from glomfeat.results.cases import agreement_table
from glomfeat.results.curves import scored
from glomfeat.results.external import read_external
from glomfeat.results.finished import Finished
from glomfeat.results.leak_price import read_leak_price
from glomfeat.results.load import Loaded, load_run
from glomfeat.results.nearest import Nearest, read_nearest
from glomfeat.results.reference import Reference
from glomfeat.results.subgroup_words import read_subgroups
from glomfeat.results.tables import curves_table, finished_first, own_columns, read_written, with_figure
from glomfeat.results.unfinished import UNFINISHED

AT_LEAST = 3


@dataclass(frozen=True)
class Content:
    """Everything that figures and sections need to know about a run.

    Attributes
    ----------
    loaded : glomfeat.results.load.Loaded
    results, comparisons, trials, cases, agreement, curves : pandas.DataFrame
        From `results_table`, `comparisons_table`, `trials_table`, `cases_table`, `agreement_table` and `curves_table`.
    pairs, best_of_many, next_study : pandas.DataFrame
        From `pairs_table`, `best_of_many_table` and `next_study_table`.
    reference : glomfeat.results.reference.Reference or None
        What every arm is compared with, if a reference was named.
    against_reference : pandas.DataFrame or None
        From `reference_table`; None if no reference was named.
    sites : pandas.DataFrame or None
        From `sites_table`; None if no values were left out.
    names : dict of str to str
        From `glomfeat.report.arm_names.plain_arms`.
    shown : list of str
        From `shown_arms`.
    scored : dict of str to list of Part
        From `glomfeat.results.curves.scored`, for each of the shown arms.
    reliability : pandas.DataFrame
        From `reliability_table`.
    tables : glomfeat.results.finished.Finished
        The run's other tables, each made when it is asked for.
    calls : glomfeat.results.calls.Calls
    nearest : glomfeat.results.nearest.Nearest
    leak_price, importance, learning_curve, robustness, subgroups, external : pandas.DataFrame or None
        From the files with these names; None if there is no such file.
    case_level, ordinal, readers, reader_pairs, joined, joined_pairs : pandas.DataFrame or None
        From the files with these names; None if there is no such file.
    external_predictions : pandas.DataFrame or None
        From the file with this name; None if there is no such file.
    audit : dict or None
        From `glomfeat.checks.data.write.read_audit`; None if there is no audit.
    images : Path or None
        From `glomfeat.report.thumbnails.data_folder`.
    show_names : bool
        Show real names of images instead of pseudonyms of their cases.
    chosen : bool
        Whether the shown arms were chosen by name.
    small : callable
        `glomfeat.report.thumbnails.small_uri`, cached, so that an image that is shown several times is read once.
    """

    loaded: Loaded
    results: pd.DataFrame
    comparisons: pd.DataFrame
    pairs: pd.DataFrame
    best_of_many: pd.DataFrame
    reference: Reference | None
    against_reference: pd.DataFrame | None
    next_study: pd.DataFrame
    trials: pd.DataFrame
    cases: pd.DataFrame
    agreement: pd.DataFrame
    sites: pd.DataFrame | None
    curves: pd.DataFrame
    names: dict
    shown: list
    scored: dict
    reliability: pd.DataFrame
    tables: Finished
    calls: Calls
    nearest: Nearest
    leak_price: pd.DataFrame | None
    importance: pd.DataFrame | None
    learning_curve: pd.DataFrame | None
    robustness: pd.DataFrame | None
    subgroups: pd.DataFrame | None
    external: pd.DataFrame | None
    case_level: pd.DataFrame | None
    ordinal: pd.DataFrame | None
    readers: pd.DataFrame | None
    reader_pairs: pd.DataFrame | None
    joined: pd.DataFrame | None
    joined_pairs: pd.DataFrame | None
    external_predictions: pd.DataFrame | None
    audit: dict | None
    images: Path | None
    show_names: bool = False
    chosen: bool = False
    small: Callable = field(default_factory=lambda: cache(small_uri))

    @property
    def run(self):
        """The run that was loaded."""
        return self.loaded.run

    @property
    def unfinished(self):
        """What to say of each arm whose trials are not all done, by its name."""
        return dict.fromkeys(self.results.loc[self.results["status"] != "done", "arm"], UNFINISHED)

    def first(self, most):
        """List the first `most` of the shown arms, or all of them if they were chosen by name."""
        return self.shown if self.chosen else self.shown[:most]

    def of_arms(self, arms):
        """Copy the content with the figures of some arms only.

        Parameters
        ----------
        arms : list of str
        """
        results = self.results[self.results["arm"].isin(arms)]
        return replace(
            self, results=results, shown=arms, scored={arm: scored(self.run, arm) for arm in arms}, chosen=True
        )


def read_content(out, show_names=False, data=None, audit=None, results=None, finished=None):
    """Read an output folder for its report.

    The parameters are those of `glomfeat.report.write.write_report`.

    Returns
    -------
    Content
    """
    loaded = load_run(out)
    run, out = loaded.run, loaded.out
    tables = finished or Finished(
        **run.given(),
        reference=Reference.of(loaded.journal),
        prevalences=tuple(map(float, loaded.study.get("prevalence", ()))),
    )
    if results is None:
        results = tables.results if finished else _with_own(tables.results, loaded.find("results.csv"))
    shown = shown_arms(results)
    return Content(
        loaded=loaded,
        results=results,
        comparisons=tables.comparisons,
        pairs=tables.pairs,
        best_of_many=tables.best_of_many,
        reference=tables.reference,
        against_reference=tables.against_reference if tables.reference else None,
        next_study=tables.next_study,
        trials=tables.own_trials,
        cases=tables.cases,
        agreement=agreement_table(run),
        sites=tables.sites if run.left_out else None,
        curves=curves_table(run),
        names=plain_arms(results["arm"]),
        shown=shown,
        scored={arm: scored(run, arm) for arm in shown},
        reliability=tables.reliability,
        tables=tables,
        calls=tables.calls if finished else read_calls(run, results),
        nearest=read_nearest(loaded.find("neighbours.csv"), finished_first(results)["arm"], run.manifest),
        leak_price=read_leak_price(out) if loaded.find("leak_price.csv") else None,
        importance=_read(loaded.find("importance.csv"), dtype={"group": str}, keep_default_na=False),
        learning_curve=_read(loaded.find("learning_curve.csv")),
        robustness=_read(loaded.find("robustness.csv")),
        subgroups=read_subgroups(loaded.find("subgroups.csv")),
        external=read_external(loaded.find("external.csv")),
        case_level=_read(loaded.find("case_level.csv")),
        ordinal=read_written(loaded.find("ordinal.csv"), ("order",)),
        readers=read_written(loaded.find("readers.csv"), ("reader", "note")),
        reader_pairs=read_written(loaded.find("reader_pairs.csv"), ("reader", "other", "note")),
        joined=read_written(loaded.find("joined.csv"), ("column", "kind", "class", "value")),
        joined_pairs=read_written(loaded.find("joined_pairs.csv"), ("arm", "other", "adds")),
        external_predictions=pd.read_parquet(path) if (path := loaded.find("external_predictions.parquet")) else None,
        audit=_read_audit(Path(audit).expanduser() if audit else out / "audit", loaded.missing),
        images=None if loaded.about["table"] and data is None else data_folder(loaded.study, data),
        show_names=show_names,
    )


def shown_arms(results, most=5):
    """List the best arm of each feature and each network, the best one first: the arms that figures show in full.

    If there are fewer than three, the next best arms are added.

    Parameters
    ----------
    results : pandas.DataFrame
        From `glomfeat.results.tables.results_table`.
    most : int

    Returns
    -------
    list of str
    """
    known = with_figure(finished_first(results))
    source = known["feature"].where(known["kind"] == "features", known["arm"])
    first = ~source.duplicated()
    chosen = [*known.loc[first, "arm"].head(most), *known.loc[~first, "arm"].head(max(0, AT_LEAST - first.sum()))][
        :most
    ]
    return [arm for arm in known["arm"] if arm in chosen]


def _with_own(results, path):
    """Add the user's own metrics to the results as they were written, since a report runs no function of the user's."""
    if path is None:
        return results
    written = read_csv(path).set_index("arm")
    return results.assign(**{name: results["arm"].map(written[name]) for name in own_columns(written)})


def _read(path, **how):
    return None if path is None else read_csv(path, **how)


def _read_audit(folder, missing):
    again = f"(python -m studies.audit with --out {folder} makes it anew)"
    try:
        found = read_audit(folder)
    except FileNotFoundError:
        return None
    except ValueError:
        missing["audit.json"] = f"is damaged {again}"
        return None
    if found["sheet"]:
        try:
            with Image.open(found["sheet"]) as sheet:
                sheet.load()
        except (OSError, SyntaxError):  # Pillow raises SyntaxError for a truncated PNG
            missing["pairs.png"] = f"is damaged {again}"
            return found | {"sheet": None}
    return found
