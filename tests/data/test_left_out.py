"""Each value of a column is left out once: what is refused, and that figures are those of scikit-learn by hand."""

import io
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.running import parts_called_here
from rich.console import Console
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, roc_auc_score

import glomfeat
from glomfeat.comparison.compare import compare
from glomfeat.comparison.forecast import print_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.arms import Arm, StudyError, Trial
from glomfeat.data.left_out import left_out_problems
from glomfeat.data.manifest import Manifest, ManifestError, read_manifest
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.data.schemes import find_scheme
from glomfeat.data.splits import SplitError, make_folds, other_folds
from glomfeat.metrics.by_case import auroc_by_case
from glomfeat.metrics.resampling import jackknife_limits, leave_out_weights
from glomfeat.models.heads.built_in import Head
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.load import load_run
from glomfeat.results.run import Run
from glomfeat.results.sites import print_sites, site_cells, sites_table

pytestmark = pytest.mark.usefixtures("dealt_once")

CASES = np.repeat(np.arange(30), 6)
SITES = ("Oslo", "Rome", "Bern")


def plain(seed):
    """A head without a setting to choose, which scikit-learn makes by hand."""
    return Head(LogisticRegression(), {})


def table(sites=SITES):
    """Rows of 30 cases, both classes in each; the sites differ in the share of a class, and shift a column."""
    rng = np.random.default_rng(0)
    site = CASES % len(sites)
    label = (rng.random(len(CASES)) < 0.3 + 0.2 * site).astype(int)
    label[::6], label[1::6] = 0, 1
    frame = pd.DataFrame({"name": [f"P{case:02d}_{row}.png" for row, case in enumerate(CASES)], "label": label})
    frame = frame.assign(a=rng.normal(size=len(label)) + label + 3 * site, b=rng.normal(size=len(label)) + 0.6 * label)
    return frame.assign(case=[f"P{case:02d}" for case in CASES], site=[sites[k] for k in site])


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    """A study that leaves out sites, with a learning curve."""
    place = tmp_path_factory.mktemp("left_out")
    table().to_csv(place / "t.csv", index=False)
    with parts_called_here():
        return glomfeat.compare(
            place / "t.csv",
            heads=["logreg", {"plain": plain}],
            reducers=["none"],
            out=place / "out",
            cache=place / "cache",
            jobs=1,
            quiet=True,
            scheme="leave-out:site",
            learning_curve=True,
        )


def by_hand(frame, test):
    X, y = frame[["a", "b"]].to_numpy(np.float32), frame["label"].to_numpy()
    return LogisticRegression().fit(X[~test], y[~test]).predict_proba(X[test])[:, 1]


def mine(rows):
    return rows[rows["arm"].str.endswith("/plain")]


def own_trials(found):
    """The trials on all training cases."""
    trials = mine(found.trials)
    return trials[~trials["fold"].astype(str).str.startswith("cases-")]


def test_each_value_is_scored_by_a_model_of_all_others(found):
    frame, trials = table(), own_trials(found).set_index("left_out")
    assert trials.index.tolist() == sorted(SITES) and trials["fold"].tolist() == ["0", "1", "2"]
    scores = mine(found.predictions).set_index("name")["score"]
    areas = {}
    for site in SITES:
        test = (frame["site"] == site).to_numpy()
        expected = by_hand(frame, test)
        np.testing.assert_allclose(scores[frame["name"][test]], expected, atol=1e-6)
        areas[site] = roc_auc_score(frame["label"][test], expected)
        assert trials.loc[site, "auroc"] == pytest.approx(areas[site])
        assert trials.loc[site, "n_train"] == (~test).sum() and trials.loc[site, "cases"] == 10
    row = mine(found.table).iloc[0]
    assert row["auroc"] == pytest.approx(np.mean(list(areas.values()))), "each value counts once"
    assert abs(row["auroc"] - roc_auc_score(frame["label"], scores[frame["name"]])) > 0.01, "scores are not pooled"
    called = (scores[frame["name"]] >= 0.5).to_numpy()
    assert row["accuracy"] == pytest.approx(accuracy_score(frame["label"], called)), "decisions are"


