"""The studies of the original: quick runs, what was published beside ours, growing, padding, layers as a name."""

import csv
import shlex
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from helpers.runs import GOOD, make_run, of_arm
from PIL import Image

from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.plugins import PluginError
from glomfeat.data.manifest import read_manifest
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.data.splits import fold_rows, make_folds
from glomfeat.models.nets import ARCHITECTURES, check_net, find_architecture, net_side
from glomfeat.models.nets.build import build, count
from glomfeat.models.nets.network import Network
from glomfeat.results.tables import results_table
from studies import _original, baselines, homemade, padding, pretrained
from studies._cli import parse_options
from studies._original import QUICK_SAID, OriginalStudy, published, shorten
from studies._sample import sample

pytestmark = pytest.mark.usefixtures("dealt_once")

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def smaller_yet(monkeypatch, tmp_path_factory):
    """Quick runs for tests: pictures of 8 and 14 pixels, 48 images."""
    monkeypatch.setattr(_original, "QUICK_SHRINK", 16)
    monkeypatch.setattr(_original, "QUICK_IMAGES", 48)
    monkeypatch.setattr(_original, "QUICK_CASES", 8)
    monkeypatch.setattr(_original, "QUICK_PX", (60, 90))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.getbasetemp() / "studies-cache"))


@pytest.fixture
def few_steps(monkeypatch):
    """Growing that ends after five networks."""
    grow = baselines.grow
    monkeypatch.setattr(baselines, "grow", lambda judge: grow(judge, max_steps=5))


def run_quick(study, tmp_path, *more):
    return study.main(["--quick", "--jobs", "1", "--out", str(tmp_path / "out"), *more])


def in_the_csv(name):
    with (ROOT / "studies" / "published.csv").open(newline="") as file:
        return [row for row in csv.DictReader(file) if row["name"] == name]


@pytest.mark.parametrize(
    ("study", "nets", "more"),
    [
        pytest.param(homemade, homemade.NETS, (), marks=pytest.mark.slow),
        (baselines, ("baseline-1",), ("--epochs", "1", "--nets", "baseline-1")),
        pytest.param(baselines, baselines.QUICK["nets"], ("--epochs", "1"), marks=pytest.mark.slow),
        pytest.param(
            pretrained, pretrained.QUICK["nets"], ("--size", "32", "--weights", "none"), marks=pytest.mark.slow
        ),
    ],
    ids=["homemade", "one of the baselines", "baselines", "pretrained"],
)
def test_a_quick_study_prints_the_published_beside_ours(tmp_path, capsys, study, nets, more):
    assert run_quick(study, tmp_path, *more) == 0
    said, out = capsys.readouterr().out, tmp_path / "out"
    lines = said.strip().splitlines()
    assert lines[0].strip() == lines[-1].strip() == QUICK_SAID
    assert QUICK_SAID in (out / "results.md").read_text()
    assert "published: image-level, one split of 577 images; ours: by case, AUROC as the mean over folds, " in said
    assert "not comparable with the published figures at all" in said
    left_out = set() if "--nets" in more else set(study.NETS) - set(nets)  # what is asked for leaves nothing out
    assert all(name in said.split("left out: ")[1].splitlines()[0] for name in left_out)
    results = pd.read_csv(out / "results.csv").set_index("arm")
    assert (results["status"] == "done").all() and (results["n_trials"] == 2).all()
    assert {f"net:{net}" for net in nets} <= set(results.index)
    table = pd.read_csv(out / "published.csv", dtype=str, keep_default_na=False)
    for net in nets:
        theirs = table[(table["net"] == net) & (table["whose"] == "published")]
        assert theirs["accuracy"].tolist() == [row["accuracy"] for row in in_the_csv(net)]
        assert theirs["train_s"].tolist() == [row["train_s"] for row in in_the_csv(net)]
        assert all(accuracy in said for accuracy in theirs["accuracy"])
        ours = table[(table["net"] == net) & (table["whose"] == "ours")].iloc[0]
        row = results.loc[f"net:{net}"]
        assert float(ours["accuracy"]) == pytest.approx(row["accuracy"], abs=1e-5)
        assert (float(ours["fn"]), float(ours["fp"])) == (row["fn"], row["fp"])


