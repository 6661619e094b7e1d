"""Bundles that read rows of a table: what they score, which tables they take, and what they refuse."""

import html
import json
import re
import shutil
from types import SimpleNamespace

import h5py
import numpy as np
import pandas as pd
import pytest
from helpers.running import refusal, run_study
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.preprocessing import StandardScaler

import glomfeat
from glomfeat.bundle.against_labels import LabelsError, by_class, of_known_classes
from glomfeat.bundle.format import BundleError
from glomfeat.bundle.save import save_bundle
from glomfeat.comparison.fit_on_all import choose_by, fit_on_all
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import refit_arm
from glomfeat.core.arms import Arm
from glomfeat.core.words import for_spreadsheets
from glomfeat.data.cases import pseudonyms
from glomfeat.data.tables.columns import USUAL
from glomfeat.features.base import FeatureError
from glomfeat.features.extract import extract
from studies import evaluate

# figures of evaluations: tests/report/test_evaluation.py
pytestmark = pytest.mark.usefixtures("dealt_once", "without_figures")
HEADER = "name,prediction,label,score,threshold,status\n"
COLUMNS = ["area", "extent", "edge", "tone"]


def table_of(rows=48, seed=0):
    """Rows of 8 cases, two columns of which tell the classes apart a little."""
    rng = np.random.default_rng(seed)
    label = np.arange(rows) % 2
    numbers = rng.normal(size=(rows, 4)) + np.outer(label, [1.2, 0.5, 0, 0])
    numbers *= [1000, 1, 0.01, 5]
    names = [f"P{k // 6:02d}_PAS_1of1_{k:024x}.png" for k in range(rows)]
    return pd.DataFrame({"name": names, "label": np.array(["well", "ill"])[label]}).assign(
        **dict(zip(COLUMNS, numbers.astype(np.float32).T, strict=True))
    )