def test_sites_have_figures_and_limits_of_their_own_cases(found):
    frame, sites = table(), mine(pd.read_csv(found.out / "sites.csv")).set_index("left_out")
    for site in SITES:
        test = (frame["site"] == site).to_numpy()
        y, own = frame["label"][test].to_numpy(), np.unique(frame["case"][test], return_inverse=True)[1]
        whole, without = (
            auroc_by_case(y, by_hand(frame, test), own, w) for w in (np.ones((1, 10)), leave_out_weights(10))
        )
        low, high = jackknife_limits(whole[0], without)
        assert sites.loc[site, ["auroc", "auroc_lo", "auroc_hi"]].to_numpy(float) == pytest.approx(
            [whole[0], low, high], abs=1e-4
        )
        assert sites.loc[site, ["images", "cases", "positives"]].tolist() == [test.sum(), 10, y.sum()]
        assert sites.loc[site, "share"] == pytest.approx(y.mean(), abs=1e-5)


def test_inner_splits_are_dealt_by_case_and_never_by_site():
    frame = table(("A", "B", "C", "D", "E"))
    folds = pd.DataFrame({"name": frame["name"], "repeat": 0, "fold": CASES % 5})
    labels = frame["label"].to_numpy()
    assert other_folds(folds, labels, CASES, 0) == [0, 1, 2, 3, 4], "so many folds by case serve each other"
    assert other_folds(folds.assign(left_out=frame["site"]), labels, CASES, 0) == []


def test_choices_at_other_sites_cast_no_doubt(found):
    rows = found.table[found.table["arm"].str.endswith("/logreg")]
    assert rows["inner_auroc"].notna().all() and rows["p_inner"].isna().all()


def test_values_are_named_where_people_read(found, without_figures):
    folds = pd.read_csv(found.out / "folds.csv")
    assert folds.groupby("fold")["left_out"].unique().map(list).to_dict() == {0: ["Bern"], 1: ["Oslo"], 2: ["Rome"]}
    assert found.title.endswith("; each of the 3 values of column 'site' left out once, split by case")
    page = found.report().read_text(encoding="utf-8")
    assert re.search(r"Does it hold elsewhere\?.*Bern \(10 cases, \d\d% positive\)", page, re.DOTALL)
    loaded = load_run(found.out)
    assert loaded.whole and loaded.run.left_out == {0: "Bern", 1: "Oslo", 2: "Rome"}
    said = " ".join(paragraph(loaded))
    assert "leaving out each of the 3 values of column 'site' of the data once" in said
    assert "within each left-out value and averaged" in said and "and not for further values." in said


def test_a_learning_curve_is_of_cases_of_the_other_values(found):
    curve = pd.read_csv(found.out / "learning_curve.csv")
    assert set(curve["share"]) == {25, 50, 100} and curve["auroc"].notna().all()
    trials = found.trials[found.trials["fold"].astype(str).str.startswith("cases-50%")]
    assert (trials["n_test"] == 60).all() and (trials["n_train"] == 60).all() and set(trials["left_out"]) == {*SITES}


def refused(tmp_path, frame, show_names=False):
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(ManifestError) as error:
        read_manifest(tmp_path / "t.csv", scheme=find_scheme("leave-out:site", 5), show_names=show_names)
    return str(error.value).splitlines()[1:]


def test_a_case_at_two_sites_is_named_only_if_asked(tmp_path):
    frame = table()
    frame.loc[0, "site"] = "Rome"
    rest = "1 case has several values of column 'site': write one for each case, or name another column"
    assert refused(tmp_path, frame, show_names=True) == [f"- {rest}: P00 (Oslo, Rome)"]
    (line,) = refused(tmp_path, frame)
    assert re.fullmatch(rf"- {rest}; --show-names shows the names of cases: C\d\d\d \(Oslo, Rome\)", line)


def test_a_value_without_a_class_is_refused(tmp_path):
    frame = table()
    frame.loc[frame["site"] == "Rome", "label"] = 0
    assert refused(tmp_path, frame) == [
        "- Rome of column 'site' holds no image of 1, so that nothing can be told apart there: join it with another "
        "value, or leave its images out of DATA"
    ]


