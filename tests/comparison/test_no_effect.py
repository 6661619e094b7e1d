"""Options that change nothing are said in a line, and empty texts are refused before a study begins."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from glomfeat.comparison.folder import journal_of, open_out
from glomfeat.comparison.no_effect import lines_on_no_effect, refuse_empty
from glomfeat.comparison.options import Study
from glomfeat.comparison.own_table import written
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.starts import lines_on_recipe
from glomfeat.core.arms import StudyError
from glomfeat.core.settings import write_settings
from studies._cli import parse_options

NO_IMAGES = "DATA is a feature table, without images"
NO_NETS = "it is for --nets, and there are none"
NO_NETWORK = "it is for networks, and there are none"
NO_PRETRAINED = "it is for pretrained networks, and there are none"


@pytest.fixture
def lines(tmp_path):
    """Prepare a study of a feature table with three sites; give the study, and the lines on options without effect."""
    rng, case = np.random.default_rng(0), np.repeat(np.arange(18), 4)
    frame = pd.DataFrame({"name": [f"i{k}" for k in range(72)], "case": case, "label": np.tile(["a", "b"], 36)})
    frame.assign(site=np.array(list("xyz"))[case % 3], x=rng.normal(size=72)).to_csv(tmp_path / "t.csv", index=False)
    usual = {"data": str(tmp_path / "t.csv"), "heads": ("logreg",), "reducers": ("none",), "jobs": 1, "groups": "case"}
    usual |= {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}

    def said_of(**options):
        said = []
        prepared = prepare(Study(**usual | options), said.append)
        return prepared, [line for line in said if " nothing: " in line or "is empty" in line]

    return said_of


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (
            {"size": 64, "padding": "zero", "icc": "keep"},
            f"--size 64, --padding zero and --icc keep change {NO_IMAGES}",
        ),
        ({"layout": "class/case/image"}, f"--layout class/case/image changes {NO_IMAGES}"),
        ({"layer": "layer3"}, "--layer layer3 changes it is for features of networks, and there are none"),
        ({"weights": "none"}, f"--weights none changes {NO_PRETRAINED}"),
        ({"weights": "imagenet"}, f"--weights imagenet changes {NO_PRETRAINED}"),
        ({"precision": "tf32", "compile": True}, f"--precision tf32 and --compile change {NO_NETWORK}"),
        ({"epochs": 5, "batch": 8, "lr": 0.1}, f"--epochs 5, --batch 8 and --lr 0.1 change {NO_NETS}"),
        (
            {"preset": "paper", "class_weight": "balanced"},
            f"--preset paper and --class-weight balanced change {NO_NETS}",
        ),
        ({"mixup": 0.2, "lora_rank": 4}, f"--mixup 0.2 and --lora-rank 4 change {NO_NETS}"),
        ({"tune": True, "init": "models/a", "tta": 8}, f"--tune, --init models/a and --tta 8 change {NO_NETS}"),
        ({"inside": 4}, "--inside 4 changes it is for networks, and there are none"),
        ({"include_weights": True}, "--include-weights changes it is for the bundles of --save-models"),
        ({"scheme": "holdout", "folds": 9}, "--folds 9 changes --scheme holdout says itself what is tested"),
        (
            {"scheme": "leave-out:site", "folds": 9},
            "--folds 9 changes --scheme leave-out:site says itself what is tested",
        ),
        (
            {"scheme": "leave-out:site", "folds": 3},
            "--folds 3 changes --scheme leave-out:site says itself what is tested",
        ),
        (
            {"jobs": 7, "backend": "dask"},
            "--jobs 7 changes with --backend dask, as many calls run at once as it has workers",
        ),
    ],
)
def test_an_option_without_effect_is_said(lines, options, line):
    verb = "changes " if "changes " in line else "change "
    assert lines(**options)[1] == [line.replace(verb, f"{verb}nothing: ", 1)]


def test_options_that_have_an_effect_are_not_named(lines):
    assert lines(folds=4, threshold="0.2", include_weights=True, save_models=True)[1] == []
    prepared = SimpleNamespace(features=[SimpleNamespace(is_deep=True)], manifest=SimpleNamespace(source=""), nets={})
    given = Study(layer="layer3", weights="none", precision="tf32", compile=True, size=64, layout="class/image")
    assert lines_on_no_effect(SimpleNamespace(**vars(prepared), study=given), given) == []
    given = Study(nets=("compact",), epochs=2, batch=8, lr=0.1, class_weight="balanced", preset="paper")
    assert lines_on_no_effect(SimpleNamespace(**vars(prepared), study=given), given) == []


@pytest.mark.parametrize(
    ("starts", "deep", "said"),
    [
        (["bundle sha256:0f", "bundle sha256:1a"], False, "networks start from --init"),
        (["bundle sha256:0f", "none, trained from the beginning"], False, "networks start from --init"),
        (["none, trained from the beginning", "as its own function makes them"], False, NO_PRETRAINED),
        (["bundle sha256:0f", "imagenet sha256:1a"], False, None),
        (["bundle sha256:0f"], True, None),
    ],
)
def test_weights_that_nothing_is_read_from_are_said(starts, deep, said):
    features = [SimpleNamespace(is_deep=deep)]
    prepared = SimpleNamespace(nets=dict(enumerate(starts)), features=features, manifest=SimpleNamespace(source=""))
    given = Study(weights="elsewhere", init="models/a", nets=("compact",))
    assert lines_on_no_effect(prepared, given) == ([f"--weights elsewhere changes nothing: {said}"] if said else [])


@pytest.mark.parametrize(("classes", "inside", "said"), [(3, 5, True), (3, 0, False), (2, 5, False)])
def test_maps_are_drawn_for_two_classes(tmp_path, classes, inside, said):
    manifest = SimpleNamespace(source="", classes=["a", "b", "c"][:classes])
    prepared = SimpleNamespace(nets={"compact": "none, trained from the beginning"}, features=[], manifest=manifest)
    found = lines_on_no_effect(prepared, Study(inside=inside, nets=("compact",), out=str(tmp_path / "out")))
    line = f"--inside {inside} changes nothing: maps are drawn for two classes, and there are 3"
    assert found == ([line] if said else [])


@pytest.mark.parametrize(("net", "idle"), [("compact", True), ("resnet18:frozen", False)])
def test_weights_are_for_networks_that_do_not_begin_from_nothing(phantom_folder, tmp_path, net, idle):
    options = {"data": str(phantom_folder), "features": (), "nets": (net,), "weights": "none", "jobs": 1}
    said = []
    prepare(Study(**options, out=str(tmp_path / "out"), cache=str(tmp_path / "cache")), said.append)
    assert (f"--weights none changes nothing: {NO_PRETRAINED}" in said) == idle


@pytest.mark.parametrize(
    ("options", "folds"), [({"scheme": "leave-out:site"}, None), ({"folds": 4}, 4), ({"scheme": "holdout"}, 5)]
)
def test_what_a_study_fills_in_itself_is_not_named_when_it_comes_back(lines, options, folds, tmp_path):
    prepared = lines(**options)[0]
    options = written(prepared)
    assert (options["folds"], options["weights"]) == (folds, None)
    write_settings(options, tmp_path / "study.yaml")
    again, said = lines(**vars(parse_options(Study, ["--config", str(tmp_path / "study.yaml")], "compare")))
    assert said == [] and again.identity == prepared.identity


def test_another_machine_and_other_options_are_not_bound_by_what_a_study_filled_in(phantom_folder, tmp_path):
    def made(given):
        rest = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache")}
        return prepare(replace(given, **rest), lambda line: None)

    first = made(Study(str(phantom_folder), features=(), nets=("compact", "C4-MP-GAP-out"), tta=8))
    assert first.study.jobs and list(first.nets) == ["compact+tta8", "C4-MP-GAP-out+tta8"]
    write_settings(written(first), tmp_path / "study.yaml")
    line = ["--config", str(tmp_path / "study.yaml")]
    again, once = (parse_options(Study, given, "compare") for given in (line, [*line, "--tta", "1", "--jobs", "3"]))
    assert again.jobs is None and made(again).identity == first.identity
    assert list(made(once).nets) == ["compact", "C4-MP-GAP-out"] and written(made(once))["jobs"] == 3


@pytest.mark.parametrize("heads", [("logreg",), ("logreg", "svm"), ("logreg", "dummy")])
def test_a_reference_without_another_arm_is_said(lines, tmp_path, heads):
    reference = f"file:{tmp_path / 't.csv'}/none/logreg"
    told = f"--reference {reference} and --margin 0.05 change nothing: there is no other arm to compare with it"
    assert lines(heads=heads, reference=reference, margin=0.05)[1] == ([] if "svm" in heads else [told])


def test_maps_that_are_there_stay_and_a_line_says_so(lines):
    prepared, _ = lines()
    journal = open_out(prepared, journal_of(prepared.study))
    journal.append({"inside": {"arm": "net:compact", "fold": 0, "each": 2, "rows": [0], "maps": []}})
    told = "--inside 5 changes nothing: maps of 2 images of each kind are there already and stay"
    assert lines(inside=5)[1] == [told] and lines(inside=2)[1] == []


@pytest.mark.parametrize("option", ["layout", "layer", "weights", "memory", "scheduler", "cache"])
def test_an_empty_text_is_refused(lines, option):
    with pytest.raises(StudyError, match=f"^--{option} is empty: write a value there, or leave the option out$"):
        lines(**{option: " " if option == "weights" else ""})


def test_networks_do_not_start_from_nothing_because_a_variable_is_empty():
    with pytest.raises(StudyError, match=r"^--init is empty: write a value there"):
        refuse_empty(Study(nets=("compact",), init=""))


def test_an_empty_text_does_not_lock_a_study_that_has_begun(lines):
    prepared, _ = lines()
    open_out(prepared, journal_of(prepared.study))
    assert lines(memory="")[1] == ["--memory is empty, which counts as left out"]


def test_a_network_without_residual_branches_is_trained_without_leaving_out_any():
    left = Study(nets=("timm:test_convnext:finetune", "resnet18:finetune"), drop_path=0.1)
    left.check()
    assert lines_on_recipe(left) == ["net:resnet18:finetune: trained without --drop-path, which it cannot use"]
    with pytest.raises(StudyError, match=r"^--drop-path: no network of --nets resnet18:lora can use it; name one with"):
        Study(nets=("resnet18:lora",), drop_path=0.1).check()


def test_a_last_layer_that_converges_is_told_what_it_does_not_use():
    asked = {"epochs": 5, "batch": 4, "lr": 0.5}
    frozen = "net:resnet18:frozen: trained without --epochs, --batch and --lr, which it cannot use"
    assert lines_on_recipe(Study(nets=("resnet18:frozen", "compact"), **asked)) == [frozen]
    assert lines_on_recipe(Study(nets=("resnet18:frozen",), preset="paper", **asked)) == []
    tuned = {"nets": ("resnet18:frozen", "compact"), "preset": "paper"}
    assert lines_on_recipe(Study(**tuned, tune=("augment=none,histology",))) == [
        "net:resnet18:frozen: trained without --tune, which it cannot use"
    ]
    assert lines_on_recipe(Study(**tuned, tune=("epochs=2,3",))) == []