def test_homemade_shows_both_matrices_and_writes_roc_points(tmp_path, capsys, without_report):
    assert run_quick(homemade, tmp_path, "--nets", "homemade-128") == 0
    out = tmp_path / "out"
    assert "0.97574" in capsys.readouterr().out
    table = pd.read_csv(out / "published.csv", dtype=str)
    assert table["decision"].tolist()[:3] == ["0.5", "0.5", "0.207789 (test set)"]
    assert table["fn"].tolist()[0::2] == ["8", "5"] and table["fp"].tolist()[0::2] == ["6", "20"]
    row = pd.read_csv(out / "results.csv").set_index("arm").loc["net:homemade-128"]
    assert (float(table["fn"][3]), float(table["fp"][3])) == (row["fn_t"], row["fp_t"])
    assert table.loc[3, ["tn", "fp", "fn", "tp"]].astype(float).sum() == 48
    trials = pd.read_csv(out / "trials.csv").set_index(["arm", "fold"])
    roc = pd.read_csv(out / "roc.csv")
    assert set(roc["fold"]) == {0, 1} and set(roc["arm"]) == {"net:homemade-128"}
    for (arm, fold), points in roc.groupby(["arm", "fold"]):
        area = np.trapezoid(points["tpr"], points["fpr"])
        assert area == pytest.approx(trials.loc[(arm, fold), "auroc"])


@pytest.mark.parametrize(
    ("options", "arm"),
    [
        ({}, "net:homemade-128"),
        ({"padding": ("white", "zero")}, "net:homemade-128@white"),
        ({"stain": ("macenko", "none")}, "net:homemade-128@none"),
        ({"size": (64, 224)}, "net:homemade-128"),
        ({"padding": "zero"}, None),
        ({"stain": "macenko"}, None),
        ({"tta": 8}, None),
    ],
)
def test_published_figures_are_beside_arms_that_read_such_images(phantom_folder, tmp_path, options, arm):
    """The published network read white padding, no normalised stain, and each image once."""
    prepared = prepare(homemade.Homemade(data=str(phantom_folder), out=str(tmp_path / "out"), **options), [].append)
    row = published(["homemade-128"])[0]
    assert row["padding"] == "white" and _original.arm_of(row, prepared) == arm


def test_three_classes_are_called_by_the_largest_score_and_say_so_beside_two(monkeypatch):
    run = make_run(classes=3)
    monkeypatch.setattr(_original, "arm_of", lambda row, prepared: GOOD)
    table = _original.beside(run, results_table(run), published(["homemade-128"]), None)
    assert table["decision"].tolist() == ["0.5", "argmax"]
    found = of_arm(run, GOOD)
    right = np.concatenate([score.argmax(axis=1) == label for label, score, _ in found])
    assert table["accuracy"].tolist() == ["0.97574", f"{right.mean():.5f}"]
    said = _original.caveats(SimpleNamespace(study=homemade.Homemade(data="images"), manifest=run.manifest))
    assert said[1] == "published: two classes; ours: 3, and the AUROC is the mean of each class against the rest"


@pytest.mark.slow
def test_a_quick_study_is_repeated_from_its_yaml(tmp_path, capsys, without_report):
    assert run_quick(baselines, tmp_path, "--nets", "baseline-1", "--epochs", "2") == 0
    options = yaml.safe_load((tmp_path / "out" / "study.yaml").read_text())
    assert (options["quick"], options["data"], options["epochs"], options["folds"]) == (True, None, 2, 2)
    again = ["--config", str(tmp_path / "out" / "study.yaml"), "--out", str(tmp_path / "again")]
    assert baselines.main(again) == 0
    one, two = ((tmp_path / name / "predictions.parquet").read_bytes() for name in ("out", "again"))
    assert one == two
    capsys.readouterr()
    assert baselines.main([*again, "--dry-run"]) == 0
    assert "4 trials, 4 done" in capsys.readouterr().out


def test_published_is_the_file_as_it_is():
    assert [row["accuracy"] for row in published(["homemade-128"])] == ["0.97574", "0.95667"]
    names = {*baselines.NETS, *homemade.NETS, *pretrained.NETS, "padding-study"}
    rows = published(names)
    assert len(rows) == 26 and {row["name"] for row in rows} == names


def test_quick_keeps_what_is_given():
    study = shorten(pretrained.Pretrained(folds=3, nets=("compact",)), pretrained.QUICK)
    assert (study.folds, study.epochs, study.size, study.nets) == (3, 1, 64, ("compact",))
    assert study.features == pretrained.QUICK["features"]
    assert shorten(pretrained.Pretrained(scheme="given:split"), {}).folds == 5  # which folds would not change
    assert shorten(pretrained.Pretrained(nets=()), {}).epochs is None


