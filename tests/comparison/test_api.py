"""The main job from Python: the command line's numbers, parts of one's own, and what comes back."""

import gc
import importlib
import json
import pydoc
import re
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from inspect import signature
from os import PathLike
from pathlib import Path
from typing import get_type_hints

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context, get_config
from sklearn.decomposition import PCA, TruncatedSVD
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import RandomForestClassifier, StackingClassifier, VotingClassifier
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.svm import SVC

import glomfeat
from glomfeat.comparison import carry_out
from glomfeat.comparison.objects import OwnPartError, own_names
from glomfeat.comparison.options import Figures, Paddings, Stains, Study
from glomfeat.core import workers
from glomfeat.core.arms import StudyError
from glomfeat.core.part_errors import PartError
from glomfeat.core.plugins import Own, PluginError
from glomfeat.data.manifest import ManifestError
from glomfeat.data.tables.columns import Asked
from glomfeat.features.make import make_feature
from glomfeat.models.heads.built_in import Head
from glomfeat.models.reducers.fit import reduce_rows
from glomfeat.results.show import to_html
from glomfeat.results.tables import MEASURED

START = workers._start
PLAIN = ("data", "features", "heads", "reducers", "nets", "out", "quiet")


pytestmark = pytest.mark.usefixtures("parts_here", "dealt_once")


@pytest.fixture
def small(tmp_path):
    """A quick study of a feature table."""
    return {"folds": np.int64(2), "jobs": 1, "cache": tmp_path / "cache", "quiet": True}


@pytest.fixture
def seen(small):
    """A quick study of images."""
    return small | {"size": 24, "reducers": "none"}


def scores(result, head):
    rows = result.predictions[result.predictions["arm"].str.endswith(f"/{head}")]
    return rows.sort_values(["repeat", "name"])["score"].tolist()


def timeless(path):
    return pd.read_csv(path, dtype=str).drop(columns=list(MEASURED), errors="ignore").to_csv()


def two_wrong(y_true, score):
    return float(((score >= 0.5) != y_true).sum() <= 2)


def middle(y_true, score):
    return 0.5


def test_functions_are_metrics_and_threshold_rules(feature_table, tmp_path, small):
    asked = small | {"heads": ["logreg"], "reducers": ["none"], "out": tmp_path / "out"}
    asked |= {"metrics": [two_wrong]}
    found = glomfeat.compare(feature_table, threshold=middle, **asked)
    assert "two_wrong" in found.table and set(found.trials["threshold"].dropna()) == {0.5}
    with pytest.raises(StudyError, match="own parts: test_api:middle@"):
        glomfeat.compare(feature_table, threshold=lambda y_true, score: 0.4, **asked)
    fixed = glomfeat.compare(feature_table, threshold=np.float64(1e-5), **asked | {"out": tmp_path / "fixed"})
    assert set(fixed.trials["threshold"].dropna()) == {1e-5}
    with pytest.raises(StudyError, match=r"metrics is \(3,\): allowed is a list of text"):
        glomfeat.compare(feature_table, metrics=[3])


def test_the_command_line_writes_the_same_bytes(feature_table, tmp_path, small, monkeypatch):
    from studies.compare import main

    monkeypatch.setattr("studies.compare.end_with_report", lambda *arguments: None)  # the report is not compared

    options = {"calibration": "platt", "heads": ["logreg"], "reducers": "pca2"}
    result = glomfeat.compare(feature_table, **options, **small, out=tmp_path / "python")
    line = f"{feature_table} --calibration platt --heads logreg --reducers pca2 --folds 2 --jobs 1"
    assert main([*line.split(), "--cache", str(small["cache"]), "--out", str(tmp_path / "line")]) == 0
    one, other = tmp_path / "python", tmp_path / "line"
    for name in ("predictions.parquet", "folds.csv", "reliability.csv", "comparisons.csv"):
        assert (one / name).read_bytes() == (other / name).read_bytes()
    assert all(timeless(one / name) == timeless(other / name) for name in ("results.csv", "trials.csv"))
    written = pd.read_csv(one / "results.csv")
    assert result.table.columns.tolist() == written.columns.tolist() and result.out == one
    pd.testing.assert_series_equal(result.table["auroc"], written["auroc"], rtol=1e-5)
    assert result.trials["fold"].tolist() == ["0", "1"] * 2 and (result.trials["reason"][2:] != "").all()


@pytest.mark.slow
def test_lambdas_and_closures_reach_the_workers(few_images, seen, monkeypatch):
    by, table = 3.0, {}
    for jobs in (1, 2):
        if jobs == 2:
            monkeypatch.setattr(workers, "_start", START)  # what was called here is sent
            monkeypatch.setattr("glomfeat.core.workers.how_many", lambda calls, jobs, budget: (1, budget))
        options = seen | {"jobs": jobs, "cache": f"{seen['cache']}{jobs}"}
        options["features"] = {"mine": lambda image, size: [image[..., 0].mean() * by, image[..., 1].std(), size[0]]}
        options["heads"] = {"nb": lambda seed: Head(GaussianNB()), "one": RandomForestClassifier(3)}
        options["heads"] |= {"two": RandomForestClassifier(3, random_state=1)}
        options["reducers"] = [{"svd": lambda: TruncatedSVD(2, random_state=0)}]
        table[jobs] = glomfeat.compare(few_images, **options)
    assert (table[2].table["status"] == "done").all() and len(table[2].table) == 4
    pd.testing.assert_frame_equal(table[1].predictions, table[2].predictions)
    assert {arm.partition("/")[0] for arm in table[1].table["arm"]} == {"mine.v1", "none"}
    assert scores(table[1], "one") != scores(table[1], "two"), "seeds go by the arm's name"