def test_a_value_of_one_case_is_named_only_if_asked(tmp_path):
    frame = table()
    frame.loc[frame["case"] == "P00", ["site", "label"]] = "Koch", 0
    for show_names, shown in ((False, "value 2"), (True, "Koch")):
        (line,) = refused(tmp_path, frame, show_names)
        assert line.startswith(f"- {shown} of column 'site' holds no image of 1, ") and line.count("Koch") == show_names


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["Oslo"] * 24, "column 'site' holds Oslo alone, without which nothing is left to learn from: name another"),
        (["Oslo", None] * 12, "column 'site' has no value for 12 images: write one, or leave them out of DATA"),
        (["Oslo", " "] * 12, "column 'site' has no value for 12 images"),
        (["Oslo", "oslo "] * 12, "in column 'site', 'Oslo' and 'oslo' differ only in capitals, blanks, separators"),
        (["M\xfcnchen", "Mu\u0308nchen"] * 12, r"in column 'site', 'Mu\u0308nchen' and 'M\xfcnchen' differ only in"),
        (["Site 1", "Site  1"] * 12, "in column 'site', 'Site  1' and 'Site 1' differ only in"),
        (["Site 1", "Site\xa01"] * 12, r"in column 'site', 'Site 1' and 'Site\xa01' differ only in"),
        (["Site A", "Site_A"] * 12, "in column 'site', 'Site A' and 'Site_A' differ only in"),
        (["1", "1.0"] * 12, "in column 'site', '1' and '1.0' differ only in"),
        (["1", "1\u200b"] * 12, r"in column 'site', '1' and '1\u200b' differ only in"),
        (["1", "01", "2"] * 8, "in column 'site', '01' and '1' differ only in"),
        (["Koch", "Wolf", "koch", *["Rome"] * 9] * 2, "in column 'site', value 1 and value 4 differ only in"),
        (list(range(12)) * 2, "column 'site' has a value of its own for each case: --scheme cv splits by case"),
        ([*range(12), *np.roll(range(12), 1)], "cases have several values of column 'site': write one for each case"),
        (list(range(11)) * 2 + [0, 0], "11 fit"),
    ],
)
def test_columns_that_nothing_can_be_left_out_by(values, said):
    frame = pd.DataFrame({"case": list(range(12)) * 2, "label": [0] * 12 + [1] * 12, "given": values})
    found = left_out_problems(frame, ["no", "yes"], "site")
    if said == "11 fit":
        assert not [what for what, _ in found if "values (" in what or "of its own" in what]
    else:
        assert len(found) == 1 and found[0][0].startswith(said)


@pytest.mark.parametrize(
    "values",
    [
        *(
            ("1.5", "1.05"),
            ("0.05 mg", "0.5 mg"),
            ("<0,05", "<0,5"),
            ("v2.01", "v2.1"),
            ("(0.001, 0.01]", "(0.01, 0.1]"),
        ),
        *(("12345678901234567890", "12345678901234567891"), ("A1", "A10"), ("-1", "1"), ("SD -1", "SD 1")),
        *(("year<2015", "year>=2015"), ("HER2-", "HER2+"), ("I-II", "III"), ("A-B", "AB")),
    ],
)
def test_values_that_differ_in_more_than_writing_are_left_out_one_by_one(values):
    cases = np.repeat(np.arange(12), 2)
    frame = pd.DataFrame({"case": cases, "label": [0, 1] * 12, "given": [values[case % 2] for case in cases]})
    assert left_out_problems(frame, ["no", "yes"], "site") == []