def test_a_sample_holds_each_class_in_each_part_of_a_given_split(phantom_folder):
    manifest = read_manifest(phantom_folder)
    cases = sorted(set(manifest.table["case"]))
    part = manifest.table["case"].map(lambda case: "test" if case in cases[:2] else "train")
    split = replace(manifest, table=manifest.table.assign(given=part))
    for seed in range(8):
        drawn = sample(split, 12, seed, holders=1).table
        assert set(zip(drawn["given"], drawn["label"], strict=True)) == {
            (p, c) for p in ("train", "test") for c in (0, 1)
        }


def test_a_sample_keeps_whole_cases(phantom_folder):
    manifest = read_manifest(phantom_folder)
    part = sample(manifest, 30, seed=0)
    whole, kept = (m.table.groupby("case").size() for m in (manifest, part))
    assert (kept == whole[kept.index]).all() and 30 <= len(part) < 48
    assert part.table.groupby("label")["case"].nunique().min() >= 4
    assert part.said[0].startswith(f"{len(part)} images of {len(kept)} cases: ")
    assert ", drawn from 48 images of 8 cases: " in part.said[0]
    assert sample(manifest, 30, seed=0).digest == part.digest and sample(manifest, 48, seed=0) is manifest
    assert len({frozenset(sample(manifest, 24, seed, holders=2).table["case"]) for seed in range(8)}) > 1