def test_an_estimator_is_the_head_that_a_module_would_give(feature_table, tmp_path, small, monkeypatch):
    (tmp_path / "mylab_api.py").write_text(
        "from sklearn.discriminant_analysis import LinearDiscriminantAnalysis\n"
        "def lda(seed):\n    return LinearDiscriminantAnalysis()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    heads = ["mylab_api:lda", {"lda": LinearDiscriminantAnalysis()}]
    result = glomfeat.compare(feature_table, heads=heads, **small)
    assert scores(result, "mylab_api:lda") == scores(result, "lda") != []


def test_seeds_are_the_trials_own_wherever_an_estimator_takes_one():
    forest = make_pipeline(StandardScaler(), RandomForestClassifier(5, random_state=7), memory=None)
    (name,) = own_names("heads", {"forest": Head(forest, {"randomforestclassifier__max_depth": [2]})})
    made = name.brings(5)
    assert made.estimator[-1].random_state == 5 and forest[-1].random_state == 7
    assert made.grid == {"randomforestclassifier__max_depth": [2]} and made.estimator[-1] is not forest[-1]
    reducers = own_names("reducers", {"open": PCA(2), "given": PCA(2, random_state=7)})
    assert [reducer.brings().random_state for reducer in reducers] == [0, 7]


def test_what_is_fitted_anew_may_come_fitted_and_what_is_used_as_it_is_counts():
    def digests(rows):
        pca = PCA(2).fit(rows)
        parts = {"fitted": ("reducers", pca), "frozen": ("reducers", make_pipeline(FrozenEstimator(pca)))}
        parts["used"] = ("features", lambda image, size: pca.transform(image[0])[0])
        parts["head"] = ("heads", LogisticRegression().fit(rows, [0, 1] * 3))
        return {name: own_names(kind, {name: part})[0].full for name, (kind, part) in parts.items()}

    one, other = (digests(np.random.default_rng(seed).normal(size=(6, 3))) for seed in (0, 1))
    assert {name for name in one if one[name] != other[name]} == {"frozen", "used"}


class Netted(LogisticRegression):
    """Each new one has a network with weights of its own, which its fit would train."""

    def __init__(self, C=1.0):
        super().__init__(C=C)
        self.net = torch.nn.Linear(2, 1)

    transform = LogisticRegression.decision_function


def test_only_what_is_not_fitted_anew_counts_with_its_network():
    def digests(part, say):
        return {kind: own_names(kind, {"mine": part}, say)[0].full for kind in ("heads", "reducers")}

    first = digests(make_pipeline(PCA(), Netted()), pytest.fail)
    assert first == digests(make_pipeline(PCA(), Netted()), pytest.fail) != digests(Netted(), pytest.fail)
    frozen, said = make_pipeline(FrozenEstimator(Netted())), []
    assert digests(frozen, said.append) != digests(frozen, said.append)
    assert len(said) == 4 and all("Parameter" in line and "cannot be resumed" in line for line in said)


def test_a_run_is_resumed_if_its_parts_are_the_same(few_images, tmp_path, seen, monkeypatch):
    def run(by=2, head=None, **more):
        features = {"red": lambda image, size: [image[..., 0].mean() * by, size[0]]}
        heads = {"lda": head or LinearDiscriminantAnalysis()}
        return glomfeat.compare(few_images, features, heads, out=tmp_path / "out", **seen | more)

    first = run().predictions

    def refuse(*arguments, **more):
        raise AssertionError("computed again")

    with monkeypatch.context() as patched:
        patched.setattr("glomfeat.comparison.run.run_trial", refuse)
        patched.setattr("glomfeat.features.base.Handcrafted.transform", refuse)
        pd.testing.assert_frame_equal(run().predictions, first)
    said = r"holds another study \(the code or an attribute of (red.v1|lda) has changed\): choose"
    for changed in ({"by": 3}, {"head": LinearDiscriminantAnalysis(shrinkage="auto", solver="lsqr")}):
        with pytest.raises(StudyError, match=said):
            run(**changed)
    reducers = {"two": PCA(2)}
    with pytest.raises(StudyError, match=r"reducers: .'none'. there, .'two'. now"):
        run(reducers=reducers)


@pytest.mark.parametrize("kind", [pytest.param("images", marks=pytest.mark.slow), "table"])
def test_a_run_that_names_the_usual_class_or_reads_the_cases_is_resumed(tmp_path, request, seen, monkeypatch, kind):
    options = seen | {"heads": "dummy"} | ({"features": "shortcut"} if kind == "images" else {})
    data = request.getfixturevalue("few_images" if kind == "images" else "feature_table")

    def both(positive):
        named = glomfeat.compare(data, positive=positive, out=tmp_path / "a", **options)
        manifest = glomfeat.read_manifest(data, groups="^(?P<case>[^_]+)_")
        return [named.predictions, glomfeat.compare(manifest, out=tmp_path / "b", **options).predictions]

    usual = glomfeat.read_manifest(data).classes[-1]
    first = both(usual)
    monkeypatch.delattr("glomfeat.comparison.run.run_trial")  # nothing is computed again
    for positive in (usual, None):
        for one, again in zip(first, both(positive), strict=True):
            pd.testing.assert_frame_equal(one, again)


def test_what_is_stored_follows_the_code(few_images, seen):
    def run(channel):
        reducers = {"one": lambda: TruncatedSVD(1, random_state=0) if channel else PCA(1)}
        features = {"mean": lambda image, size: [image[..., channel].mean(), image.std()]}
        return glomfeat.compare(few_images, features, {"lda": LinearDiscriminantAnalysis()}, reducers, **seen)

    del seen["reducers"]
    assert scores(run(0), "lda") != scores(run(2), "lda") != []


CHANNEL = """
import numpy as np
from glomfeat.features.base import Defaults

class Channel(Defaults):
    name, key, weights, standardise, columns = "channel.v1", {"feature": "channel.v1"}, "", True, ("mean", "std")

    def transform(self, pixels, sizes):
        return np.stack([pixels[..., CHANNEL].mean(axis=(1, 2)), pixels.std(axis=(1, 2, 3))], 1).astype("f4")
"""


@pytest.mark.parametrize("kind", [pytest.param("object", marks=pytest.mark.slow), "name"])
def test_numbers_of_a_feature_that_is_a_class_follow_its_code(few_images, seen, tmp_path, monkeypatch, kind):
    def run(channel):
        (tmp_path / "channels.py").write_text(CHANNEL.replace("CHANNEL", str(channel)))
        sys.modules.pop("channels", None)
        importlib.invalidate_caches()
        feature = "channels:Channel" if kind == "name" else importlib.import_module("channels").Channel()
        return glomfeat.compare(few_images, [feature], {"lda": LinearDiscriminantAnalysis()}, ["none"], **seen)

    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    del seen["reducers"]
    first, other, again = (scores(run(channel), "lda") for channel in (0, 2, 0))
    assert first == again != other, "one cache, one name, one key"


def test_a_part_that_cannot_be_compared_says_so_and_is_not_resumed(feature_table, tmp_path, small, capsys):
    held = np.random.default_rng(0)
    heads = {"odd": lambda seed: LogisticRegression() if held else None}
    options = small | {"quiet": False, "heads": heads}
    glomfeat.compare(feature_table, out=tmp_path / "out", **options)
    said = "odd: it depends on a numpy.random._generator.Generator, which cannot be compared with another run: "
    assert f"{said}this run cannot be resumed\n" in capsys.readouterr().out
    with pytest.raises(StudyError, match=r"holds another study .own parts: odd@once-"):
        glomfeat.compare(feature_table, out=tmp_path / "out", **options)


REFUSED = [
    ("features", glomfeat.Handcrafted("red", len), "features: 'red' cannot be a feature's name: write name.version"),
    ("features", glomfeat.Handcrafted("a/b.v1", len), "features: 'a/b.v1' cannot be a feature's name: write name.v"),
    (
        "heads",
        LinearDiscriminantAnalysis(),
        "heads: a LinearDiscriminantAnalysis needs a name of its own: write heads={",
    ),
    ("features", len, 'features: a builtin_function_or_method needs a name of its own: write features={"redness": fun'),
    ("features", [Own], "features: the class Own needs a name of its own"),
    (
        "heads",
        {"a/b": GaussianNB()},
        "heads: 'a/b' cannot be a name in an arm: use letters, digits, '_', '-' and '.' only",
    ),
    ("heads", {"a,b": GaussianNB()}, "heads: 'a,b' cannot be a name in an arm"),
    ("heads", {3: GaussianNB()}, "heads: 3 cannot be a name in an arm"),
    ("heads", {"svm": SVC()}, "heads: 'svm' is the name of a part that glomfeat has already: choose another one"),
    ("features", {"classical": len}, "features: 'classical' is the name of a part that glomfeat has already"),
    ("features", {"pixels.v2": len}, "features: 'pixels.v2' is the name of a part that glomfeat has already"),
    ("reducers", {"pca7": PCA(7)}, "reducers: 'pca7' is the name of a part that glomfeat has already"),
    ("nets", {"compact": "F-out"}, "nets: 'compact' is the name of a part that glomfeat has already"),
    ("nets", {"F-out": "F-out"}, "nets: 'F-out' is the name of a part that glomfeat has already"),
    ("heads", {"nb": GaussianNB}, "heads: 'nb' is the class GaussianNB: give an object of it, GaussianNB(...)"),
    ("heads", {"nb": "svm"}, "heads: 'nb' stands for the text 'svm': a part is named in a list, heads=['svm']"),
    (
        "heads",
        {"nb": 3},
        "heads: 'nb' is a int: it must be a classifier of scikit-learn, a Head, or a function of a seed",
    ),
    ("features", {"red": 3}, "features: 'red' is a int: it must be a function of an image and its size that returns"),
    (
        "features",
        {"red": make_feature("pixels")},
        "features: 'red': pixels.v1 has its name already: write it into a list",
    ),
    (
        "features",
        [glomfeat.Handcrafted("shortcut.v1", len)],
        "features: 'shortcut.v1' is glomfeat's own: choose another",
    ),
    (
        "reducers",
        {"lda": GaussianNB()},
        "reducers: 'lda' is a GaussianNB, which has not both fit and transform: take a",
    ),
    ("reducers", {"x": lambda: 3}, "reducers: 'x' is a int, which has not both fit and transform"),
    (
        "nets",
        {"mine": "compact"},
        "nets: 'mine' stands for 'compact', which are not layers: name it in a list, nets=['comp",
    ),
    (
        "nets",
        {"mine": 3},
        "nets: 'mine' is a int: it must be layers, or a function of classes that returns a torch.nn.M",
    ),
]


@pytest.mark.parametrize(("kind", "parts", "said"), REFUSED, ids=[said[:40] for _, _, said in REFUSED])
def test_parts_that_cannot_be_used_are_refused(kind, parts, said):
    with pytest.raises(OwnPartError, match=f"^{re.escape(said)}"):
        own_names(kind, parts)


def test_the_example_of_a_reducer_works():
    """A reducer is fitted without labels."""
    with pytest.raises(OwnPartError, match=r"^reducers: a PCA needs a name of its own: write reducers=") as refused:
        own_names("reducers", PCA(2))
    named = eval(f"dict({str(refused.value).partition('write ')[2]})", {"TruncatedSVD": TruncatedSVD})
    X = np.random.default_rng(0).normal(size=(40, 30)).astype(np.float32)
    found = reduce_rows(*own_names("reducers", named["reducers"]), X, np.arange(30), standardise=False)["rows"]
    assert found.shape == (40, 20)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda X: X[:, :0], "returned no columns: keep one or more"),
        (lambda X: X.astype(float) * 1e39, "gave 1e+39, which is too large for float32: scale its columns"),
    ],
)
def test_rows_that_no_head_can_read_are_the_reducers_fault(made, said):
    X = np.ones((40, 3), np.float32)
    (name,) = own_names("reducers", {"odd": FunctionTransformer(made)})
    with pytest.raises(PartError, match=f"^reducer odd: transform {re.escape(said)}"):
        reduce_rows(name, X, np.arange(30), standardise=False)


