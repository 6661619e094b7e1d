"""The bundle of an ensemble: what its members say on average, whole or refused."""

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import glomfeat
from glomfeat.bundle.evaluate import paced
from glomfeat.bundle.format import BundleError
from glomfeat.bundle.save import folder_of, save_bundle
from glomfeat.comparison.refit import refit_arm, save_models
from glomfeat.core.seeds import seed_for
from glomfeat.data.splits import inner_splits
from glomfeat.metrics.thresholds import choose_threshold
from glomfeat.models.calibration import fit_calibration
from glomfeat.models.heads.built_in import make_head
from glomfeat.models.heads.scoring import scores_of
from glomfeat.models.selection import fit_chosen
from studies import evaluate, refit

pytestmark = pytest.mark.usefixtures("dealt_once", "without_figures")

ARM = "mean:shortcut.v1/none/logreg,shortcut.v1/none/svm"
WITH_NET = "mean:shortcut.v1/none/svm,net:F-D8-out,shortcut.v1/none/logreg"


@pytest.fixture(scope="module")
def made(models, tmp_path_factory):
    """The bundle of an ensemble with a network that reads images of another size, in memory and in a folder."""
    bundle, folder = refit_arm(models.prepared, models.extracted, WITH_NET), tmp_path_factory.mktemp("mean") / "bundle"
    save_bundle(bundle, folder)
    return bundle, folder


def images_of(models):
    return models.extracted.manifest.table["path"].tolist()


def test_a_folder_scores_to_the_last_bit_as_the_ensemble_in_memory(models, made):
    images, (bundle, folder) = images_of(models), made
    loaded = glomfeat.load_bundle(folder, device="cpu")
    in_memory, read = bundle.predict(images), loaded.predict(images)
    pd.testing.assert_frame_equal(in_memory, read, check_exact=True)
    assert np.abs(loaded.predict(images, batch=5)["score"] - read["score"]).max() <= 1e-6
    proba = loaded.predict_proba(images)
    assert proba.shape == (24, 2) and np.array_equal(proba[:, 1], read["score"])
    assert (read["prediction"] == (read["score"] >= loaded.threshold)).all() and loaded.threshold == bundle.threshold
    names = sorted(path.name for path in folder.iterdir() if path.is_dir())
    assert names == ["member-001", "member-002", "member-003"]
    members = [glomfeat.load_bundle(folder / name, device="cpu") for name in names]
    assert ",".join(member.about["arm"] for member in members) == WITH_NET.removeprefix("mean:")
    assert [member.preprocess.size for member in members] == [64, 128, 64]
    mean = np.mean([member.predict_proba(images)[:, 1] for member in members], axis=0)
    np.testing.assert_allclose(proba[:, 1], mean, atol=1e-15)
    assert [member.calibration.kind for member in members][::2] == ["platt", "platt"]


def test_the_threshold_is_chosen_on_the_mean_of_calibrated_inner_scores(models):
    prepared, extracted = models.prepared, models.extracted
    bundle, manifest, rows = refit_arm(prepared, extracted, ARM), extracted.manifest, np.arange(24)
    X = np.asarray(extracted.matrices["shortcut.v1"][:])
    splits = inner_splits(manifest.labels, manifest.cases, rows, rows[:0], seed_for(0, "inner", "refit"))
    held, inner, scores = np.concatenate([held for _, held in splits]), [], []
    for name in ("logreg", "svm"):
        head = make_head(name, seed_for(0, f"shortcut.v1/none/{name}", "refit"))
        chosen = fit_chosen(head, X, manifest.labels, rows, splits, 2, "balanced")
        of_splits = []
        for fit, valid in splits:
            estimator = head.estimator.set_params(**chosen.params).fit(X[fit], manifest.labels[fit])
            of_splits.append(scores_of(estimator, X[valid], 2))
        of_splits = np.concatenate(of_splits)
        platt = fit_calibration("platt", manifest.labels[held], of_splits)
        by_row = pd.Series(platt.apply(of_splits)).groupby(held).mean()
        inner.append(by_row.to_numpy())
        scores.append(platt.apply(scores_of(chosen.estimator, X, 2)))
    expected = choose_threshold(manifest.labels[by_row.index], np.mean(inner, axis=0), "balanced")
    assert bundle.threshold == pytest.approx(expected, abs=2e-3)
    found = bundle.predict(images_of(models), batch=24)["score"]
    np.testing.assert_allclose(found, np.mean(scores, axis=0), atol=2e-3)  # logreg stops at its solver's tolerance


