"""The table of split schemes: what each says of itself, and one more is one entry."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study
from helpers.runs import manifest_of

from glomfeat.comparison.options import Study
from glomfeat.core.arms import StudyError
from glomfeat.data.problems import case_problems
from glomfeat.data.schemes import SCHEMES, find_scheme, schemes_in_words
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.load import load_run

pytestmark = pytest.mark.usefixtures("dealt_once")


@dataclass(frozen=True)
class Tenth:
    """Every tenth case in the order of names is tested, once."""

    folds: int
    column: str = ""

    written: ClassVar[str] = "tenth"
    meaning: ClassVar[str] = "every tenth case tested once"
    least_folds: ClassVar[int] = 1
    dealt_anew: ClassVar[bool] = False
    elsewhere: ClassVar[bool] = False
    names_inner_valid: ClassVar[bool] = False
    tested: ClassVar[tuple] = ("outer-test",)
    trained_share: ClassVar[float] = 0.9
    title: ClassVar[str] = "every tenth case"

    def problems(self, table, classes, by_case, show_names=False):
        return case_problems(table, classes, 2, by_case, show_names)

    def count_folds(self, manifest):
        return 1

    def deal(self, manifest, repeats, seed):
        return [np.where(manifest.cases % 10 == 0, "outer-test", "train")]

    def inner_fits(self, holders):
        return 4

    def sentence(self, unit, repeats, parts):
        return f"Every tenth {unit} was held out to be tested ({' and '.join(sorted(parts))})"


def test_a_further_scheme_is_one_entry(feature_table, tmp_path, monkeypatch):
    monkeypatch.setitem(SCHEMES, "tenth", Tenth)
    options = {"heads": ("logreg",), "reducers": ("none",), "scheme": "tenth", "folds": 1}
    run, results, *_ = run_study(tmp_path, data=str(feature_table), **options)
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    cases = sorted(run.manifest.table["case"].unique())
    assert len(cases) == 16 and set(folds.loc[folds["fold"] == "outer-test", "name"]) == set(
        run.manifest.table.loc[run.manifest.table["case"].isin(cases[::10]), "name"]
    )
    assert {trial.fold for trial in run.trials} == {"outer-test"} and (results["status"] == "done").all()
    trials = pd.read_csv(tmp_path / "out" / "trials.csv")
    assert trials["n_train"].eq(140).all() and trials["inner_auroc"].notna().any(), "choices are made inside the rest"
    assert "; every tenth case, split by case" in (tmp_path / "out" / "results.md").read_text(encoding="utf-8")
    loaded = load_run(tmp_path / "out")
    assert loaded.whole and "Every tenth case was held out to be tested (outer-test and train), so that no case" in (
        " ".join(paragraph(loaded))
    )
    with pytest.raises(StudyError, match="--repeats is 2: --scheme tenth says what is tested together"):
        Study(scheme="tenth", repeats=2).check()
    with pytest.raises(StudyError, match=r"allowed are cv, holdout, leave-out:COLUMN, given:COLUMN and tenth$"):
        Study(scheme="ninth").check()
    assert schemes_in_words().endswith("; or tenth, every tenth case tested once.")


@pytest.mark.parametrize(
    ("text", "folds", "tested", "trained", "inner", "title"),
    [
        ("cv", 5, [0, 1, 2, 3, 4], 0.8, 2, "5 folds"),
        ("cv", 3, [0, 1, 2], 2 / 3, 4, "3 folds"),
        ("holdout", 5, ["outer-test"], 0.8, 1, "80:10:10"),
        ("leave-out:site", 4, [0, 1, 2, 3], 0.75, 4, "each of the 4 values of column 'site' left out once"),
        ("given:part", 1, ["outer-test"], 0.8, 4, "the parts of column 'part'"),
        ("given:part", 4, [0, 1, 2, 3], 0.75, 1.5, "4 folds of column 'part'"),
    ],
)
def test_what_a_scheme_says_of_itself(text, folds, tested, trained, inner, title):
    scheme = find_scheme(text, folds)
    assert (list(scheme.tested), scheme.inner_fits(200), scheme.title) == (tested, inner, title)
    assert scheme.trained_share == pytest.approx(trained)
    assert scheme.names_inner_valid is (tested == ["outer-test"])


@pytest.mark.parametrize(
    ("text", "folds", "parts", "said"),
    [
        ("cv", 5, {0, 1}, "Performance was estimated by 5-fold cross-validation by case, stratified by class{}"),
        (
            "holdout",
            5,
            {"train"},
            "Data were split 80:10:10 into training, inner-valid and outer-test parts by case{}",
        ),
        (
            "leave-out:site",
            3,
            {0, 1, 2},
            "Performance was estimated by leaving out each of the 3 values of column 'site' of the data once, to be "
            "tested by models of all other cases",
        ),
        ("given:p", 1, {"train"}, "Data were split into training and outer-test parts as column 'p' of the data gives"),
        (
            "given:p",
            1,
            {"inner-valid"},
            "Data were split into training, inner-valid and outer-test parts as column 'p' of the data gives",
        ),
    ],
)
def test_the_sentence_of_the_methods(text, folds, parts, said):
    scheme = find_scheme(text, folds)
    assert scheme.sentence("case", 1, parts) == said.format("")
    assert scheme.sentence("case", 3, parts) == said.format(", repeated 3 times with cases dealt anew")


@pytest.mark.parametrize("text", ["ninth", "given:", "given", "cv:fold", "", ":x", "holdout:"])
def test_what_is_no_scheme_is_refused_with_all_that_are(text):
    with pytest.raises(StudyError) as refused:
        find_scheme(text, 5)
    assert str(refused.value) == f"--scheme is {text!r}: allowed are cv, holdout, leave-out:COLUMN and given:COLUMN"


@pytest.mark.parametrize(("text", "parts", "called"), [("cv", 5, "folds"), ("holdout", 3, "parts")])
def test_cases_that_do_not_suffice_are_a_problem(text, parts, called):
    scheme = find_scheme(text, 5)

    def problems(cases):
        return scheme.problems(manifest_of(n=60, cases=cases).table, ("a", "b"), True)

    assert problems(parts) == [] and len(problems(parts - 1)) == 2
    assert f"{parts} {called} need {parts}" in problems(parts - 1)[0][0]


def test_of_repeats_each_is_dealt_anew_but_of_given_splits():
    manifest = manifest_of()
    one, other = find_scheme("holdout", 5).deal(manifest, 2, 0)
    assert (one != other).any() and set(one) == {"train", "inner-valid", "outer-test"}
    assert [find_scheme(text, 5).dealt_anew for text in ("cv", "holdout", "given:p")] == [True, True, False]