def test_layers_with_a_fault_and_a_built_network_are_refused():
    with pytest.raises(PluginError, match="net 'C4-E8-out': no layer is called 'E8': known: BN, C16"):
        own_names("nets", {"mine": "C4-E8-out"})
    nn = pytest.importorskip("torch.nn")
    with pytest.raises(OwnPartError, match="nets: 'mine' is a network that is built: give a function of classes that"):
        own_names("nets", {"mine": nn.Linear(2, 2)})
    assert own_names("nets", {"mine": nn.Linear}) == ("mine",)


@pytest.mark.parametrize("head", [LinearRegression(), lambda seed: LinearRegression()])
def test_a_head_without_scores_is_refused_before_any_work(feature_table, tmp_path, small, head):
    with pytest.raises(PluginError) as refused:
        glomfeat.compare(feature_table, heads={"mine": head}, out=tmp_path / "out", **small)
    assert str(refused.value).startswith(
        "head 'mine' is a LinearRegression, which has neither predict_proba nor decision_function: a head must score "
        "images, so take a classifier that has one of them"
    )
    assert not (tmp_path / "out").exists()


def test_classifiers_may_show_only_after_fit_whether_they_score(feature_table, small):
    heads = {"stack": StackingClassifier([("a", GaussianNB())]), "vote": VotingClassifier([("a", SVC())])}
    table = glomfeat.compare(feature_table, heads=heads, reducers="none", **small).table
    table = table.set_index(table["arm"].str.rpartition("/")[2])
    assert table.loc["stack", "status"] == "done" and table.loc["stack", "auroc"] > 0.7
    assert "vote: after fit it has neither predict_proba nor decision_function" in table.loc["vote", "reason"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"padding": "whit"}, "padding is 'whit': allowed are white, zero, edge, reflect, or a list of them"),
        ({"size": [64, "a"]}, "size is (64, 'a'): allowed is a whole number or None, or a list of them"),
        ({"folds": "5"}, "folds is '5': allowed is a whole number"),
        ({"folds": True}, "folds is True: allowed is a whole number"),
        ({"epochs": 2.5}, "epochs is 2.5: allowed is a whole number or None"),
        ({"memory": 4}, "memory is 4: allowed is text or None"),
        ({"tune": 3}, "tune is 3: allowed is True or False, or a list of text"),
        ({"folds": 1}, "--folds is 1: at least 2"),
        ({"heads": ["svm", {"nb": GaussianNB()}, "svm"]}, "--heads is svm nb svm: give each name once"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(StudyError, match=f"^{re.escape(said)}"):
        glomfeat.compare("no such data", **options)


@pytest.mark.parametrize("name", ["fold", "dry_run"])
def test_an_unknown_option_is_refused_as_python_does(name):
    with pytest.raises(TypeError, match=f"unexpected keyword argument '{name}'"):
        glomfeat.compare("no such data", **{name: 3})


def test_compare_has_every_option_of_a_study_as_it_is():
    own, study = signature(glomfeat.compare).parameters, get_type_hints(Study)
    apart = {"data", "features", "heads", "reducers", "nets", "out", "dry_run"}
    assert list(own) == [*PLAIN, *(name for name in study if name not in apart)]
    texts = {tuple[kind, ...]: tuple[kind, ...] | list[kind] for kind in (str, float)}
    wider = {"metrics": Sequence[str | Callable[..., float]], "threshold": str | float | Callable[..., float]}
    wider |= dict.fromkeys(
        ["labels", "weights", "init", "scheduler", "cache", "readers", "style"], str | PathLike[str] | None
    )
    wider |= {"stain_reference": str | PathLike[str]}
    wider |= {"size": study["size"] | list[int], "padding": study["padding"] | list[Paddings]}
    wider |= {"tune": study["tune"] | list[str], "stain": study["stain"] | list[Stains]}
    wider |= {"figures": study["figures"] | list[Figures]}
    for name in study.keys() - apart:
        option, hint = own[name], study[name]
        assert option.kind == option.KEYWORD_ONLY and option.default == getattr(Study, name), name
        assert option.annotation == wider.get(name, texts.get(hint, hint)), name


def test_help_names_every_option_and_fits_on_two_screens():
    said = glomfeat.compare.__doc__
    listed = re.findall(r"\w+", said.partition("**options")[2].partition("Returns")[0])
    apart = {"reducers", *PLAIN}
    assert [name for name in signature(glomfeat.compare).parameters if name not in apart and name not in listed] == []
    shown = pydoc.render_doc(glomfeat.compare, renderer=pydoc.plaintext)
    assert sum(max(1, -(-len(line) // 100)) for line in shown.splitlines()) <= 100, "lines of 100 letters"


def test_options_are_explained_in_the_words_of_the_study():
    said = Study.explain()
    assert re.findall(r"^(\w+) : ", said, re.MULTILINE) == list(get_type_hints(Study))
    assert (
        "folds : a whole number; default 5\n    Number of folds of cv.\nrepeats : a whole number; default 1\n" in said
    )
    padding = "padding : white, zero, edge, reflect, or a list of them; default 'white'"
    assert Study.explain("padding") == f"{padding}\n    What fills the square around an image."
    assert (
        "size : a whole number or None, or a list of them; default" in said and max(map(len, said.splitlines())) <= 120
    )
    assert "on the workers of a running cluster. memory is then the" in " ".join(said.split())
    assert "\ncolumn : 1, 2 or None; default None\n" in said and "the reference of stain: pas" in said.lower()
    with pytest.raises(StudyError, match=r"^there is no option 'fold': did you mean 'folds'\? known: "):
        Study.explain("fold")


def test_frames_and_manifests_of_images_are_data(few_images, tmp_path, seen, monkeypatch):
    seen |= {"features": ["shortcut"], "heads": {"lda": LinearDiscriminantAnalysis()}}
    manifest, of_folder = glomfeat.read_manifest(few_images), glomfeat.compare(few_images, **seen).predictions
    of_manifest = glomfeat.compare(manifest, **seen, out=tmp_path / "manifest")
    pd.testing.assert_frame_equal(of_manifest.predictions, of_folder)
    assert f"data: {few_images}\n" in (tmp_path / "manifest" / "study.yaml").read_text()

    monkeypatch.chdir(few_images.parent)
    relative = [str(Path(path).relative_to(Path.cwd())) for path in manifest.table["path"]]
    frame = manifest.table[["label", "case"]].assign(path=relative, age=4.5)
    frame["label"] = frame["label"].map({0: "other", 1: "sclerotic"})
    found = glomfeat.compare(frame, **seen, out=tmp_path / "frame").predictions
    named = found.assign(name=[Path(path).name for path in found["name"]])
    shared = ["arm", "name", "case", "label", "score"]
    tables = (table.sort_values(["arm", "name"])[shared].reset_index(drop=True) for table in (named, of_folder))
    pd.testing.assert_frame_equal(*tables)
    kept = tmp_path / "frame" / "images.csv"
    assert f"data: {kept}\n" in (kept.parent / "study.yaml").read_text()
    assert set(glomfeat.read_manifest(kept).table["name"]) == set(manifest.table["path"]) == set(found["name"])


@pytest.mark.slow
def test_arrays_and_frames_of_features_are_data(feature_table, small, tmp_path):
    seen = small | {"heads": ["logreg"], "reducers": "none"}
    frame = pd.read_csv(feature_table)
    case = frame["name"].str.partition("_")[0]
    X, y = frame[[f"x{k}" for k in range(6)]], frame["label"]
    of_frame = glomfeat.compare(frame, **seen, out=tmp_path / "frame")
    of_file = glomfeat.compare(feature_table, **seen)
    figures = ["auroc", "auroc_lo", "brier", "sensitivity_t"]
    pd.testing.assert_frame_equal(of_frame.table[figures], of_file.table[figures])
    of_arrays = glomfeat.compare((X.to_numpy(), y.to_numpy(), case), **seen, out=tmp_path / "arrays")
    assert of_arrays.title.startswith("160 images of 16 cases: ") and of_arrays.table["auroc"].max() > 0.7
    again = glomfeat.compare((X.to_numpy(), y.to_numpy(), case), **seen, out=tmp_path / "arrays")
    pd.testing.assert_frame_equal(again.predictions, of_arrays.predictions)
    assert f"data: file:{tmp_path / 'arrays' / 'arrays.h5'}\n" in (tmp_path / "arrays" / "study.yaml").read_text()
    assert glomfeat.compare([X, y], **seen, groups="none").title.startswith("160 images: ")


@pytest.mark.slow
def test_the_output_of_transformers_in_the_session_changes_nothing(feature_table, small, tmp_path):
    seen = small | {"heads": ["logreg"], "reducers": ["none", "pca2"]}
    usual = glomfeat.compare(feature_table, **seen)
    with config_context(transform_output="pandas"):
        found = glomfeat.compare(feature_table, **seen | {"cache": tmp_path / "other"})
        assert get_config()["transform_output"] == "pandas"
    pd.testing.assert_frame_equal(found.predictions, usual.predictions)


@pytest.mark.slow
def test_arms_of_a_frame_are_named_beforehand(feature_table, small):
    frame = pd.read_csv(feature_table)
    seen = small | {"heads": ["logreg"], "reducers": ["none", "pca2"]}
    asked = {"ensembles": ("table/none/logreg,table/pca2/logreg",), "reference": "table/none/logreg"}
    found = glomfeat.compare(frame, **seen, **asked)
    name = found.best.name.removeprefix("mean:").partition("/")[0]
    assert re.fullmatch(r"table\.[0-9a-f]{8}", name)
    assert f"mean:{name}/none/logreg,{name}/pca2/logreg" in found.arms


def test_the_names_of_arms_of_a_frame_are_offered(feature_table, small):
    with pytest.raises(StudyError, match=r"^--reference: no arm .* is called 'logreg': .*table/none/logreg") as error:
        glomfeat.compare(pd.read_csv(feature_table), heads=["logreg"], reducers="none", reference="logreg", **small)
    assert "file:" not in str(error.value)


@pytest.mark.slow
def test_a_study_that_goes_on_with_other_versions_says_so(feature_table, small, tmp_path, capsys, monkeypatch):
    seen = small | {"heads": ["logreg"], "reducers": "none", "out": tmp_path / "out"}
    glomfeat.compare(feature_table, **seen)
    journal = tmp_path / "out" / "journal.jsonl"
    lines = journal.read_text().splitlines(keepends=True)
    journal.write_text("".join(line for line in lines if '"fold": 1' not in line or "logreg" not in line))
    before = carry_out.versions()
    monkeypatch.setattr(carry_out, "versions", lambda: before | {"scikit-learn": "9.9"})
    result = glomfeat.compare(feature_table, **seen | {"quiet": False})
    assert f"other versions (scikit-learn {before['scikit-learn']}, then 9.9), with which" in capsys.readouterr().out
    known = json.loads((tmp_path / "out" / "environment.json").read_text())["versions_of_trials"]
    assert known == [before, before | {"scikit-learn": "9.9"}]
    assert "Versions differ between trials: scikit-learn " in result.report().read_text()


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ((np.ones((4, 2)), [0, 1, 0, 1]), r"^data has 2 parts: write \(X, y, groups\) .* groups='none' treats"),
        ((np.ones((4, 2)), [0, 1], [0, 1, 2, 3]), r"^y has the shape \(2,\) and X \(4, 2\): write \(X, y, groups\)"),
        ((np.ones((4, 2, 2)), [0] * 4, [1] * 4), r"^X has the shape \(4, 2, 2\): .* images are given as a folder"),
        (([["a"]], [0], [1]), r"^X must hold numbers only: "),
        (([["1.5"], ["2"]], [0, 1], [0, 1]), r"^X must hold numbers only: "),
        ((np.full((2, 1), 1 + 2j), [0, 1], [0, 1]), r"^X must hold numbers only: "),
        ((pd.DataFrame({"day": pd.date_range("2020", periods=2)}), [0, 1], [0, 1]), r"^X must hold numbers only: "),
        ((pd.DataFrame({"a": ["1.5", "2"], "b": 1}), [0, 1], [0, 1]), r"^X must hold numbers only: "),
        ((np.ma.masked_equal([[1.0], [2.0]], 2), [0, 1], [0, 1]), r"^X is a masked array, and masks are not read: "),
        ((np.ones((2, 1)), np.ma.masked_equal([0, 1], 1), [0, 1]), r"^y is a masked array"),
        (
            (pd.DataFrame({"a": [1, 2]}, index=["p", "q"]), [0, 1], pd.Series([0, 1], index=["q", "p"])),
            r"^the index of groups is not that of X, so .*, such as groups\.loc\[X\.index\], or give groups\.to_numpy",
        ),
        (np.ones((4, 2)), r"^data is a numpy\.ndarray: give a folder, .* or a tuple \(X, y, groups\)$"),
        ((part for part in ()), r"^data is a builtins\.generator: give a folder"),
        (pd.DataFrame({"who": ["a"], "label": [1]}), r"^data is a DataFrame with the columns who, label: images need"),
    ],
)
def test_arrays_that_do_not_fit(data, message):
    with pytest.raises(StudyError, match=message):
        glomfeat.compare(data)


def test_a_frame_of_paths_needs_paths():
    with pytest.raises(StudyError, match=r"^data: every row of the column 'Path' must hold the path of an image$"):
        glomfeat.compare(pd.DataFrame({"Path": ["a.png", None], "label": [0, 1]}))


def test_a_manifest_of_a_table_is_data_and_has_been_read(few_images, feature_table, seen, small):
    tabular = glomfeat.compare(glomfeat.read_manifest(feature_table), heads=["logreg"], **small)
    assert tabular.table["feature"].str.startswith("table.").any()
    manifest = glomfeat.read_manifest(few_images)
    with pytest.raises(
        StudyError, match=r"^groups, label_column: the manifest has been read already; give the path that it was read f"
    ):
        glomfeat.compare(manifest, groups="none", label_column="crescent", **seen)
    few = replace(manifest, table=manifest.table.assign(case=manifest.table["label"].map(str)))
    with pytest.raises(ManifestError, match=r"are of case C00[12]: folds by case are impossible"):
        glomfeat.compare(few, **seen)


def test_the_class_of_a_manifest_is_never_a_feature(tmp_path, small):
    """A table with two columns of classes, of which the manifest was read by the second one."""
    draw, path = np.random.default_rng(0), tmp_path / "two.csv"
    frame = pd.DataFrame({"name": [f"{k // 5}_{k}" for k in range(40)], "case": [f"P{k // 5}" for k in range(40)]})
    frame = frame.assign(label=draw.integers(0, 2, 40), grade=np.tile([0, 1], 20), tone=draw.normal(size=40))
    frame.to_csv(path, index=False)
    manifest = glomfeat.read_manifest(path, asked=Asked(label="grade"))
    assert manifest.labels.sum() == 20
    found = glomfeat.compare(manifest, heads=["logreg"], label_column="grade", **small).predictions
    for data, options in ((manifest, {}), (path, {"label_column": "grade"})):
        same = glomfeat.compare(data, heads=["logreg"], **small | options).predictions
        pd.testing.assert_frame_equal(same, found)
    with pytest.raises(StudyError, match=r"^label_column: the manifest has been read already; give the path"):
        glomfeat.compare(manifest, label_column="label", **small)


@pytest.mark.slow
def test_columns_of_cohorts_may_be_named_beside_a_manifest_of_images(few_images, tmp_path, seen, capsys):
    there = glomfeat.read_manifest(glomfeat.make_phantom(tmp_path / "there", glomfeat.Phantom(24, 6, seed=5)))
    frame = pd.DataFrame({"path": there.table["path"], "case": "Q" + there.table["case"].astype(str)})
    names = np.array(there.classes)
    frame = frame.assign(label=names[np.arange(24) % 2], grade=names[there.labels])
    frame.to_csv(tmp_path / "there.csv", index=False)
    options = seen | {"quiet": False, "test": [f"there={tmp_path / 'there.csv'}"], "label_column": "grade"}
    manifest = glomfeat.read_manifest(few_images)
    found = glomfeat.compare(manifest, "shortcut", "logreg", out=tmp_path / "out", **options)
    assert "label_column: for the cohorts of test alone; the manifest has been read already" in capsys.readouterr().out
    assert set(found.external["positives"]) == {there.labels.sum()} != {12}


def test_the_temporary_folder_goes_with_the_result(feature_table, small):
    result = glomfeat.compare(feature_table, heads=["logreg"], **small)
    out, table = result.out, result.table
    assert (out / "results.csv").exists() and len(table) == 2
    del result
    gc.collect()
    assert not out.exists() and len(table) == 2


def test_a_result_reads_its_own_folder_wherever_the_session_goes(feature_table, small, tmp_path, monkeypatch):
    found = []
    for head in ("logreg", "svm"):
        (tmp_path / head).mkdir()
        monkeypatch.chdir(tmp_path / head)
        shutil.copy(feature_table, "table.csv")
        found.append(glomfeat.compare("table.csv", heads=head, reducers="none", out="runs/x", **small))
    first = found[0]
    assert set(first.trials["arm"]) == set(first.predictions["arm"]) == set(first.table["arm"])
    assert first.best.model().about["expected"]["auroc"] == pytest.approx(first.best.auroc, abs=1e-5)
    assert "\nout: runs/x\n" in (tmp_path / "logreg" / "runs" / "x" / "study.yaml").read_text()


def test_a_failed_call_leaves_no_temporary_folder(tmp_path, small, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    with pytest.raises(ManifestError):
        glomfeat.compare(tmp_path / "nothing", **small)
    assert not list((tmp_path / "temporary").iterdir())


def test_what_is_said_names_no_case(tmp_path, small, capsys):
    rng = np.random.default_rng(0)
    frame = pd.DataFrame({"name": [f"{k}.png" for k in range(40)], "label": rng.integers(0, 2, 40)})
    frame["case"] = np.repeat([f"Smith{k}" for k in range(8)], 5)
    frame.assign(x=rng.normal(size=40), y=rng.normal(size=40)).to_csv(tmp_path / "table.csv", index=False)
    heads = {"bayes": GaussianNB()}
    result = glomfeat.compare(tmp_path / "table.csv", heads=heads, **small | {"quiet": False})
    said, page = capsys.readouterr().out, result.report().read_text()
    assert "40 images of 8 cases" in said and "folds: split by case; no case is in two of them; " in said
    assert "table + bayes" in page and "Smith" not in said + page + repr(result) + result._repr_html_()


def test_a_result_shows_itself(feature_table, small, capsys):
    result = glomfeat.compare(feature_table, heads=["logreg"], groups="none", **small)
    assert capsys.readouterr().out == "", "it was asked to be quiet"
    arm, title = result.table["arm"][0], "160 images: "
    assert (
        repr(result).startswith(f"IMAGE-LEVEL SPLIT: SCORES ARE OPTIMISTIC\n{title}")
        and arm in repr(result)
        and "\x1b" not in repr(result)
    )
    assert f"{result.table['auroc'][0]:.3f} (" in repr(result)
    page = result._repr_html_()
    assert page.count("<tr") == 3 and f"<td>{arm}</td>" in page and "<th>AUROC (95 % limits)</th>" in page
    assert "<p class='remark'>IMAGE-LEVEL SPLIT: SCORES ARE OPTIMISTIC</p>" in page
    assert not re.search(r"<script|<link|src=|https?:", page), "it needs nothing from elsewhere"
    drawn = result.table.assign(weights="random (seed 0)", feature="<b>", status="failed", reason="<i>no</i>")
    page = to_html(drawn, "<title>")
    assert "random weights, not pretrained: &lt;b&gt;" in page and "(failed: &lt;i&gt;no&lt;/i&gt;)" in page
    assert "<b>&lt;title&gt;</b>" in page


def test_the_report_is_written_when_it_is_asked_for_and_kept(feature_table, tmp_path, small, monkeypatch):
    options = {"heads": ["logreg"], "out": tmp_path / "out", **small}
    result = glomfeat.compare(feature_table, **options)
    assert not (tmp_path / "out" / "report.html").exists()
    written = []

    def write(out, show_names, results, **more):
        written.append((show_names, results["arm"].tolist()))
        for name in ("cases.csv", "agreement.csv", "methods.bib", "errors.html", "report.html"):
            (out / name).write_text("<html></html>")
        return out / "report.html"

    monkeypatch.setattr("glomfeat.comparison.result.write_report", write)
    assert result.report() == result.report() == tmp_path / "out" / "report.html"
    assert written == [(False, result.table["arm"].tolist())]
    glomfeat.compare(feature_table, **options, show_names=True).report()
    assert [names for names, _ in written] == [False, True], "an older page is written again"


def test_bundles_hold_what_they_can_and_refitting_says_where_to_go(few_images, tmp_path, seen, capsys):
    from studies._cli import run_main
    from studies.refit import main

    features = ["shortcut", {"red": lambda image, size: [image[..., 0].mean(), size[0]]}]
    heads = {"lda": LinearDiscriminantAnalysis(), "forest": RandomForestClassifier(2)}
    options = seen | {"quiet": False, "save_models": True, "out": tmp_path / "out"}
    glomfeat.compare(few_images, features, heads, **options)
    said = capsys.readouterr().out
    assert (
        "red.v1/none/lda: no bundle: red.v1 is an object of a Python session, and a bundle holds no code: write a "
        "function red that returns it into a module such as mylab.py, and name it mylab:red\n"
    ) in said
    assert "shortcut.v1/none/forest: no bundle: RandomForestClassifier cannot be put into a bundle" in said
    bundle = glomfeat.load_bundle(tmp_path / "out" / "models" / "shortcut.v1+none+lda")
    image = next(few_images.rglob("*.png"))
    assert bundle.predict([image])["status"].tolist() == ["ok"]
    with pytest.raises(SystemExit) as stopped:
        run_main(main, [str(tmp_path / "out"), "--arm", "shortcut.v1/none/lda"])
    said = capsys.readouterr().err
    assert stopped.value.code == 2 and said.startswith(f"error: {tmp_path / 'out'} was compared from Python with parts")
    assert said.endswith("call glomfeat.compare there once more with the same out and save_models=True\n")


def test_named_parts_are_refitted_unless_their_code_has_changed(few_images, tmp_path, seen, monkeypatch, capsys):
    from studies._cli import run_main
    from studies.refit import main

    module = tmp_path / "mylab_refit.py"
    module.write_text(
        "from sklearn.naive_bayes import GaussianNB\n"
        "def bayes(seed):\n    return GaussianNB(var_smoothing=1e-6)\n"
        "def rule(y_true, score):\n    return 0.25\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    heads, out = ["logreg", "mylab_refit:bayes"], tmp_path / "out"
    glomfeat.compare(few_images, "shortcut", heads, threshold="mylab_refit:rule", out=out, **seen)
    for head in heads:
        to = tmp_path / head.replace(":", "+")
        assert main([str(out), "--arm", f"shortcut.v1/none/{head}", "--to", str(to)]) == 0
        assert glomfeat.load_bundle(to).threshold == 0.25
    module.write_text(module.read_text().replace("1e-6", "0.5"))
    sys.modules.pop("mylab_refit")
    with pytest.raises(SystemExit):
        run_main(main, [str(out), "--arm", "shortcut.v1/none/logreg", "--to", str(tmp_path / "changed")])
    said = capsys.readouterr().err
    assert "holds another study (the code or an attribute of mylab_refit:bayes has changed)" in said


def test_networks_of_ones_own(few_images, tmp_path, small):
    def pooled(classes):
        from torch import nn

        return nn.Sequential(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(12, classes))

    nets = {"layers": "MP-MP-GAP-D4-out", "function": pooled}
    options = small | {"features": [], "epochs": 1, "size": 16, "save_models": True, "out": tmp_path / "out"}
    result = glomfeat.compare(few_images, nets=nets, **options)
    rows = result.table.set_index("arm")
    assert rows.loc[["net:layers", "net:function"], "status"].tolist() == ["done", "done"]
    said = ["none, trained from the beginning", "as its own function makes them"]  # which may load weights
    assert rows.loc[["net:layers", "net:function"], "weights"].tolist() == said
    assert {path.name for path in (tmp_path / "out" / "models").iterdir()} == {"net+layers"}
    assert glomfeat.load_bundle(tmp_path / "out" / "models" / "net+layers").about["net"]["layers"][-1] == "out"