def test_very_many_values_are_refused():
    cases = np.arange(50)
    frame = pd.DataFrame({"case": np.tile(cases, 2), "label": np.repeat([0, 1], 50), "given": np.tile(cases // 2, 2)})
    for show_names, said in ((False, "25 values, and"), (True, "25 values (0, 1, 2, 3 and 21 more), and")):
        ((what, _),) = left_out_problems(frame, ["no", "yes"], "year", show_names=show_names)
        assert what.startswith(
            f"column 'year' holds {said} each would be left out once: allowed are 20; write a column"
        )


def test_what_is_left_must_have_cases_to_choose_by():
    cases = [*range(6), 0, 1, 2, 5]
    frame = pd.DataFrame({"case": cases, "label": [0] * 6 + [1] * 4})
    frame["given"] = ["A" if case < 3 else "B" for case in frame["case"]]
    ((what, _),) = left_out_problems(frame, ["no", "yes"], "site")
    assert what == (
        "without A of column 'site' yes is in 1 case, and choices need 2: join values, or split with --scheme cv"
    )


def test_two_values_suffice_and_years_are_in_order(tmp_path):
    table((2021, 998)).to_csv(tmp_path / "t.csv", index=False)
    scheme = find_scheme("leave-out:site", 2)
    manifest = read_manifest(tmp_path / "t.csv", scheme=scheme)
    assert scheme.count_folds(manifest) == 2
    folds = make_folds(manifest, "leave-out:site", 2)
    assert folds.groupby("left_out")["fold"].unique().map(list).to_dict() == {"2021": [1], "998": [0]}
    gone = manifest.keep((manifest.table["given"] == 998).to_numpy())
    with pytest.raises(SplitError, match="column 'site' has 1 value and 2 were read: all images of one are gone"):
        make_folds(gone, "leave-out:site", 2)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"repeats": 2},
            "--repeats is 2: --scheme leave-out:site says what is tested together, so cases cannot be "
            "split anew; leave it out",
        ),
        (
            {"leak_price": True},
            "--leak-price: with --scheme leave-out:site it would measure the step to another place and not a leak",
        ),
        (
            {"allow_split_cases": True},
            "--allow-split-cases belongs to --scheme given:COLUMN: leave-out:site splits no case",
        ),
    ],
)
def test_options_that_mean_nothing_here_are_refused(options, said):
    with pytest.raises(StudyError, match=f"^{said}"):
        Study(scheme="leave-out:site", **options).check()


def test_sites_of_the_phantom_are_of_the_phantom_only(tmp_path):
    table().to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(StudyError, match="--sites is 3: only the built-in phantom has made-up sites; leave it out"):
        prepare(Study(data=str(tmp_path / "t.csv"), sites=3, jobs=1), lambda line: None)


@pytest.mark.slow
def test_nets_ensembles_and_bundles_know_sites_as_well(tmp_path):
    folder = make_phantom(tmp_path / "images", Phantom(images=48, cases=12, min_px=48, max_px=60, sites=2))
    options = {"features": ("shortcut",), "heads": ("logreg",), "reducers": ("none",), "nets": ("F-D4-out",)}
    options |= {"ensembles": ("shortcut/none/logreg,net:F-D4-out",), "size": 32, "jobs": 1, "epochs": 1, "inside": 0}
    places = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    study = Study(data=str(folder), scheme="leave-out:site", save_models=True, **options, **places)
    console = Console(file=io.StringIO(), width=150)
    prepared = prepare(study, lambda line: None)
    print_plan(prepared, console)
    assert "each of the 2 values of column 'site' left out once" in " ".join(console.file.getvalue().split())
    run, results, _ = compare(prepared, lambda line: None)
    assert (results["status"] == "done").all() and len(results) == 4
    sites = pd.read_csv(tmp_path / "out" / "sites.csv")
    mean = sites.groupby("arm")["auroc"].mean()
    assert len(sites) == 8
    assert results.set_index("arm")["auroc"].to_dict() == pytest.approx(mean.to_dict(), abs=1e-5)
    site = run.manifest.table["given"].to_numpy()
    assert all(site[run.tested(trial)[0]] not in site[run.learnt(trial)] for trial in run.trials)
    cards = [path.read_text(encoding="utf-8") for path in (tmp_path / "out" / "models").glob("*/*.md")]
    assert len(cards) == 3
    for card in cards:
        said = " ".join(card.split())
        assert "each of the 2 values of column 'site' left out once x 1, split by case" in said
        assert "The figures above are of values of column 'site' that were left out; images from another" in said
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}
    compare(prepare(replace(study, save_models=False), lambda line: None), lambda line: None)
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").glob("*.csv")}


