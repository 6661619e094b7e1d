"""What a bundle says about new images, in sentences: the answer, and what a reader must know before any figure."""

from dataclasses import dataclass

import numpy as np
import pandas as pd

from glomfeat.bundle.against_labels import Judged
from glomfeat.bundle.model import UNLIKE
from glomfeat.core.words import capital, joined
from glomfeat.data.cases import IMAGE_LEVEL
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.opening import relabelled
from glomfeat.results.external import alike_in_words
from glomfeat.results.words import between, count, figure, plain_class

NO_FIGURES = "no figures: "  # begins a note that says why labels are not used


@dataclass(frozen=True)
class Evaluation:
    """What a bundle says about some images or rows.

    Attributes
    ----------
    about : dict
        Description of the bundle.
    predicted : pandas.DataFrame
        Contents of evaluation.csv.
    judged : glomfeat.bundle.against_labels.Judged or None
        Comparison with the labels; None if there are none.
    cases : pandas.DataFrame or None
        From `glomfeat.bundle.in_cases.in_cases`.
    seen, alike : int
        How many of them the model was trained on, and how many of their cases are named like cases that it was.
    unit : str
        ``files`` of images, or ``rows`` of a table.
    notes : tuple of str
        Lines on how they were read.
    show_names : bool
        Whether cases and slides are shown with their real names.
    """

    about: dict
    predicted: pd.DataFrame
    judged: Judged | None
    cases: pd.DataFrame | None
    seen: int = 0
    unit: str = "files"
    notes: tuple = ()
    show_names: bool = False
    alike: int = 0

    @property
    def arm(self):
        """The arm's name."""
        return self.about["arm"]

    @property
    def name(self):
        """The arm's name in prose."""
        return plain_arms([self.arm])[self.arm]

    @property
    def of(self):
        """What the bundle classifies, in the plural: rows or images."""
        return "rows" if self.unit == "rows" else "images"

    @property
    def told(self):
        """The rows of `predicted` that have a prediction."""
        return self.predicted[self.predicted["prediction"].notna()]

    @property
    def figures(self):
        """Figures against the labels; equal limits are left out, since they do not mean certainty."""
        found = self.judged.figures
        return found.assign(**{end: found[end].where(found["low"] != found["high"]) for end in ("low", "high")})


def in_short(evaluation):
    """Describe the data and the bundle in one line."""
    told, classes = evaluation.told, evaluation.about["classes"]
    held = told["prediction"].astype(int).value_counts()
    parts = ", ".join(f"{held.get(code, 0):,} called {plain_class(name)}" for code, name in enumerate(classes))
    trained = evaluation.about["trained_on"]
    of = f"{len(evaluation.predicted):,} {evaluation.unit}: {parts}" if len(told) else "no prediction"
    by_case = "" if trained["split"] == IMAGE_LEVEL else f" of {len(trained['cases']):,} cases"
    return f"{of}; {evaluation.arm}, trained on {trained['images']:,} {evaluation.of}{by_case}"


def answer(evaluation):
    """Say in a few sentences what the bundle predicts, and how often it is right.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    list of str
    """
    judged, classes = evaluation.judged, evaluation.about["classes"]
    if judged is None:
        told = evaluation.told
        called = int((told["prediction"] == len(classes) - 1).sum())
        share = f" ({100 * called / len(told):.1f} %)" if len(told) else ""
        refused = next((note for note in evaluation.notes if note.startswith(NO_FIGURES)), "")
        return [
            f"{evaluation.name} calls {called:,} of {len(told):,} {evaluation.of} {plain_class(classes[-1])}{share}. "
            + (f"{capital(refused)}." if refused else "No labels say whether these calls are right.")
        ]
    where = f" of {count(judged.cases, 'case')}" if judged.by_case else ""
    return [_ranked(evaluation, f"{judged.images:,} {evaluation.of}{where}"), _decided(evaluation)]