@pytest.mark.slow
def test_a_quick_study_of_own_images_samples_them(phantom_folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(_original, "QUICK_IMAGES", 24)
    assert run_quick(baselines, tmp_path, str(phantom_folder), "--nets", "baseline-1", "--epochs", "1") == 0
    folds = pd.read_csv(tmp_path / "out" / "folds.csv")
    manifest = read_manifest(phantom_folder).table
    assert 24 <= len(folds) < 48
    assert len(folds) == manifest["case"].isin(set(folds["case"])).sum()
    assert "drawn from 48 images" in capsys.readouterr().out


@pytest.mark.slow
def test_a_cohort_is_shown_and_its_unread_images_make_the_run_incomplete(tmp_path, capsys, without_report):
    there = make_phantom(tmp_path / "there", Phantom(images=16, cases=4, seed=9, min_px=60, max_px=90), 1)
    next(there.rglob("*.png")).write_bytes(b"no image")
    assert run_quick(baselines, tmp_path, "--nets", "baseline-1", "--epochs", "1", "--test", f"north={there}") == 1
    said = capsys.readouterr().out
    assert "elsewhere: north, 15 images" in said and "1 of 16 images cannot be read" in said


@pytest.mark.slow
def test_paddings_share_folds_and_one_table(tmp_path, capsys):
    assert run_quick(padding, tmp_path) == 0
    said, out = capsys.readouterr().out, tmp_path / "out"
    lines = said.strip().splitlines()
    assert lines[0].strip() == lines[-1].strip() == QUICK_SAID
    wanted = {(f"homemade-{side}", way) for side in (128, 224) for way in padding.PADDINGS}
    results = pd.read_csv(out / "results.csv")
    arms = {f"net:{net}@{way}" for net, way in wanted}
    assert set(results["arm"]) == {"none/none/dummy", *arms} and len(results) == 9
    assert (results["auroc_lo"] <= results["auroc"]).all() and (results["auroc"] <= results["auroc_hi"]).all()
    both = results.set_index("arm")
    paired = pd.read_csv(out / "paired.csv").set_index(["net", "padding"])
    assert (
        set(paired.index) == {(net, way) for net, way in wanted if way != "white"} and paired["p"].between(0, 1).all()
    )
    difference = both.loc["net:homemade-128@edge", "auroc"] - both.loc["net:homemade-128@white", "auroc"]
    assert paired.loc[("homemade-128", "edge"), "difference"] == pytest.approx(difference, abs=1e-5)
    curves = pd.read_csv(out / "curves.csv")
    assert set(curves["arm"]) == arms
    table = pd.read_csv(out / "published.csv", dtype=str)
    theirs = table[table["whose"] == "published"].set_index("net")["accuracy"]
    assert theirs["homemade-128@white"] == "0.96707" and theirs["homemade-224@white"] == "0.96014"
    assert "0.96014" in said
    # each padding changes the pictures, so it changes the scores
    scores = pd.read_parquet(out / "predictions.parquet").groupby("arm")["score"].apply(tuple)
    assert len({scores[f"net:homemade-128@{way}"] for way in padding.PADDINGS}) == 4


@pytest.mark.parametrize("wide", [20, 24])
def test_paddings_of_square_images_are_told_to_be_one(tmp_path, wide):
    for k in range(16):
        folder = tmp_path / "images" / ("GS" if k % 2 else "nonGS")
        folder.mkdir(parents=True, exist_ok=True)
        size = 20, wide if k == 15 else 20
        Image.fromarray(np.full((*size, 3), 9 * k, np.uint8)).save(folder / f"P{k // 2}_PAS_1of1_{k:024x}.png")
    study = padding.Padding(data=str(tmp_path / "images"), cache=str(tmp_path / "cache"), out=str(tmp_path / "out"))
    prepared = prepare(study, [].append)
    assert padding.same_pixels(prepared, prepared.manifest) == (wide == 20)


def test_padding_refuses_what_it_would_not_do(tmp_path):
    with pytest.raises(ValueError, match="--padding is zero: white, which is compared to, and at least one other are"):
        padding.main(["--padding", "zero"])
    (tmp_path / "thesis.docx").write_text("mine")
    with pytest.raises(ValueError, match="holds files but no study: choose another folder with --out"):
        padding.main(["--quick", "--out", str(tmp_path)])


def judge_by(function):
    """A judge whose AUROC is a function of the layers; what has a dense layer of 512 twice overfits."""

    def judge(layers):
        train = 0.1 if layers.count("D512") >= 2 or "C16" in layers else 0.5
        return baselines.Judged(function(layers), 0.5, train)

    return judge


def test_growing_follows_the_procedure_and_says_why():
    def auroc(layers):
        return 0.8 + 0.01 * ("C16" in layers) + 0.01 * ("BN" in layers) - 0.01 * (layers.count("D512") == 0)

    steps = list(baselines.grow(judge_by(auroc)))
    named = [(step["candidate"], step["kept"]) for step in steps]
    assert named[:5] == [
        ("F-out", True),
        ("F-D512-out", True),
        ("F-D512-D512-out", True),
        ("C16-F-D512-out", True),
        ("C16-C32-F-out", False),
    ]
    assert ("C16-BN-F-D512-BN-out", True) in named and named[-1] == ("C16-BN-F-D64-BN-out", False)
    assert all(step["reason"] for step in steps)
    assert [step["step"] for step in steps] == list(range(1, len(steps) + 1))
    for step in steps:
        assert "-".join(find_architecture(step["candidate"]).layers) == step["candidate"]


def test_growing_ends_whatever_the_judge_says():
    better = iter(range(10**6))
    always = list(baselines.grow(lambda layers: baselines.Judged(next(better), 0.5, 0.5)))
    assert len(always) <= baselines.MAX_STEPS and always[-1]["kept"]
    grown = find_architecture(always[-1]["candidate"]).layers
    assert {"C16", "C32", "C64", "BN", "MP"} <= set(grown)
    never = list(baselines.grow(lambda layers: baselines.Judged(why="memory: needs more")))
    assert not any(step["kept"] for step in never[1:]) and all(step["reason"] for step in never)
    assert len(list(baselines.grow(judge_by(len), max_steps=4))) == 4


class Guarded:
    """Pixels whose forbidden rows cannot be read."""

    def __init__(self, pixels, forbidden):
        self.pixels, self.forbidden = pixels, forbidden

    def __len__(self):
        return len(self.pixels)

    def __getitem__(self, rows):
        assert not np.isin(rows, self.forbidden).any(), "an outer-test row was read"
        return self.pixels[rows]


def test_growing_reads_no_outer_test_row(phantom_folder, few_steps):
    manifest = read_manifest(phantom_folder)
    folds = make_folds(manifest, folds=2)
    _, test, _ = fold_rows(folds, 0, 0)
    pixels = np.random.default_rng(0).integers(0, 200, (48, 8, 8, 3), np.uint8)
    pixels[manifest.labels == 1] += 20
    settings = {"side": 8, "epochs": 2, "batch": 16, "device": "cpu"}
    study = Study(folds=2)
    honest = list(baselines.grow_on_fold(pixels, manifest, folds, settings, study, 10**9))
    table = manifest.table.copy()
    table.loc[test, "label"] = 1 - table.loc[test, "label"]
    changed = type(manifest)(table, manifest.classes, manifest.by_case)
    guarded = Guarded(pixels, test)
    garbage = list(baselines.grow_on_fold(guarded, changed, folds, settings, study, 10**9))
    pd.testing.assert_frame_equal(pd.DataFrame(honest), pd.DataFrame(garbage))
    small = list(baselines.grow_on_fold(pixels, manifest, folds, settings, study, 10))
    assert all("memory: needs" in step["reason"] for step in small)


def test_a_quick_growth_writes_its_steps_and_resumes(tmp_path, capsys, monkeypatch, few_steps):
    given = "--grow", "--epochs", "2", "--seed", "3", "--threshold", "youden"
    assert run_quick(baselines, tmp_path, *given) == 0
    said, out = capsys.readouterr().out, tmp_path / "out"
    assert "--threshold youden changes nothing: --grow compares no arms" in said
    lines = said.strip().splitlines()
    assert lines[0].strip() == lines[-1].strip() == QUICK_SAID
    written = (out / "growth.csv").read_bytes()
    table = pd.read_csv(out / "growth.csv")
    assert len(table) <= 5 and table["reason"].notna().all()
    grown = table.loc[table["kept"], "candidate"].iloc[-1]
    assert f"grown: {grown}" in said
    _, again = said.split("compare it on all folds: python -m studies.baselines ")
    study = parse_options(baselines.Baselines, shlex.split(again.splitlines()[0]), "")
    assert (study.quick, study.seed, study.epochs, study.grow) == (True, 3, 2, False)  # so that its folds are these
    assert study.nets == (grown, "baseline-12") and study.out == f"{out}-grown"
    monkeypatch.setattr("glomfeat.models.nets.make_net", lambda *a, **b: pytest.fail("trained again"))
    monkeypatch.setattr("glomfeat.models.nets.net_bytes", lambda *a, **b: 0)
    assert run_quick(baselines, tmp_path, *given) == 0
    assert (out / "growth.csv").read_bytes() == written


def test_layers_are_the_name_of_a_network():
    name = "-".join(ARCHITECTURES["baseline-12"].layers)
    for text in (name, name.replace("-", ",")):
        assert check_net(text) == text and net_side(text) == 128
        found, known = find_architecture(text), ARCHITECTURES["baseline-12"]
        assert (found.layers, found.init, found.l2, found.l2_on) == (known.layers, known.init, known.l2, known.l2_on)
    with torch.device("meta"):
        assert count(build(find_architecture(name))).total == 16818209
    network = Network("CBR8s2-GAP-out", side=16, classes=3)
    assert network(torch.zeros((2, 16, 16, 3), dtype=torch.uint8)).shape == (2, 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("C16-BM-F-out", "no layer is called 'BM': known: BN, C16, CBR16, CBR16s2, D64, DO0.2, F, GAP, MP, out"),
        ("C-F-out", "no layer is called 'C'"),
        ("C16-F-D0-out", "no layer is called 'D0'"),
        ("C16-F-DO2-out", "no layer is called 'DO2'"),
        ("C16-D64-F-out", "'D64' is in the wrong place; first layers of pictures"),
        ("F-C16-out", "'C16' is in the wrong place"),
        ("F-MP-out", "then layers of rows (D64, BN, DO0.2), then out, such as C16-BN-MP-F-D64-out"),
        ("C16-out", "net 'C16-out': F or GAP is missing; first layers of pictures"),
        ("F-out-out", "'out' is in the wrong place"),
        ("C16-F-D64", "also layers such as C16-BN-MP-F-D64-out"),
    ],
)
def test_a_wrong_list_of_layers_says_what_is_allowed(name, said):
    with pytest.raises(PluginError) as wrong:
        check_net(name)
    assert said in str(wrong.value)