def test_a_value_of_one_case_is_shown_only_if_names_are_asked_for(tmp_path, without_figures):
    """Of four owners three have a single case: neither the screen nor the page names any."""
    frame = table().iloc[:30].assign(site=np.repeat(["KOCH", "WOLF", "BAUER", "WEBER", "KOCH"], 6))
    frame.to_csv(tmp_path / "t.csv", index=False)
    with parts_called_here():
        found = glomfeat.compare(
            tmp_path / "t.csv",
            heads=["logreg"],
            reducers=["none"],
            out=tmp_path / "out",
            cache=tmp_path / "cache",
            jobs=1,
            quiet=True,
            scheme="leave-out:site",
        )
    sites = pd.read_csv(tmp_path / "out" / "sites.csv")
    owners = {"BAUER", "KOCH", "WEBER", "WOLF"}
    assert set(sites["left_out"]) == owners  # the CSV links numbers and names
    console = Console(file=io.StringIO(), width=300)
    print_sites(sites, console)
    said = console.file.getvalue(), found.report().read_text(encoding="utf-8")
    for text in said:
        assert not [owner for owner in owners if owner in text] and "value 4" in text
        assert "numbers here; sites.csv has the values" in text
    print_sites(sites, console, show_names=True)
    assert all(owner in console.file.getvalue() for owner in owners)


def test_a_class_in_one_case_of_a_site_gives_no_limits_to_what_is_made_of_it():
    labels, cases = np.array([0, 1, 1, 0] + [0, 1] * 4), np.array([0, 0, 0, 1, *np.repeat([2, 3, 4, 5], 2)])
    site = np.where(cases < 2, "A", "B")
    frame = pd.DataFrame({"name": [f"{row:02d}" for row in range(len(labels))], "case": cases, "label": labels})
    manifest, folds = Manifest(frame, ("no", "yes"), True), frame.assign(repeat=0)
    folds = folds.assign(fold=(site == "B").astype(int), left_out=site)
    trials = [Trial(Arm.parse("a/none/svm"), 0, fold) for fold in (0, 1)]
    record = {"status": "done", "threshold": 0.5, "n_train": 4}
    scores = np.random.default_rng(0).random(len(labels))
    records = {trial.key: record | {"scores": scores[site == "AB"[trial.fold]]} for trial in trials}
    found = sites_table(Run(manifest, folds, trials, records, {}, 0)).set_index("left_out")
    assert found["auroc"].notna().all() and found.loc["B", ["auroc_lo", "brier_hi"]].notna().all()
    limits = [name for name in found if name.endswith(("_lo", "_hi"))]
    of_others = [name for name in limits if name.startswith(("specificity", "brier"))]  # two cases hold negatives
    assert found.loc["A", of_others].notna().all() and len(of_others) == 4
    assert found.loc["A", [name for name in limits if name not in of_others]].isna().all()
    assert site_cells(found.reset_index())[1][1].endswith(" (no limits)")
    assert found["note"].tolist() == ["", ""]
    lacking = found.reset_index().assign(arm="z", status=["done", "failed"], auroc=[0.99, np.nan])
    rows = site_cells(pd.concat([lacking, found.reset_index()], ignore_index=True))[1:]
    assert [row[0] for row in rows] == [found["arm"].iloc[0], "z"] and rows[1][-1] == "", (
        "its mean would be of one site"
    )
    for trial in trials:  # a score that is always 0.25: each case of B has an image of either class, called no
        records[trial.key] = record | {"scores": np.full((site == "AB"[trial.fold]).sum(), 0.25)}
    same = sites_table(Run(manifest, folds, trials, records, {}, 0)).set_index("left_out").loc["B"]
    unmoved = ["auroc", "average_precision", "balanced_accuracy", "brier"]
    assert same[unmoved].tolist() == [0.5, 0.5, 0.5, 0.3125]
    assert same[[f"{name}{end}" for name in unmoved for end in ("_lo", "_hi")]].isna().all()
    assert same["note"].startswith("no limits, for it is the same without each case: AUROC, average precision, ")
    assert same["sensitivity_t"] == same["sensitivity_t_lo"] == 0 < same["sensitivity_t_hi"]