def test_a_feature_of_several_members_is_computed_once(models, made, monkeypatch):
    calls, images = [], images_of(models)
    bundle = glomfeat.load_bundle(made[1], device="cpu")
    transform = glomfeat.Handcrafted.transform

    def counted(feature, pixels, sizes):
        calls.append(len(pixels))
        return transform(feature, pixels, sizes)

    monkeypatch.setattr(glomfeat.Handcrafted, "transform", counted)
    bundle.predict_proba(images, batch=24)
    assert calls == [24]
    faster, _, _ = paced(bundle, images, 24, 2, 10**10)
    monkeypatch.undo()
    assert np.array_equal(faster.predict_proba(images, batch=24), bundle.predict_proba(images, batch=24))


def test_an_image_that_one_member_finds_unlike_is_marked(made):
    green = np.zeros((70, 70, 3), np.uint8)
    green[..., 1] = 200
    assert made[0].predict([green])["status"].tolist() == ["ok (unlike training data)"]
    assert made[0].rows(["x"], [made[0].decode(green)])[0][-1] == ("colour", "features")
    assert made[0].predict(["nowhere.png"])["status"].tolist() == ["cannot be opened: No such file or directory"]


def test_cards_say_what_an_ensemble_and_its_members_are(models, made):
    results = pd.read_csv(Path(models.prepared.study.out) / "results.csv").set_index("arm")
    card, member = (made[1] / "card.md").read_text(), (made[1] / "member-001" / "card.md").read_text()
    for text in (
        "The mean of the scores of 3 models, each calibrated (platt), with a threshold of its own.",
        "- `member-002`: net:F-D8-out",
        "was chosen on the mean of their scores of inner-valid cases",
        f"{results.loc[WITH_NET, 'auroc']:.3f}",
    ):
        assert text in card, text
    assert f"This is a member of the ensemble `{WITH_NET}`. For it scores were calibrated, and the figures" in member
    table = models.extracted.manifest.table
    everything = b"".join(path.read_bytes() for path in made[1].rglob("*") if path.is_file())
    assert not any(name.encode() in everything for name in [*table["case"], *table["slide"], *table["name"]])