def _ranked(evaluation, on):
    """Say how well scores rank, compared with what the bundle's own study found."""
    found, classes = evaluation.judged.beside, [plain_class(name) for name in evaluation.about["classes"]]
    if not np.isfinite(found["auroc"]):
        return (
            f"Of the {on} with a label, {'all are of one class' if len(classes) == 2 else 'none is of some classes'}, "
            "so that nothing says how well scores tell classes apart."
        )
    of = f"{classes[-1]} from {classes[0]}" if len(classes) == 2 else f"{joined(classes)} apart"
    said = f"On {on}, {evaluation.name} tells {of} with an AUROC of {_limited(found, 'auroc')}"
    if evaluation.seen or not np.isfinite(found["internal_auroc"]):  # images from the training are not new ones
        return f"{said}."
    home = f"On the test folds of its own study it was {_limited(found, 'internal_auroc')}"
    low, high = found["difference_lo"], found["difference_hi"]
    how = "lower here by more than chance" if high < 0 else "higher here by more than chance" if low > 0 else ""
    told = f": it is {how}" if how else "; the two cannot be told apart" if np.isfinite(low) else ""
    return f"{said}. {home}{told}."


def _limited(row, name):
    return f"{figure(row[name])} ({between(row[f'{name}_lo'], row[f'{name}_hi'])})"


def _decided(evaluation):
    """Say what its calls get right and wrong."""
    counts, classes = evaluation.judged.confusion, [plain_class(name) for name in evaluation.about["classes"]]
    values = evaluation.figures.set_index("figure")
    if len(classes) > 2:
        row = values.loc["accuracy"]
        right = f"{counts.trace():,} of {counts.sum():,} {evaluation.of}"
        return f"It calls {right} right ({figure(row['value'])}, {between(row['low'], row['high'])})."
    parts = []
    for code, name, does in (
        (1, "sensitivity", "finds {} of {} {}"),
        (0, "specificity", "falsely calls {} of {} {} so"),
    ):
        row, there = values.loc[name], counts[code].sum()
        if there:
            limits = f"{name} {figure(row['value'])}, {between(row['low'], row['high'])}"
            parts.append(f"{does.format(f'{counts[code, 1]:,}', f'{there:,}', classes[code])} ({limits})")
    return f"At its threshold of {evaluation.about['threshold']['value']:.3g} it {' and '.join(parts)}."


def banners(evaluation):
    """List what a reader must know before any figure, like `glomfeat.report.opening.banners`.

    Parameters
    ----------
    evaluation : Evaluation

    Returns
    -------
    list of (str, str, str)
    """
    of, judged, said = evaluation.of, evaluation.judged, relabelled(evaluation.notes)
    if evaluation.seen:
        same = ", in all numbers" if of == "rows" else ""
        said.append(
            (
                "bad",
                f"{evaluation.seen} of the {of} are {of} that the model was trained on{same}:",
                "the figures are too good.",
            )
        )
    if evaluation.alike:
        named = alike_in_words(evaluation.alike, judged.cases, its="the", of="that the model was trained on")
        head, _, then = named.partition(": ")
        said.append(("bad", f"{head}:", f"{then}."))
    if judged is not None and not judged.by_case:
        said.append(
            (
                "bad",
                f"Limits count single {of}.",
                "Images of one patient are alike: limits that leave out no whole case are too narrow.",
            )
        )
    # what else the reason says is of figures at a threshold of 0.5, which the page does not have
    if judged is not None and (lacking := judged.beside["reason"].partition("the cohort holds")[2]):
        said.append(("", "Some figures are missing.", f"These {of} hold{lacking}."))
    bad = len(evaluation.predicted) - len(evaluation.told)
    if bad:
        said.append(
            (
                "",
                capital(f"{count(bad, evaluation.unit[:-1])} without a prediction."),
                "The section at the end says why.",
            )
        )
    unlike = int(evaluation.told["status"].str.startswith(UNLIKE).sum())
    if unlike:
        verb, then = ("is", "Its score says") if unlike == 1 else ("are", "Their scores say")
        said.append(
            (
                "",
                capital(f"{count(unlike, of[:-1])} {verb} unlike the training data."),
                f"{then} little.",
            )
        )
    return said