def learnt(path, place, arms=("none/logreg",), **options):
    """What a study of a table is, and bundles of its arms; no fold is run, and figures to expect are made up."""
    given = {"reducers": ("none", "pca2"), "heads": ("logreg", "svm"), "folds": 2, "jobs": 1, "positive": "ill"}
    study = Study(data=str(path), out=str(place / "out"), cache=str(place / "cache"), **given | options)
    prepared = prepare(study, lambda line: None)
    extracted = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store, 1)
    name = prepared.features[0].name
    rows = pd.DataFrame({"case": ["P1"], "label": [0], "score": [0.5], "repeat": [0]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.comparison.refit.read_outcome", lambda out, arm: ({"rank": 1, "of": 2}, rows))
        names = [arm.replace("@", name) if "@" in arm else f"{name}/{arm}" for arm in arms]
        made = [refit_arm(prepared, extracted, arm) for arm in names]
    return SimpleNamespace(prepared=prepared, extracted=extracted, name=name, arms=names, made=made, path=path)


@pytest.fixture(scope="module")
def texture(tmp_path_factory):
    place = tmp_path_factory.mktemp("texture")
    table_of().to_csv(place / "texture.csv", index=False)
    found = learnt(place / "texture.csv", place, ("none/logreg", "pca2/svm", "mean:@/none/logreg,@/pca2/svm"))
    found.folders = []
    for k, made in enumerate(found.made):
        save_bundle(made, place / f"bundle{k}")
        found.folders.append(place / f"bundle{k}")
    return found


def run(bundle, *arguments):
    return evaluate.main([*map(str, [bundle, *arguments])])


def failed(capsys, *arguments):
    return refusal(evaluate.main, capsys, *arguments)


def test_a_bundle_scores_as_scikit_learn_does_by_hand(texture):
    table = pd.read_csv(texture.path)
    made, X, y = texture.made[0], table[COLUMNS].to_numpy(np.float32), (table["label"] == "ill").to_numpy(int)
    C = made.about["chosen"]["params"]["logisticregression__C"]
    scaler = StandardScaler().fit(X)
    head = LogisticRegression(class_weight="balanced", max_iter=2000, C=C).fit(scaler.transform(X), y)
    expected = head.predict_proba(scaler.transform(X))[:, 1]
    found = made.predict(texture.path)
    assert np.abs(found["score"] - expected).max() < 1e-6
    assert found["name"].tolist() == table["name"].tolist()


@pytest.mark.parametrize("k", [0, 1])
def test_its_own_rows_score_as_a_cohort_of_them_would(texture, k):
    chosen = choose_by(texture.extracted.manifest, texture.prepared.study)
    arm = Arm.parse(texture.arms[k])
    fitted = fit_on_all(texture.prepared, texture.extracted, arm, chosen)
    expected = fitted.score(texture.extracted.matrices[texture.name])
    order = texture.extracted.manifest.table["name"]
    for bundle in (texture.made[k], glomfeat.load_bundle(texture.folders[k])):
        found = bundle.predict(texture.path).set_index("name").loc[order]
        assert np.array_equal(found["score"], expected) and bundle.threshold == fitted.found.threshold


def test_bundle_and_card_say_what_is_read(texture):
    about = json.loads((texture.folders[0] / "bundle.json").read_text())
    assert about["version"] == 4 and about["preprocess"] is None
    assert about["feature"]["width"] == 4 and about["feature"]["table"]["columns"] == COLUMNS
    card = (texture.folders[0] / "card.md").read_text()
    for said in (
        "A model that scores rows of one kind between 0 and 1",
        "- reads: rows of a table, `texture` in the study, 4 numbers\n",
        "- columns: area, extent, edge, tone; found by name, others are left out\n",
        "- standardised: by the head, with mean and deviation of the training rows\n",
        "- missing values: refused\n",
        "48 rows of 8 cases",
    ):
        assert said in card
    assert "images:" not in card and "by the reducer" in (texture.folders[1] / "card.md").read_text()


@pytest.mark.parametrize("k", [0, pytest.param(2, marks=pytest.mark.slow)])
def test_evaluate_gives_a_row_a_row_by_name_and_a_report(texture, tmp_path, capsys, k):
    table = pd.read_csv(texture.path).sample(frac=1, random_state=0)
    path, out = tmp_path / "new.csv", tmp_path / "e.csv"
    table[["tone", "label", "edge", "name", "area", "extent"]].assign(note="x", size=1).to_csv(path, index=False)
    assert run(texture.folders[k], path, "--out", out) == 0
    said, report = capsys.readouterr().out, (tmp_path / "e.html").read_text()
    assert "new.csv: left out: note, size (the model does not read it)\n" in said
    assert f"{out}: 48 rows, 0 without a prediction" in said
    assert out.read_text().startswith(HEADER)
    found = pd.read_csv(out)
    assert found["name"].tolist() == sorted(table["name"])
    own = texture.made[k].predict(texture.path).set_index("name").loc[found["name"]]
    assert np.array_equal(pd.read_csv(out, dtype={"score": str})["score"].astype(float), own["score"])
    assert (found["label"] == np.array(["well", "ill"])[found["prediction"]]).all()
    truth = table.set_index("name").loc[found["name"], "label"] == "ill"
    assert f">AUROC</th><td>{roc_auc_score(truth, found['score']):.3f} " in report
    seen = "48 of the rows are rows that the model was trained on, in all numbers:"
    assert f"{seen}</strong> the figures are too good" in report
    alike = "8 of the 8 cases are named like cases that the model was trained on: if they are the same patients, the"
    assert f"{alike} figures are too good.\n" in said and alike.partition(":")[0] in report
    assert "What 48 rows with a label are called" in report and "without a prediction" not in report
    assert "from leaving out each of eight cases" in report
    assert run(texture.folders[k], path, "--out", tmp_path / "again.csv") == 0
    assert (tmp_path / "again.csv").read_bytes() == out.read_bytes()


def test_labels_apart_from_the_table_leave_its_cases_to_the_limits(texture, tmp_path, capsys):
    rng, answers = np.random.default_rng(0), []
    table = table_of(seed=1).assign(name=[f"r{k:02d}" for k in range(48)], case=rng.permutation(np.arange(48) // 6))
    table.to_csv(tmp_path / "whole.csv", index=False)
    table.drop(columns="label").to_csv(tmp_path / "rows.csv", index=False)
    table[["name", "label"]].to_csv(tmp_path / "labels.csv", index=False)
    for name, *asked in (("whole",), ("rows", "--labels", tmp_path / "labels.csv")):
        out = tmp_path / "out" / f"{name}.csv"
        out.parent.mkdir(exist_ok=True)
        assert run(texture.folders[0], tmp_path / f"{name}.csv", *asked, "--out", out) == 0
        answers.append(next(line for line in capsys.readouterr().out.splitlines() if line.startswith("On ")))
        assert "from leaving out each of eight cases" in out.with_suffix(".html").read_text()
    assert answers[0] == answers[1] and answers[0].startswith("On 48 rows of eight cases")


@pytest.mark.parametrize("show_names", [False, True])
def test_an_evaluation_says_where_data_and_labels_do_not_fit_each_other(texture, tmp_path, capsys, show_names):
    table, path = table_of(seed=1).assign(patient=np.repeat([f"Q{k}" for k in range(8)], 6)), tmp_path / "new.csv"
    table.drop(columns="label").to_csv(path, index=False)
    other = table["patient"].str.replace("Q", "q ")  # the same cases by other names, but for two rows
    other.iloc[[0, 1]] = "q 7"
    more = pd.DataFrame({"name": ["ghost.png", "spirit.png"], "label": "ill", "patient": "q 1"})
    labels = pd.concat([table[["name", "label"]].assign(patient=other)[:45], more])
    labels.to_csv(tmp_path / "labels.csv", index=False)
    shown = ["--show-names"] if show_names else []
    assert run(texture.folders[0], path, "--labels", tmp_path / "labels.csv", "--out", tmp_path / "e.csv", *shown) == 0
    said, page = capsys.readouterr().out, (tmp_path / "e.html").read_text()
    case = pseudonyms(table["patient"])["Q0"]
    examples = ", ".join(table["name"][:2]) if show_names else case
    which = ": ghost.png, spirit.png" if show_names else "; --show-names says which"
    for line in (
        f"labels: of 47 names in labels.csv, 2 names fit none of DATA and are not counted{which}",
        "3 rows have no label and are not counted",
        "warning: 2 of 45 rows are of another case in the table of labels than in DATA "
        f"({examples}): the case of DATA counts",
    ):
        assert line in said.splitlines() and line in page, line
    assert show_names or not any(name in said for name in ("ghost", "Q0", "P00", "q 7"))


def test_an_ensemble_is_the_mean_of_its_calibrated_members(texture):
    bundle = glomfeat.load_bundle(texture.folders[2])
    members = [member.predict_proba(texture.path)[:, 1] for member in bundle.members]
    assert np.allclose(bundle.predict_proba(texture.path)[:, 1], np.mean(members, axis=0), atol=1e-12)
    assert {member.about["calibration"]["kind"] for member in bundle.members} == {"platt"}
    assert np.array_equal(bundle.predict(texture.path)["score"], texture.made[2].predict(texture.path)["score"])


def test_rows_without_numbers_have_a_reason_and_cost_no_others(texture, tmp_path):
    table = pd.read_csv(texture.path).astype({"area": object, "tone": object, "edge": object})
    table.loc[3, "area"], table.loc[4, "tone"], table.loc[5, "edge"], table.loc[5, "tone"] = "#DIV/0!", "", "1e39", "x"
    path, out = tmp_path / "new.csv", tmp_path / "e.csv"
    table.to_csv(path, index=False)
    assert run(texture.folders[0], path, "--out", out) == 1
    found = pd.read_csv(out, keep_default_na=False)
    assert found["status"][3:6].tolist() == [
        "no number in area",
        "no number in tone",
        "no number in tone; infinity, or a number beyond 3.4e38, in edge",
    ]
    assert (found.loc[3:5, ["prediction", "label", "score", "threshold"]] == "").all(axis=None)
    own, rest = texture.made[0].predict(texture.path), found.drop(index=[3, 4, 5])
    assert np.array_equal(rest["score"].astype(float), own["score"].drop(index=[3, 4, 5]))
    loaded = glomfeat.load_bundle(texture.folders[0])
    said = "row 4 cannot be scored: no number in area; predict gives such rows the reason"
    with pytest.raises(BundleError, match=f"^{said}$"):
        loaded.predict_proba(path)


def test_rows_far_away_are_marked(texture):
    table = pd.read_csv(texture.path)
    table.loc[0, COLUMNS] = 1e6
    found = texture.made[0].predict(table)
    assert found["status"][0] == "ok (unlike training data)" and (found["status"] == "ok").sum() > 40


def test_columns_that_do_not_fit_are_one_message(texture, tmp_path, capsys):
    table, path = pd.read_csv(texture.path), tmp_path / "new.csv"
    table.rename(columns={"area": "Area"}).drop(columns="edge").to_csv(path, index=False)
    said = failed(capsys, texture.folders[0], path, "--out", tmp_path / "e.csv")
    assert (
        "new.csv: the model reads 4 columns of texture by their names, and the table lacks area, edge, and has besides "
        "Area: 'Area' may be 'area'; call each column once, as bundle.json does\n" in said
    )
    path.write_text(path.read_text().replace("Area", "area").replace("extent", "edge").replace("tone", "edge"))
    said = failed(capsys, texture.folders[0], path, "--out", tmp_path / "e.csv")
    assert "and the table lacks extent, tone and has edge twice, and has besides edge.1: call each" in said
    assert not (tmp_path / "e.csv").exists() and not (tmp_path / "e.json").exists()
    path.write_text("name,area,extent,edge,tone\n")
    assert f"{path} holds a header but no rows: save it again" in failed(capsys, texture.folders[0], path)
    path.write_text("area,extent,edge,tone\n1,2,3,4\n")
    assert "needs a column that names its rows" in failed(capsys, texture.folders[0], path)
    path.write_text("name,area,extent,edge,tone\na,1,2,3,4\na,1,2,3,4\n")
    assert "1 name has several rows: a" in failed(capsys, texture.folders[0], path)
    path.write_text("name,area,extent,edge,tone\n,1,2,3,4\n,1,2,3,4\n")
    assert "2 rows have no name (row 1, 2): write a name, or delete such rows" in failed(
        capsys, texture.folders[0], path
    )


def test_images_and_tables_are_told_apart(texture, models, capsys):
    said = failed(capsys, texture.folders[0], models.images)
    assert (
        f"{models.images} holds no rows of numbers, and this bundle reads rows of a table (4 columns of texture): "
        "describe the images as that table was made, and give the table; python -m studies.export writes features of "
        "glomfeat's own\n" in said
    )
    said = failed(capsys, models.folders["logreg"], texture.path, "--device", "cpu")
    assert (
        f"{texture.path} is a feature table, and the bundle reads images: give the folder of images, or a bundle of an "
        "arm that learnt such a table (python -m studies.refit)\n" in said
    )
    with pytest.raises(BundleError, match="this bundle reads images, and a table was given"):
        models.made["logreg"].predict(pd.read_csv(texture.path))
    single = [(np.zeros((9, 9, *more), np.uint8), "one array") for more in ((), (1,), (2,), (3,), (4,))]
    for given, what in ((None, "None"), ("a.png", "a path"), (3, "3"), *single):
        for predict in (models.made["logreg"].predict, models.made["logreg"].predict_proba):
            with pytest.raises(BundleError, match=f"^this bundle reads images, and {what} was given: give a list of"):
                predict(given)
    with pytest.raises(BundleError, match=r"^image 1 is None: give its path, or an array of bytes of shape \(height"):
        models.made["logreg"].predict_proba(["a.png", None])
    with pytest.raises(
        BundleError, match=r"^this bundle reads rows of a table \(4 columns of texture\): give its path"
    ):
        texture.made[0].predict(["a.png"])
    with pytest.raises(BundleError, match=r"^this bundle reads rows of a table"):
        texture.made[0].predict_proba(None)


def test_a_batch_below_one_is_refused_and_others_change_no_score(texture):
    made = texture.made[0]
    assert made.predict(texture.path, batch=5).equals(made.predict(texture.path))
    assert np.array_equal(made.predict_proba(texture.path, batch=5), made.predict_proba(texture.path))
    for predict in (made.predict, made.predict_proba):
        with pytest.raises(ValueError, match="batch is -1: at least 1"):
            predict(texture.path, batch=-1)


def test_arrays_and_frames_are_read_like_files(texture):
    table = pd.read_csv(texture.path)
    own, made = texture.made[0].predict(texture.path), texture.made[0]
    assert np.array_equal(made.predict(table[COLUMNS].to_numpy())["score"], own["score"])
    shuffled = made.predict(table[[*COLUMNS[::-1], "name"]])
    assert np.array_equal(shuffled["score"], own["score"]) and shuffled["name"].equals(own["name"])
    assert made.predict(table[COLUMNS].set_index(table["name"]))["name"].tolist() == table["name"].tolist()
    assert len(made.predict(table[:0])) == 0 and made.predict_proba(table[:0]).shape == (0, 2)
    with pytest.raises(FeatureError, match="the array has 3 columns, and the model reads 4 of texture"):
        made.predict(np.zeros((2, 3)))


def embeddings(folder, kind, matrix, names, called="uni"):
    """The same rows in one of the forms that embeddings come in."""
    folder.mkdir(exist_ok=True)
    if kind == "npy":
        np.save(folder / f"{called}.npy", matrix)
        (folder / f"{called}.txt").write_text("\n".join(names) + "\n")
        return folder / f"{called}.npy"
    if kind == "folder":
        (folder / called).mkdir()
        for name, row in zip(names, matrix, strict=True):
            with h5py.File(folder / called / f"{name}.h5", "w") as file:
                file["features"] = row
        return folder / called
    if kind == "parquet":
        frame = pd.DataFrame(matrix, columns=[f"x{k}" for k in range(matrix.shape[1])]).assign(name=names)
        frame.to_parquet(folder / f"{called}.parquet", row_group_size=7)
        return folder / f"{called}.parquet"
    with h5py.File(folder / f"{called}.h5", "w") as file:
        file["features"], file["names"] = matrix, names
    return folder / f"{called}.h5"


@pytest.fixture(scope="module")
def embedded(tmp_path_factory):
    """A bundle of embeddings whose labels lie in a table beside them."""
    place, table = tmp_path_factory.mktemp("embedded"), table_of()
    names = table["name"].str.removesuffix(".png").tolist()
    path = embeddings(place, "npy", table[COLUMNS].to_numpy(np.float32), names)
    table[["name", "label"]].to_csv(place / "labels.csv", index=False)
    found = learnt(path, place, heads=("logreg",), reducers=("none",), labels=str(place / "labels.csv"))
    save_bundle(found.made[0], place / "bundle")
    found.folder, found.matrix, found.names = place / "bundle", table[COLUMNS].to_numpy(np.float32), names
    found.labels = place / "labels.csv"
    return found


@pytest.mark.parametrize(
    "kind", ["npy", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("h5", "folder", "parquet"))]
)
def test_embeddings_in_other_files_score_alike(embedded, tmp_path, capsys, kind):
    order = np.random.default_rng(0).permutation(48)
    path = embeddings(tmp_path / "new", kind, embedded.matrix[order], [embedded.names[k] for k in order])
    out = tmp_path / "e.csv"
    assert run(embedded.folder, path, "--labels", embedded.labels, "--out", out) == 0
    found = pd.read_csv(out, dtype={"score": str})
    assert found["name"].tolist() == sorted(embedded.names)
    own = embedded.made[0].predict(embedded.matrix)["score"].to_numpy()
    assert np.array_equal(found["score"].astype(float), own[np.argsort(embedded.names)])
    assert "48 of the rows are rows" in (tmp_path / "e.html").read_text()
    assert "warning" not in capsys.readouterr().out


def test_embeddings_are_told_by_width_and_name(embedded, tmp_path, capsys):
    wide = embeddings(tmp_path / "wide", "npy", np.zeros((2, 6), np.float32), ["a", "b"])
    said = failed(capsys, embedded.folder, wide)
    assert f"{wide}: its rows hold 6 numbers, and the model reads 4 of uni: give rows that the same network" in said
    other = embeddings(tmp_path / "other", "h5", embedded.matrix[:2], ["a", "b"], "gigapath")
    assert run(embedded.folder, other, "--out", tmp_path / "e.csv") == 0
    assert (
        "warning: gigapath.h5: the model learnt rows called uni, and nothing in rows without names of columns says "
        "what made them: scores mean something only if it was the same network\n" in capsys.readouterr().out
    )
    bags = tmp_path / "uni"
    bags.mkdir()
    with h5py.File(bags / "slide.h5", "w") as file:
        file["features"] = embedded.matrix[:3]
    said = failed(capsys, embedded.folder, bags, "--out", tmp_path / "f.csv")
    assert "the model reads a row each, and here is the mean of a file: give rows of the same kind" in said


def test_missing_values_are_filled_as_in_the_study(tmp_path):
    table = table_of()
    table.loc[[2, 9, 30], "extent"] = np.nan
    table.loc[5, "tone"] = np.nan
    table["empty"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    found = learnt(tmp_path / "t.csv", tmp_path, missing="impute", heads=("logreg",), reducers=("none",))
    made = found.made[0]
    save_bundle(made, tmp_path / "bundle")
    fitted = fit_on_all(
        found.prepared, found.extracted, Arm.parse(found.arms[0]),
        choose_by(found.extracted.manifest, found.prepared.study),
    )  # fmt: skip
    loaded = glomfeat.load_bundle(tmp_path / "bundle")
    own = loaded.predict(table)
    assert np.array_equal(own["score"], fitted.score(found.extracted.matrices[found.name]))
    told = table.assign(
        extent=table["extent"].fillna(table["extent"].median()), tone=table["tone"].fillna(table["tone"].median())
    )
    assert (loaded.predict(told)["score"] != own["score"])[[2, 5, 9, 30]].all()  # indicators tell them apart
    table.loc[7, "area"] = np.nan
    again = loaded.predict(table.drop(columns="empty"))
    assert again["status"][7] == "no number in area" and again["status"][2].startswith("ok")
    card = (tmp_path / "bundle" / "card.md").read_text()
    filled = "refused but in extent, tone: there the median of the training rows, and a column says where"
    assert f"- missing values: {filled}\n" in card
    table.drop(columns="empty").to_csv(tmp_path / "new.csv", index=False)
    assert run(tmp_path / "bundle", tmp_path / "new.csv", "--out", tmp_path / "e.csv") == 1
    assert "47 of the rows are rows" in (tmp_path / "e.html").read_text()


def test_texts_are_columns_of_their_own(tmp_path):
    table = table_of().assign(stain=np.array(["HE", "PAS", "PAS"])[np.arange(48) % 3])
    table.to_csv(tmp_path / "t.csv", index=False)
    made = learnt(tmp_path / "t.csv", tmp_path, columns=("*", "stain"), heads=("logreg",), reducers=("none",)).made[0]
    save_bundle(made, tmp_path / "bundle")
    loaded, own = glomfeat.load_bundle(tmp_path / "bundle"), made.predict(table)["score"]
    only = table[table["stain"] == "PAS"]
    assert np.array_equal(loaded.predict(only)["score"], own[only.index])
    table.loc[4, "stain"] = "silver"
    assert loaded.predict(table)["status"][4] == "stain is none of HE, PAS"


@pytest.mark.parametrize("show_names", [False, True])
def test_texts_that_may_tell_who_a_case_is_are_numbered_wherever_they_are_shown(tmp_path, show_names):
    names = np.array(["Koch", "Wolf", "Weber", "Wolf", "Lang", "Vogt", "Haas", "Frey"])[np.arange(48) // 6]
    table = table_of().assign(surname=names, stain=np.array(["HE", "PAS"])[np.arange(48) // 3 % 2])
    table.to_csv(tmp_path / "t.csv", index=False)
    options = {"columns": ("area", "tone", "surname", "stain"), "heads": ("logreg",), "reducers": ("none",)}
    options |= {"show_names": show_names, "folds": 2, "positive": "ill", "data": str(tmp_path / "t.csv")}
    *_, said = run_study(tmp_path, save_models=True, **options)
    out = tmp_path / "out"
    place = next((out / "models").iterdir())
    shown = [*said, (out / "journal.jsonl").read_text(), (place / "card.md").read_text()]
    assert any(name in text for name in names for text in shown) == show_names
    numbered = [f"value {k}" for k in range(1, 8)]
    texts = sorted({*names}) if show_names else numbered
    groups = set(pd.read_csv(out / "importance.csv")["group"])  # what a later run finds there, with or without names
    assert groups == {"area", "tone", "stain=HE", "stain=PAS", *(f"surname={text}" for text in numbered)}
    assert f"texts of surname: {', '.join(texts)}, a column" in shown[-1] and "texts of stain: HE, PAS, a" in shown[-1]
    loaded = glomfeat.load_bundle(place)
    assert loaded.predict(table)["status"].str.startswith("ok").all()
    table.loc[4, "surname"] = "Roth"
    assert loaded.predict(table)["status"][4].startswith(f"surname is none of {texts[0]}, {texts[1]}")


def test_texts_beside_missing_values_are_read_again(tmp_path):
    table = table_of().assign(stain=np.array(["HE", "PAS", "PAS"])[np.arange(48) % 3], empty=np.nan)
    table.loc[[2, 9, 30], "extent"] = np.nan
    table.to_csv(tmp_path / "t.csv", index=False)
    given = {"columns": ("*", "stain"), "missing": "impute", "heads": ("logreg",), "reducers": ("none",)}
    made = learnt(tmp_path / "t.csv", tmp_path, **given).made[0]
    save_bundle(made, tmp_path / "bundle")
    about = json.loads((tmp_path / "bundle" / "bundle.json").read_text())["feature"]["table"]
    assert about["columns"] == [*COLUMNS, "stain"] and about["levels"] == {"stain": ["HE", "PAS"]}
    numbers = table[COLUMNS].to_numpy(np.float32)
    gaps = np.isnan(numbers)
    filled = np.where(gaps, np.nanmedian(numbers, axis=0), numbers)
    X = np.column_stack([filled, table["stain"] == "HE", table["stain"] == "PAS", gaps[:, 1]])
    C, y = made.about["chosen"]["params"]["logisticregression__C"], table["label"] == "ill"
    scaler = StandardScaler().fit(X)
    head = LogisticRegression(class_weight="balanced", max_iter=2000, C=C).fit(scaler.transform(X), y)
    found = glomfeat.load_bundle(tmp_path / "bundle").predict(table)
    assert np.abs(found["score"] - head.predict_proba(scaler.transform(X))[:, 1]).max() < 1e-5
    table.loc[4, "stain"] = "silver"
    table.drop(columns="empty").to_csv(tmp_path / "new.csv", index=False)
    assert run(tmp_path / "bundle", tmp_path / "new.csv", "--out", tmp_path / "e.csv") == 1
    status = pd.read_csv(tmp_path / "e.csv")["status"]
    assert status[4] == "stain is none of HE, PAS" and status.str.startswith(("ok", "unlike")).sum() == 47


def test_columns_of_names_and_classes_are_those_that_the_study_was_told(tmp_path):
    table = table_of().rename(columns={"name": "who", "label": "verdict"})
    table.to_csv(tmp_path / "t.csv", index=False)
    told = {"name_column": "who", "label_column": "verdict", "heads": ("logreg",), "reducers": ("none",)}
    made = learnt(tmp_path / "t.csv", tmp_path, **told).made[0]
    save_bundle(made, tmp_path / "bundle")
    assert made.predict(tmp_path / "t.csv")["name"].tolist() == table["who"].tolist()
    assert run(tmp_path / "bundle", tmp_path / "t.csv", "--out", tmp_path / "e.csv") == 0
    assert "What 48 rows with a label are called" in (tmp_path / "e.html").read_text()


@pytest.mark.parametrize("called", ["name", "who"])
def test_options_name_columns_of_labels_that_the_table_may_lack(texture, tmp_path, capsys, called):
    table, answers = table_of(seed=1), []
    rows, labels = tmp_path / "rows.csv", tmp_path / "labels.csv"
    table[["name", "label"]].set_axis(["who", "verdict"], axis=1).to_csv(labels, index=False)
    for given, *more in (
        (table,),
        (table.drop(columns="label").rename(columns={"name": called}), "--labels", labels, "--label-column", "verdict"),
    ):
        given.to_csv(rows, index=False)
        out = tmp_path / f"e{len(more)}.csv"
        assert run(texture.folders[0], rows, "--out", out, *more, *(["--name-column", "who"] if more else [])) == 0
        answers.append([line for line in capsys.readouterr().out.splitlines() if line.startswith("On ")])
    assert answers[0] == answers[1] and answers[0][0].startswith("On 48 rows of eight cases")


def test_an_ensemble_of_several_tables_has_no_bundle(tmp_path):
    table = table_of()
    table.to_csv(tmp_path / "one.csv", index=False)
    table.drop(columns="tone").to_csv(tmp_path / "two.csv", index=False)
    files = tuple(f"file:{tmp_path}/{name}.csv" for name in ("one", "two"))
    more = {"features": files, "heads": ("logreg",), "reducers": ("none",)}
    other = learnt(tmp_path / "one.csv", tmp_path, (), **more)
    names = [feature.name for feature in other.prepared.features]
    mean = "mean:" + ",".join(f"{name}/none/logreg" for name in names)
    said = f"its members read {names[0]} and {names[1]}, and a bundle reads images or rows of one table"
    with pytest.raises(BundleError, match=said):
        refit_arm(other.prepared, other.extracted, mean)


def test_a_table_beside_images_has_a_bundle_of_its_own(phantom_folder, tmp_path):
    names = sorted(path.stem for path in phantom_folder.rglob("*.png"))
    matrix = np.random.default_rng(0).normal(size=(len(names), 3)).astype(np.float32)
    path = embeddings(tmp_path, "h5", matrix, names)
    asked = {"features": (f"file:{path}", "shortcut"), "heads": ("logreg",), "reducers": ("none",), "size": 24}
    found = learnt(phantom_folder, tmp_path, positive=None, **asked)
    fitted = fit_on_all(
        found.prepared, found.extracted, Arm.parse(found.arms[0]),
        choose_by(found.extracted.manifest, found.prepared.study),
    )  # fmt: skip
    of_image = found.made[0].predict(path).set_index("name")["score"]
    table = found.extracted.manifest.table
    expected = fitted.score(found.extracted.matrices[found.name])
    assert np.array_equal(of_image.loc[table["name"].str.removesuffix(".png")], expected)
    mean = f"mean:{found.name}/none/logreg,shortcut.v1/none/logreg"
    with pytest.raises(BundleError, match=f"its members read {found.name} and images, and a bundle reads images or"):
        refit_arm(found.prepared, found.extracted, mean)


def test_a_table_beyond_the_budget_is_refused_with_numbers_or_read_in_slices(texture, embedded, tmp_path, monkeypatch):
    from glomfeat.bundle import inputs
    from glomfeat.core.memory import BudgetError

    columns, notes = embedded.made[0].table, []
    monkeypatch.setattr(inputs, "held_bytes", lambda process: 0)
    path = embeddings(tmp_path, "npy", embedded.matrix, embedded.names)
    rows = inputs.open_rows(columns, str(path), USUAL, 48 * 4 * 35, notes)
    assert rows.batch == 35
    with pytest.raises(BudgetError, match=r"scoring needs 6\.1 kB \(32 rows of 4 numbers\) and 4\.0 kB of the budget"):
        inputs.open_rows(columns, str(path), USUAL, 4000, notes)
    size = texture.path.stat().st_size
    with pytest.raises(BudgetError, match=r"reading texture\.csv needs .* because it is read as a whole"):
        inputs.open_rows(texture.made[0].table, str(texture.path), USUAL, size * 2, notes)
    path = embeddings(tmp_path, "parquet", embedded.matrix, embedded.names)
    with pytest.raises(BudgetError, match=r"the largest row group, 7 rows of 4 numbers"):
        inputs.open_rows(columns, str(path), USUAL, 100, notes)


def test_a_stopped_run_goes_on_to_the_same_bytes(texture, tmp_path, monkeypatch):
    monkeypatch.setattr("glomfeat.bundle.inputs.MOST_ROWS", 10)
    whole, out = tmp_path / "whole.csv", tmp_path / "stopped.csv"
    run(texture.folders[0], texture.path, "--out", whole)
    shutil.copy(whole.with_suffix(".json"), out.with_suffix(".json"))
    everything = whole.read_bytes()
    for cut in (0, len(HEADER) + 7, len(everything) // 2):
        out.write_bytes(everything[:cut])
        assert run(texture.folders[0], texture.path, "--out", out) == 0
        assert out.read_bytes() == everything, cut
    monkeypatch.undo()
    run(texture.folders[0], texture.path, "--out", tmp_path / "large.csv")
    assert (tmp_path / "large.csv").read_bytes() == everything  # however many rows are read at once


def test_labels_that_do_not_fit_stop_no_prediction(texture, tmp_path, capsys):
    table = pd.read_csv(texture.path).assign(label="something")
    table.to_csv(tmp_path / "new.csv", index=False)
    assert run(texture.folders[0], tmp_path / "new.csv", "--out", tmp_path / "e.csv") == 0
    said = capsys.readouterr().out
    assert "no figures: " in said and "no class is called 'something'" in said
    page = (tmp_path / "e.html").read_text()
    assert "No labels say" not in page and re.search(
        r"% ?\)\. No figures: [^<]*no class is called", html.unescape(page)
    )
    asked = texture.folders[0], tmp_path / "new.csv", "--label-column", "label", "--out", tmp_path / "f.csv"
    assert "no class is called 'something'" in failed(capsys, *asked)
    table.assign(label=1 + np.arange(48) % 2).to_csv(tmp_path / "from_one.csv", index=False)
    assert run(texture.folders[0], tmp_path / "from_one.csv", "--out", tmp_path / "k.csv") == 0
    said = capsys.readouterr().out
    assert "no figures: " in said and "no class is called '2'" in said
    table.assign(label="ill").to_csv(tmp_path / "one.csv", index=False)
    assert run(texture.folders[0], tmp_path / "one.csv", "--out", tmp_path / "g.csv") == 0
    report = (tmp_path / "g.html").read_text()
    assert ">sensitivity</th>" in report and "These rows hold no image of well: no AUROC" in report
    pd.read_csv(texture.path).assign(tone="n/a").to_csv(tmp_path / "bad.csv", index=False)
    assert run(texture.folders[0], tmp_path / "bad.csv", "--out", tmp_path / "i.csv") == 1
    assert "no figures: no row has both a prediction and a label: names of" in capsys.readouterr().out
    some = pd.read_csv(texture.path)
    some.assign(label=some["label"].where(some.index > 4, "unsure")).to_csv(tmp_path / "some.csv", index=False)
    assert run(texture.folders[0], tmp_path / "some.csv", "--out", tmp_path / "j.csv") == 0
    said = capsys.readouterr().out
    assert "labels: 5 are left out of the report, because the model has no such class: unsure" in said
    assert "\nOn 43 rows of eight cases" in said
    table.drop(columns="label").to_csv(tmp_path / "none.csv", index=False)
    assert run(texture.folders[0], tmp_path / "none.csv", "--out", tmp_path / "h.csv") == 0
    assert "No labels say whether these calls are right." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("classes", "labels", "left"),
    [
        (["0", "1"], ["1", "2"], 2),  # counted from 1
        (["benign", "malignant"], ["1", "2"], 2),
        (["0", "1", "2"], ["1", "2", "3", "unsure"], 4),
        (["0", "1"], ["0", "1", "9"], 2),  # 9 is unknown
        (["0", "1"], ["1", "unsure"], 1),
    ],
)
def test_numbers_that_may_count_from_another_one_than_the_classes_give_no_figures(classes, labels, left):
    frame = pd.DataFrame({"name": [f"{k}.png" for k in range(len(labels))], "raw": labels})
    found = of_known_classes(frame, classes, notes := [])
    assert len(found) == left and bool(notes) == (left < len(labels))
    if not notes:
        with pytest.raises(LabelsError, match="no class is called"):
            by_class(found, dict(zip(frame["name"], frame["name"], strict=True)), classes, "t.csv")


def changed(folder, to, change):
    """A bundle whose bundle.json a stranger has changed."""
    shutil.copytree(folder, to)
    about = json.loads((to / "bundle.json").read_text())
    change(about)
    about.pop("crc32", None)
    (to / "bundle.json").write_text(json.dumps(about))
    return to


@pytest.mark.parametrize(
    "change",
    [
        {"columns": ["area", "extent", "edge"]},
        {"columns": ["area", "extent", "edge", "edge"]},
        {"columns": ["area", "extent", "edge", 7]},
        {"columns": None, "lacking": ["nothing"]},
        {"levels": {"area": []}},
        {"levels": {"other": ["a"]}},
        {"levels": None},
        {"rows": "all"},
        {"called": ["a"]},
        {"name_column": 3},
    ],
    ids=str,
)
def test_columns_that_a_stranger_wrote_are_checked(texture, tmp_path, change):
    folder = changed(texture.folders[0], tmp_path / "b", lambda about: about["feature"]["table"].update(change))
    with pytest.raises(BundleError, match=r"does not hold what a bundle holds .*: take a fresh copy"):
        glomfeat.load_bundle(folder)


def test_a_member_of_another_table_or_scores_that_differ_are_refused(texture, tmp_path):
    other = changed(texture.folders[0], tmp_path / "a", lambda about: about["checks"].update(table=[[0.5, 0.5]] * 5))
    with pytest.raises(BundleError, match=r"the bundle's test rows score .* away from what they scored where"):
        glomfeat.load_bundle(other)
    images = changed(texture.folders[0], tmp_path / "b", lambda about: about["feature"].pop("table"))
    with pytest.raises(BundleError, match="take a fresh copy"):
        glomfeat.load_bundle(images)
    newer = changed(texture.folders[0], tmp_path / "c", lambda about: about.update(version=5))
    with pytest.raises(BundleError, match="has format version 5 and this glomfeat reads 4: update glomfeat"):
        glomfeat.load_bundle(newer)


def test_names_that_are_odd_stay_as_they_are(texture, tmp_path):
    table = pd.read_csv(texture.path)[:4].drop(columns="label")
    table["name"] = ["a,b", 'say "x"', "=1+1", "ä\u202e.png"]
    table.to_csv(tmp_path / "t.csv", index=False)
    assert run(texture.folders[0], tmp_path / "t.csv", "--out", tmp_path / "e.csv") == 0
    first = (tmp_path / "e.csv").read_bytes()
    found = pd.read_csv(tmp_path / "e.csv")["name"].tolist()
    assert sorted(found) == sorted(for_spreadsheets(table)["name"]) and "'=1+1" in found
    assert run(texture.folders[0], tmp_path / "t.csv", "--out", tmp_path / "e.csv") == 0
    assert (tmp_path / "e.csv").read_bytes() == first