def test_refit_and_evaluate_take_an_ensemble(models, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    to = tmp_path / "runs" / "here"
    assert refit.main([str(models.prepared.study.out), "--arm", ARM, "--to", str(to), "--jobs", "1"]) == 0
    (tmp_path / "images").mkdir()
    for path in images_of(models)[:4]:
        shutil.copy(path, tmp_path / "images")
    (tmp_path / "images" / "text.dat").write_text("no image")
    assert evaluate.main(["images", "--device", "cpu", "--jobs", "1"]) == 1
    assert "the newest of 1 under" in capsys.readouterr().out.replace("\n", " ")
    table = pd.read_csv("evaluation.csv", dtype={"score": str}).astype({"score": float})
    good = [path for path in sorted((tmp_path / "images").iterdir()) if path.suffix == ".png"]
    expected = glomfeat.load_bundle(to).predict(good)
    assert table["score"].dropna().tolist() == expected["score"].tolist()
    assert (table["threshold"].dropna() == expected["threshold"]).all() and table["status"].str.startswith(
        "ok"
    ).sum() == 4


def test_models_of_a_study_are_saved_with_its_ensembles(models):
    said = []
    found = save_models(models.prepared, models.extracted, said.append, [ARM])
    assert (
        found == {ARM: Path(models.prepared.study.out) / "models" / folder_of(ARM)}
        and (found[ARM] / "member-002").is_dir()
    )
    long = "mean:" + ",".join(f"feature{k}.v1/none/svm" for k in range(30))
    assert len(folder_of(long)) < 100 and folder_of(long) != folder_of(f"{long},net:compact")


def signed(folder, **values):
    about = json.loads((folder / "bundle.json").read_text()) | values
    (folder / "bundle.json").write_text(json.dumps(about))
    data = (folder / "bundle.json").read_bytes()
    if (folder.parent / "bundle.json").exists():
        above = json.loads((folder.parent / "bundle.json").read_text())
        above["members"][folder.name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
        (folder.parent / "bundle.json").write_text(json.dumps(above))


def damage_extra_folder(folder):
    shutil.copytree(folder / "member-001", folder / "member-004")


def damage_other_folder(folder):
    (folder / "more").mkdir()


def damage_gone(folder):
    shutil.rmtree(folder / "member-002")


def damage_link(folder):
    (folder / "member-002").rename(folder.parent / "elsewhere")
    (folder / "member-002").symlink_to(folder.parent / "elsewhere")


def damage_link_inside(folder):
    (folder / "member-002" / "bundle.json").rename(folder.parent / "elsewhere.json")
    (folder / "member-002" / "bundle.json").symlink_to(folder.parent / "elsewhere.json")


def damage_changed(folder):
    path = folder / "member-001" / "bundle.json"
    path.write_text(path.read_text().replace("platt", "plott"))


def damage_deep_inside(folder):
    (folder / "member-001" / "model.pkl").write_bytes(b"")


def damage_nested(folder):
    shutil.copytree(folder / "member-003", folder / "member-001" / "member-001")
    signed(folder / "member-001", kind="ensemble")


def damage_path(folder):
    about = json.loads((folder / "bundle.json").read_text())
    about["members"]["../elsewhere"] = about["members"].pop("member-001")
    (folder / "bundle.json").write_text(json.dumps(about))
    (folder / "member-001").rename(folder.parent / "elsewhere")


def damage_swapped(folder):
    (folder / "member-001").rename(folder / "x")
    (folder / "member-003").rename(folder / "member-001")
    (folder / "x").rename(folder / "member-003")
    for name in ("member-001", "member-003"):
        signed(folder / name)


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (damage_extra_folder, "holds 'member-004', which is not a plain file: remove it"),
        (damage_other_folder, "holds 'more', which is not a plain file: remove it"),
        (damage_gone, "lacks its member 'member-002'"),
        (damage_link, "holds the link 'member-002'"),
        (damage_link_inside, "member-002 is not a bundle, as a member of an ensemble must be"),
        (damage_changed, r"member-001/bundle\.json has changed since it was written \(its SHA-256 differs\)"),
        (damage_deep_inside, r"member-001 holds 'model\.pkl', and bundles hold only"),
        (damage_nested, "member-001 is neither a head nor a network, and a member is one of them"),
        (damage_path, r"lacks its member '\.\./elsewhere'"),
        (damage_swapped, "members are not those of the arm"),
        (lambda folder: signed(folder, members={}), "lists no members as an ensemble does"),
        (lambda folder: signed(folder, members=["member-001"]), "lists no members as an ensemble does"),
        (lambda folder: signed(folder, kind="features"), "lists no members as an ensemble does"),
        (lambda folder: signed(folder, classes=["a", "b"]), "members of other classes"),
        (lambda folder: signed(folder, threshold={"value": 2, "rule": "youden"}), r"threshold is not in 0\.\.1"),
    ],
)
def test_a_damaged_or_crafted_ensemble_is_refused_in_a_sentence(made, tmp_path, damage, said):
    folder = shutil.copytree(made[1], tmp_path / "bundle")
    damage(folder)
    with pytest.raises(BundleError, match=said) as caught:
        glomfeat.load_bundle(folder, device="cpu")
    assert "\n" not in str(caught.value)


def test_members_of_a_single_model_are_refused(made, tmp_path):
    folder = shutil.copytree(made[1] / "member-001", tmp_path / "bundle")
    shutil.copytree(made[1] / "member-003", folder / "member-001")
    with pytest.raises(BundleError, match="holds 'member-001', which is not a plain file: remove it"):
        glomfeat.load_bundle(folder, device="cpu")