def test_layers_are_an_arm_of_a_comparison(phantom_folder, tmp_path, capsys, without_report):
    from studies import compare

    name = "C4-BN-MP-F-D8-out"
    options = ["--features", "--heads", "logreg", "--nets", name, "--size", "16", "--epochs", "1", "--folds", "2"]
    assert compare.main([str(phantom_folder), *options, "--jobs", "1", "--out", str(tmp_path / "out")]) == 0
    results, said = pd.read_csv(tmp_path / "out" / "results.csv").set_index("arm"), capsys.readouterr().out
    assert results.loc[f"net:{name}", "status"] == "done" and f"net:{name}" in said
    assert f"The only arm is {name} (network), with an AUROC of {results.loc[f'net:{name}', 'auroc']:.3f} (" in said
    assert "For images of yours" not in said


@pytest.mark.parametrize("name", ["homemade", "baselines", "pretrained", "padding"])
def test_help_is_light(name):
    code = f"import sys, studies.{name} as s\ntry: s.main(['--help'])\nexcept SystemExit: pass\nprint(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    *shown, modules = done.stdout.splitlines()
    assert "--quick" in " ".join(shown) and "--nets" in " ".join(shown)
    heavy = {"pandas", "sklearn", "skimage", "scipy", "joblib", "matplotlib", "torch"}
    assert not heavy & {module.split(".")[0] for module in modules.split()}


def test_every_study_can_be_quick():
    for cls in (homemade.Homemade, baselines.Baselines, pretrained.Pretrained, padding.Padding):
        assert issubclass(cls, OriginalStudy) and cls().quick is False and cls().preset == "default"
        assert cls().out.startswith("runs/")
