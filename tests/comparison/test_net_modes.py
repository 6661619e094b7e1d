"""Studies of networks of timm: their arms, bundles, starts and plans, and what is left when one is killed."""

import re
import shutil
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study

from glomfeat.bundle import card
from glomfeat.bundle.format import BundleError
from glomfeat.bundle.load import load_bundle
from glomfeat.bundle.seen import Seen
from glomfeat.bundle.selftest import check
from glomfeat.comparison import bundle_notes, forecast, starts
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.starts import _distance, learnt_before, lines_on_recipe, noted_starts
from glomfeat.comparison.ways import Way
from glomfeat.core import progress
from glomfeat.core.arms import Arm, StudyError
from glomfeat.core.errors import InputError
from glomfeat.data.images.decode import Preprocess
from glomfeat.data.phantom import Phantom, make_phantom
from glomfeat.features.deep import device
from glomfeat.models.nets import FROM_NOTHING
from glomfeat.models.nets.pretrained import Pretrained, load_backbone
from glomfeat.models.nets.training import IN_BFLOAT16, NetClassifier
from studies import compare as compare_command
from studies import evaluate, refit

pytestmark = pytest.mark.usefixtures("dealt_once")

VIT, LAYERS = "timm:test_vit:lora", "C4-MP-GAP-out"
TINY = {"features": (), "nets": (VIT, LAYERS), "epochs": 1, "size": 32, "weights": "none", "folds": 2, "jobs": 1}


def run_tiny(place, **options):
    return run_study(place, **{"inside": 0} | TINY | options)


@pytest.fixture(scope="module")
def finished(few_images, tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.report.write.write_report", lambda out, *rest, **more: Path(out) / "report.html")
        place = tmp_path_factory.mktemp("modes")
        asked = {"tta": 8, "layer_decay": 0.9, "augment": "histology", "save_models": True}
        return place, run_tiny(place, data=str(few_images), **asked)[-1]


def test_arms_say_that_they_average_over_views_and_lines_say_what_cannot_be_followed(finished):
    place, said = finished
    results = pd.read_csv(place / "out" / "results.csv").set_index("arm")
    arms = [f"net:{VIT}+tta8", f"net:{LAYERS}+tta8"]
    assert {*results.index} == {"none/none/dummy", *arms} and (results["status"] == "done").all()
    assert f"net:{LAYERS}+tta8: trained without --layer-decay, which it cannot use" in said
    assert re.search("net:timm:test_vit:lora.tta8: 2 trials take about", "\n".join(said))
    assert results.loc[arms[0], "weights"].startswith("random (seed 0)")


@pytest.mark.parametrize("name", [VIT, LAYERS])
def test_a_bundle_keeps_the_merged_network_and_its_views(finished, few_images, name):
    folder = finished[0] / "out" / "models" / ("net+" + re.sub(r"[^\w.@-]+", "+", name) + "+tta8")
    bundle = load_bundle(folder, device="cpu")
    assert bundle.about["net"]["name"] == f"{name}+tta8"
    assert check(bundle) < 1e-6
    net = bundle.model.net
    side = bundle.about["net"]["side"]
    pixels = np.random.default_rng(0).integers(0, 256, (3, side, side, 3), np.uint8)
    turned = np.ascontiguousarray(np.rot90(pixels, axes=(1, 2)))
    np.testing.assert_allclose(net.predict_proba(turned), net.predict_proba(pixels), atol=1e-5)


def test_networks_start_from_a_bundle_that_has_not_learnt_the_images(
    finished, few_images, phantom_folder, tmp_path, monkeypatch
):
    out, said = str(finished[0] / "out"), []
    options = TINY | {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "init": out}
    for change, wanted in (
        ({"data": str(few_images)}, r"the bundle has learnt 24 of these 24 images, and scores of cases that it knows"),
        (
            {"nets": ("compact",)},
            r"holds net:C4-MP-GAP-out\+tta8 and net:timm:.*, and compact can only start from",
        ),
        (
            {"init": str(tmp_path)},
            r"holds no bundle: give a folder with bundle.json, or the folder of a study",
        ),
    ):
        with pytest.raises(StudyError, match=wanted):
            prepare(Study(**options | {"data": str(phantom_folder)} | change), said.append)
    nets = ("timm:test_vit:last1", LAYERS)
    prepared = prepare(Study(**options | {"data": str(phantom_folder), "nets": nets}), said.append)
    assert f"net:{nets[0]}: starts from the bundle of net:{VIT}+tta8" in said
    assert all(start.startswith("bundle sha256:") for start in prepared.nets.values())
    state = Path(prepared.net_settings(nets[0])["init"])
    assert state.name == "net.safetensors" and state.is_absolute()
    assert [line for line in prepared.identity["nets"] if "bundle sha256:" in line] == prepared.identity["nets"]
    # the last layer is only kept if it learnt the same classes in the same order
    assert "new_head" not in prepared.net_settings(nets[0])
    swapped = replace(prepared.study, data=str(phantom_folder), positive=prepared.manifest.classes[0])
    other, (first, second) = prepare(swapped, said.append), prepared.manifest.classes
    assert other.manifest.classes == (second, first) and all(other.net_settings(net)["new_head"] for net in nets)
    assert (
        f"net:{nets[0]}: starts from the bundle of net:{VIT}+tta8, but with a new last layer: the bundle's is for "
        f"{first}, {second}, and the classes here are {second}, {first}"
    ) in said
    # the study is the same wherever the bundle lies and however its place is written, and so are its workers' files
    shutil.copytree(finished[0] / "out" / "models", tmp_path / "moved" / "models")
    for folder, init in ((finished[0], "out"), (tmp_path, "moved")):
        monkeypatch.chdir(folder)
        other = prepare(Study(**options | {"data": str(phantom_folder), "nets": nets, "init": init}), said.append)
        assert other.identity == prepared.identity
        assert other.net_settings(nets[0])["init"] == str(folder / init / state.relative_to(out))
    # nor does it matter that the bundle is gone, if no network is trained
    asked = options | {"data": str(phantom_folder), "nets": nets, "init": str(tmp_path / "gone")}
    other = prepare(Study(**asked), said.append, begun=noted_starts(prepared.identity))
    assert other.identity == prepared.identity


def test_rows_name_the_random_parameters_that_a_network_of_each_size_really_has(few_images, tmp_path):
    options = TINY | {"data": str(few_images), "out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    prepared = prepare(Study(**options | {"size": (32, 64)}), str)
    said = {
        name: load_backbone(Pretrained(VIT, side=int(name[-2:])), "none").said for name in (f"{VIT}@32", f"{VIT}@64")
    }
    assert said[f"{VIT}@32"] != said[f"{VIT}@64"] and prepared.nets == said | {LAYERS: FROM_NOTHING}
    assert prepare(prepared.study, str, begun=noted_starts(prepared.identity)).identity == prepared.identity


@pytest.mark.slow
def test_a_network_without_inner_valid_cases_is_skipped_and_heads_go_on(tmp_path, without_report):
    """In one of the two folds a class is in a single training case."""
    images = make_phantom(tmp_path / "data", Phantom(images=40, cases=8, positives=0.5, min_px=60, max_px=90))
    asked = {"features": ("shortcut",), "heads": ("logreg",), "reducers": ("none",)}
    asked |= {"nets": (LAYERS, "squeezenet1_1:frozen")}
    _, results, _, _ = run_tiny(tmp_path, data=str(images), **asked)
    rows = results.set_index("arm")
    of_nets = rows.index.str.startswith("net:")
    assert of_nets.sum() == 2 and (rows.loc[~of_nets, "status"] == "done").all()
    trials = pd.read_csv(tmp_path / "out" / "trials.csv")
    trials = trials[trials["arm"].str.startswith("net:")]
    assert sorted(trials["status"]) == ["done", "done", "skipped", "skipped"]
    why = "the training cases of this fold cannot be split into cases to learn and inner-valid cases"
    assert trials.loc[trials["status"] == "skipped", "reason"].str.startswith(why).all()


def digests_in(folder):
    return {int(sha256(path.read_bytes()).hexdigest()[:16], 16) for path in folder.rglob("*.png")}


@pytest.mark.parametrize(
    ("arm", "learnt"),
    [(f"net:{LAYERS}", True), (f"mean:shortcut.v1/none/svm,net:{VIT}", True), ("shortcut.v1/none/svm", False)],
)
def test_arms_with_networks_have_learnt_what_the_bundle_had_that_they_start_from(finished, few_images, arm, learnt):
    study = Study(**TINY | {"init": str(finished[0] / "out")})
    views = {LAYERS: Preprocess(128), VIT: Preprocess(32)}
    before = Seen().after(learnt_before(study.init, Arm.parse(arm), views.get))
    assert {*before.files.tolist()} == (digests_in(few_images) if learnt else set())
    known = before.pixels is not None, before.cases is not None
    assert known == (learnt, learnt) and before.files.dtype == np.uint64
    assert not len(learnt_before(None, Arm.parse(arm), views.get))


@pytest.fixture(scope="module")
def chained(finished, few_images, phantom_folder, tmp_path_factory):
    """A bundle of other images whose network started from a bundle of `few_images`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.report.write.write_report", lambda out, *rest, **more: Path(out) / "report.html")
        place = tmp_path_factory.mktemp("chained")
        asked = {"nets": (LAYERS,), "features": ("shortcut",), "reducers": ("none",), "heads": ("logreg",)}
        ensembles = (f"shortcut/none/logreg,net:{LAYERS}",)
        shutil.copytree(finished[0] / "out" / "models", place / "before" / "models")
        asked |= {"ensembles": ensembles, "init": str(place / "before"), "save_models": True, "tune": ("lr=1e-4,3e-4",)}
        run_tiny(place, data=str(phantom_folder), **asked)
    return place / "out"


@pytest.mark.slow
def test_a_bundle_knows_the_images_that_were_learnt_before_it(chained, few_images, phantom_folder, tmp_path, capsys):
    digests = {folder: digests_in(folder) for folder in (few_images, phantom_folder)}
    bundles = {folder.name: load_bundle(folder, device="cpu") for folder in (chained / "models").iterdir()}
    alone, net = bundles.pop("shortcut.v1+none+logreg"), chained / "models" / f"net+{LAYERS}"
    assert set(alone.seen.files.tolist()).isdisjoint(digests[few_images])
    assert len(bundles) == 2  # the network, and the ensemble with it
    for bundle in bundles.values():
        assert set(bundle.seen.files.tolist()) >= {*digests[few_images], *digests[phantom_folder]}
    page, rate = (net / "card.md").read_text(), bundles[net.name].about["chosen"]["params"]["lr"]
    assert "started from a bundle that had learnt 24 other images: figures" in page
    assert rate in (1e-4, 3e-4) and f" Its learning rate ({rate}) was chosen among several by the cross-entropy" in page
    options = TINY | {"nets": (LAYERS,), "out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    with pytest.raises(StudyError, match="the bundle has learnt 24 of these 24 images"):
        prepare(Study(**options | {"data": str(few_images), "init": str(net)}), str)
    evaluate.main([str(net), str(few_images), "--recursive", "--device", "cpu", "--out", str(tmp_path / "e.csv")])
    assert "24 of the images are images that the model was trained on: the figures" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.usefixtures("without_report")
def test_only_networks_need_the_bundle_that_they_started_from_when_they_are_fitted_again(chained, tmp_path):
    chained.with_name("before").rename(tmp_path / "moved")
    starts._found.cache_clear()  # as in a new process
    refit.main([str(chained), "--arm", "shortcut.v1/none/logreg", "--to", str(tmp_path / "head")])
    made = [folder / "arrays.safetensors" for folder in (tmp_path / "head", chained / "models/shortcut.v1+none+logreg")]
    assert made[0].read_bytes() == made[1].read_bytes()
    of_network = [str(chained), "--arm", f"net:{LAYERS}", "--to", str(tmp_path / "net")]
    with pytest.raises(StudyError, match=r"holds no bundle: .* was moved, put it back, or name its new place with .*"):
        refit.main(of_network)
    results = (chained / "results.csv").read_bytes()
    compare_command.main(["--config", str(chained / "study.yaml"), "--init", str(tmp_path / "moved")])
    assert (chained / "results.csv").read_bytes() == results
    refit.main(of_network)
    assert load_bundle(tmp_path / "net", device="cpu").about["trained_on"]["images_before"] == 24


@pytest.mark.usefixtures("without_report")
def test_networks_learn_in_bfloat16_where_it_is_asked_for_and_rows_plan_and_bundle_say_so(
    few_images, tmp_path, monkeypatch
):
    monkeypatch.setattr(device, "processor_computes_in_bfloat16", lambda: True)
    options = {"data": str(few_images), "nets": (LAYERS,), "save_models": True}
    _, results, _, said = run_tiny(tmp_path, **options, precision="bfloat16")
    row = results.set_index("arm").loc[f"net:{LAYERS}"]
    assert row["status"] == "done" and row["reason"] == IN_BFLOAT16.format("but for")
    assert not any("--precision" in line for line in said)
    folder = tmp_path / "out" / "models" / f"net+{LAYERS}"
    bundle = load_bundle(folder, device="cpu")
    assert bundle.about["net"]["precision"] == bundle.model.net.module_.precision == "bfloat16"
    assert check(bundle) < 1e-6
    with pytest.raises(StudyError, match="precision: bfloat16 there, float32 now"):
        run_tiny(tmp_path, **options)
    monkeypatch.setattr(device, "processor_computes_in_bfloat16", lambda: False)
    with pytest.raises(BundleError, match=r"--device: precision bfloat16 needs .* and this one does not"):
        load_bundle(folder, device="cpu")
    again = run_tiny(tmp_path, **options | {"precision": "bfloat16", "save_models": False})[1]
    assert again["auroc"].tolist() == results["auroc"].tolist(), "what is finished can be read everywhere"
    with pytest.raises(InputError, match=r"precision bfloat16 needs .* and this one does not: take float32"):
        run_tiny(tmp_path / "elsewhere", **options, precision="bfloat16")
    assert not (tmp_path / "elsewhere" / "out" / "journal.jsonl").exists()


def test_what_cannot_be_compiled_is_refused_before_work_begins_or_named_in_a_line(few_images, tmp_path):
    with pytest.raises(InputError, match=r"^compile needs a CUDA device, and this is cpu: leave it out$"):
        run_tiny(tmp_path, data=str(few_images), nets=(LAYERS,), compile=True, device="cpu")
    assert not (tmp_path / "out" / "journal.jsonl").exists()
    left = Study(data=str(few_images), nets=("compact", "resnet18:frozen"), compile=True, device="cpu")
    assert lines_on_recipe(left) == ["net:resnet18:frozen: trained without --compile, which it cannot use"]
    starts.refuse_training(replace(left, nets=("resnet18:frozen",)))
    said = run_study(tmp_path, data=str(few_images), features=("shortcut",), compile=True, folds=2)[-1]
    assert "--compile changes nothing: it is for networks, and there are none" in said


def test_a_pattern_of_layers_that_fits_no_network_is_refused(few_images, tmp_path):
    nets = "timm:test_vit:lora", "squeezenet1_1:lora"
    message = (
        "^--lora-layers \\*qkv,\\*conv9,features\\*: \\*conv9 fits no layer of timm:test_vit:lora and "
        "squeezenet1_1:lora: correct the pattern, or leave it out$"
    )
    with pytest.raises(StudyError, match=message):
        run_tiny(tmp_path, data=str(few_images), nets=nets, lora_layers="*qkv,*conv9,features*")


def test_a_plan_shows_how_far_it_is_while_networks_are_timed(few_images, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(progress, "QUIET_S", 0.0)
    options = TINY | {"data": str(few_images), "out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
    prepared, shown = prepare(Study(**options | {"nets": (LAYERS, "compact")}), str), []

    def timed(prepared, arm):
        shown.append(capsys.readouterr().err)
        return 1.0, 0.1, 0.0

    monkeypatch.setattr(forecast, "net_seconds_of", timed)
    forecast.make_plan(prepared)
    assert len(shown) == 2 and re.search(r"^timing arms: 2 of 3, about \d+ s left$", shown[1], re.MULTILINE)


def test_networks_are_not_trained_in_what_only_features_know():
    study = Study(**TINY | {"nets": (LAYERS,), "precision": "tf32"})
    assert lines_on_recipe(study) == [f"net:{LAYERS}: trained without --precision, which it cannot use"]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"nets": ("compact",), "lora_rank": 4}, r"--lora-rank: no network of --nets compact can use it; name one"),
        ({"nets": ("resnet18:frozen",), "mixup": 0.2}, r"--mixup: no network of --nets resnet18:frozen can use it"),
        ({"nets": ("resnet18:frozen",), "tune": True}, r"--tune: no network of --nets resnet18:frozen can use it"),
        ({"mixup": -1.0}, r"--mixup is -1.0: allowed is 0 to 10"),
        ({"tune": ("rate=1,2",)}, r"^--tune is 'rate=1,2': write values of lr, epochs, augment, such as"),
        ({"tune": ("lr=1,x",)}, r"^--tune lr=1,x: 'x' is no number"),
        ({"tune": ("epochs=2,4",)}, r"^--epochs is 1, and --tune chooses epochs: leave one of them out$"),
        ({"layer_decay": 0.0}, r"--layer-decay is 0.0: it must be above 0"),
    ],
)
def test_what_no_network_can_follow_is_refused(options, wanted):
    with pytest.raises(StudyError, match=wanted):
        Study(**TINY | options).check()


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("resnet18:lora", "resnet18:lora"),
        ("resnet18:finetune", "resnet18:finetune+tta8"),
        ("resnet18:lora+tta8", "resnet18:lora+tta8"),
    ],
)
def test_a_network_starts_from_one_that_was_trained_the_same_way_if_there_is_one(name, nearest):
    theirs = ["resnet18:finetune+tta8", "resnet18:frozen", "resnet18:lora+tta8", "resnet18:lora"]
    assert min(theirs, key=lambda one: _distance(one, name)) == nearest


def test_a_bundle_that_is_replaced_between_two_studies_of_a_session_is_read_again(tmp_path, monkeypatch):
    (tmp_path / "bundle.json").touch()
    study, way = Study(nets=("resnet18:lora",), init=str(tmp_path)), Way(None, Preprocess(), ())
    monkeypatch.setattr(starts, "_refuse_learnt", lambda *given: None)
    monkeypatch.setattr(starts, "begun_with", str)
    for size, classes in ((32, ["a", "b"]), (48, ["a", "b", "c"])):
        net = {"name": "resnet18:finetune", "layers": None}
        about = {"kind": "net", "net": net, "classes": classes, "preprocess": {"size": size, "filter": "bicubic"}}
        monkeypatch.setattr(starts, "read_about", lambda folder, about=about: about)
        found, _ = starts.starts_of(study, [way], None, None)
        assert found["resnet18:lora"].reads == (size, "bicubic")
        settings = starts.init_settings(study.init, "resnet18:lora", Preprocess(size), ["a", "b"])
        assert settings.get("new_head", False) == (len(classes) > 2)


def test_a_network_starts_from_the_bundle_that_reads_images_as_it_does(tmp_path, monkeypatch):
    looks = [(size, padding) for size in (32, 48) for padding in ("reflect", "white")]
    for size, padding in looks:
        (tmp_path / "models" / f"{size}-{padding}").mkdir(parents=True)
        (tmp_path / "models" / f"{size}-{padding}" / "bundle.json").touch()

    def about(folder):
        size, padding = folder.name.split("-")
        of = {"arm": f"net:resnet18:finetune@{folder.name}", "net": {"name": "resnet18:finetune", "layers": None}}
        return of | {"kind": "net", "preprocess": {"size": int(size), "padding": padding, "filter": "lanczos"}}

    monkeypatch.setattr(starts, "_refuse_learnt", lambda *given: None)
    monkeypatch.setattr(starts, "begun_with", lambda path: Path(path).parent.name)
    monkeypatch.setattr(starts, "read_about", about)

    def begun(net, *looks):
        named = [(("size", str(size)), ("padding", padding)) for size, padding in looks]
        ways = [Way(look[0], Preprocess.asked(*look), name) for look, name in zip(looks, named, strict=True)]
        study = Study(nets=(net,), init=str(tmp_path))
        return {name: start.said for name, start in starts.starts_of(study, ways, None, None)[0].items()}

    assert begun("resnet18:lora", *looks) == {f"resnet18:lora@{k}-{pad}": f"{k}-{pad}" for k, pad in looks}
    assert [*begun("resnet18:lora", (48, "zero")).values()] == ["48-reflect"]
    assert [*begun("resnet18:lora", (None, "white")).values()] == ["32-white"]
    with pytest.raises(StudyError, match=r"read images of 32 and 48 px, and resnet18:lora is to read 64 px: take such"):
        begun("resnet18:lora", (64, "white"))


@pytest.mark.parametrize(
    ("tune", "settings", "said"),
    [
        (False, {}, ""),
        (
            True,
            {},
            "Its learning rate (0.01), number of epochs (3) and augmentation (its own) were chosen among several",
        ),
        (True, {"augment": "none"}, "Its learning rate (0.01) and number of epochs (3) were chosen among several"),
        (("epochs=3,6",), {}, "Its number of epochs (3) was chosen among several"),
    ],
)
def test_a_card_says_which_settings_of_a_network_were_tuned(tune, settings, said):
    prepared = SimpleNamespace(study=Study(**TINY | {"epochs": None, "tune": tune}), net_settings=lambda name: settings)
    net = {"tuned": bundle_notes._tuned(prepared, Arm(net=VIT), {"lr": 0.01, "epochs": 3})}
    tuned = card._tuned(net, "case")
    assert said in tuned and bool(said) == bool(tuned) == tuned.endswith("by the cross-entropy on the cases left out.")
    assert bundle_notes._tuned(prepared, Arm(net=f"{VIT[:-4]}frozen"), {"C": 1.0}) == {}


def test_what_is_fitted_to_convergence_has_nothing_to_tune():
    study = Study(**TINY | {"nets": ("resnet18:frozen", LAYERS), "tune": True})
    assert lines_on_recipe(study) == ["net:resnet18:frozen: trained without --epochs and --tune, which it cannot use"]


def test_a_grid_is_part_of_the_study_however_it_is_written():
    def identity(**more):
        return Study(**TINY | {"epochs": None} | more).plain()["tune"]

    asked = ("epochs=5,10", "lr=1e-4,3e-4")
    assert identity(tune=asked) == identity(tune=["lr=0.0001,0.0003", "epochs=5,10"]) != identity(tune=("epochs=5,10",))
    assert identity(tune=()) is identity(tune=True) is True and identity() is False


@pytest.mark.usefixtures("without_report")
@pytest.mark.slow
@pytest.mark.parametrize("how", ["frozen", "last2", "finetune", "lora", "lora+tta8"])
def test_a_study_that_is_killed_while_a_network_learns_goes_on(few_images, tmp_path, monkeypatch, how):
    options = {"data": str(few_images), "nets": (f"timm:test_vit:{how}",), "tune": how == "last2"}
    calls, score, most = [], NetClassifier.predict_proba, np.inf

    def scores(self, *given, **named):
        calls.append(self)
        if len(calls) > most:
            raise KeyboardInterrupt
        return score(self, *given, **named)

    monkeypatch.setattr(NetClassifier, "predict_proba", scores)
    run_tiny(tmp_path / "whole", **options)
    in_a_trial, most = len(calls) // 2, len(calls) // 2
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        run_tiny(tmp_path / "killed", **options)
    calls.clear()
    most = np.inf
    run_tiny(tmp_path / "killed", **options)
    assert len(calls) == in_a_trial  # of the second trial alone
    whole, again = ((tmp_path / name / "out" / "predictions.parquet").read_bytes() for name in ("whole", "killed"))
    assert whole == again
