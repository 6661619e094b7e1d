"""The contract tests say in words what is wrong: every part that is broken on purpose is found."""

import re

import numpy as np
import pytest
from helpers import badparts

from glomfeat.checks.parts import KINDS, Part, check_part, find_part
from glomfeat.core.plugins import PluginError
from glomfeat.models.reducers.fit import reduce_rows
from studies import check
from studies._cli import run_main

HEADS = {
    "Outside": "its fit changes layers that outlive it, so the next fold would start from them: make all in fit",
    "takes_nothing": "it cannot be called with the seed: write it as def NAME(seed)",
    "gives_none": "it returns None: return a scikit-learn classifier, or glomfeat.Head(classifier, grid)",
    "gives_class": "it returns the class LogisticRegression itself: return a scikit-learn classifier, or glomfeat.Head"
    "(classifier, grid)",
    "gives_regressor": "a LinearRegression has neither predict_proba nor decision_function: choose one that scores",
    "bare": "a Bare has no get_params: derive it from sklearn.base.BaseEstimator",
    "one_for_all": "two calls return the same object: make a new one in the function",
    "one_object": "two calls return the same object: make a new one in the function",
    "fitted": "it comes fitted, and every fold forgets that: return it before fit",
    "not_cloned": "it cannot be cloned (RuntimeError: Cannot clone object...",
    "not_sent": "it cannot be pickled (TypeError: cannot pickle '_thread.lock' object): hold no open files, locks or "
    "connections",
    "wrong_name": "its grid names 'rte', which is no parameter: did you mean 'rate'? known: rate",
    "wrong_values": "its grid gives 1.0 for 'rate': give a list of values",
    "wrong_setting": "it cannot be fitted with {'rate': -1.0}: ValueError: rate must be positive",
    "wrong_path": "its path gives scores up to 0.49 from those of fits one by one: correct it or leave it out",
    "Nameless": "it has no classes_ after fit: set self.classes_ = np.unique(y)",
    "Percent": "predict_proba gave scores outside of 0..1: scale them, or name the method decision_function, whose "
    "values may have any range",
    "Halved": "predict_proba gave rows that do not sum to 1, such as one of 0.5: divide each row by its sum, or name "
    "the method decision_function",
    "Missing": "its scores are NaN or infinite: give a number for every row",
    "Upside": "its scores fall where they should rise: columns of predict_proba go by classes_",
    "ThreeOff": "with three classes: predict_proba gave scores outside of 0..1: scale them, or name the method "
    "decision_function, whose values may have any range",
    "Batch": "a row's score depends on the rows beside it, by up to 0.25: score each row by itself",
    "Placed": "a row's score depends on their order, by up to 0.5: score each row by itself",
    "Twice": "it gives other scores when asked twice: predicting must not change the model",
    "Random": "two fits with one seed differ by up to 0...",
    "Writing": "it cannot read rows that may not be written to: ValueError: output array is read-only",
    "ManyRows": "it cannot be fitted on 12 rows of 40 columns, 6 of each class: ValueError: 20 rows are needed",
}
FEATURES = {
    "no_feature": "it returns a list: return glomfeat.Handcrafted('name.v1', function)",
    "with_seed": "it cannot be called with nothing: write it as def NAME()",
    "one_feature": "two calls return the same object: make a new one in the function",
    "no_version": "its name is 'redness': write name.version, such as redness.v1, without slash or space",
    "changing_name": "two calls give other names or keys: they must say what the numbers depend on, and no more",
    "array_key": "its key is no plain data (TypeError: Object of type ndarray is not JSON serializable): use text, "
    "numbers, lists and dicts",
    "long_key": "its key is a dict of 2013 characters: give a short dict",
    "odd_weights": "weights must be text (empty for none) and standardise True or False",
    "divides": "for the image 'black' it raises ZeroDivisionError: division by zero",
    "doubles": "its numbers are float64: return float32",
    "flat": "transform returns a ndarray of shape (1,) for one image: return (n, width)",
    "centred": "an image's numbers depend on the images beside it: describe each by itself",
    "ranked": "an image's numbers depend on their order: describe each by itself",
    "forgets": "what arrives in a worker process gives other numbers",
    "drawn": "it gives other numbers when asked twice: draw nothing at random, or from a fixed seed",
    "inverts": "it changes the pixels that it is given: work on a copy",
    "changing_sizes": "it changes the sizes that it is given: work on a copy",
    "writes": "it cannot read pixels that may not be written to: ValueError: output array is read-only",
    "locked": "it cannot be sent to a worker process (TypeError: cannot pickle '_thread.lock' object): hold no open "
    "files, locks or models",
    "only_64": "for images of --size 48 it raises ValueError: cannot reshape array of size 6912 into shape (64,64,3)",
    "tall": "for an image of 3 x 7 px before padding it raises FeatureError: tall.v1 gives NaN or infinity in...",
    "unbounded": "for an image of 4000 x 3 px before padding it gives 2 numbers, and 1 for others: "
    "always return as many",
}
REDUCERS = {
    "reducer_with": "it cannot be called with nothing: write it as def NAME()",
    "no_reducer": "it returns an int: return a scikit-learn transformer",
    "NoFit": "a NoFit has no fit: return a scikit-learn transformer",
    "one_reducer": "two calls return the same object: make a new one in the function",
    "FitsNothing": "its fit returns None: return self",
    "Lists": "transform returns a list: return an array of a row for each row",
    "Holes": "leaves rows as they are, and reads those that may not be written to: reducer helpers.badparts:Holes: "
    "transform gave NaN or infinity in 90 of 90 rows, in columns [0, 1, 2]: give a number for every row",
    "Beside": "what it makes of a row depends on the rows beside it: transform each row by itself",
    "Steady": "works with standardised columns: reducer helpers.badparts:Steady: fit raised ValueError: nothing to "
    "scale",
    "RandomReducer": "two fits differ: set its random_state",
    "InPlace": "it changes the rows that it is given: work on a copy (copy=True)",
    "many_components": "it cannot be fitted on 20 rows of 40 columns: reducer helpers.badparts:many_components: fit "
    "raised ValueError: n_components=25 must be...",
}
NETS = {
    "net_without": "it cannot be called with classes=2: write it as def NAME(classes) or def NAME(classes, side)",
    "no_net": "returns a network: it returned 'network': return a torch.nn.Module",
    "one_net": "two calls return the same object: make a new one in the function",
    "shared_layer": "two calls share body.0.weight, body.0.bias, which each training copies: make all layers in the "
    "function",
    "numpy_start": "two calls under one seed begin with other weights: draw them by torch alone",
    "fixed_side": "it does not read images of 224 px, the default --size: RuntimeError: mat1 and mat2 shapes...",
    "two_only_net": "for 4 images and 3 classes it gives shape (4, 2): return (4, 3)",
    "raises_on_three": "with 3 classes it raises ValueError: two classes at the most",
    "Softmax": "it seems to end in a softmax or sigmoid: return logits, the loss takes them",
    "Tuple": "it gives a tuple: return one tensor of logits",
    "Half": "its logits are float64, or not finite: return finite float32",
    "BatchNormed": "in evaluation mode an image's logits depend on the images beside it: see to eval()",
    "Dropping": "in evaluation mode it gives other logits when asked twice: drop out in training only",
    "Unused": "no gradient reaches spare.weight, spare.bias: use them in forward, or take them out",
    "Frozen": "it has no parameter that learns: check requires_grad, or register layers as attributes",
    "Climbing": "its loss does not fall in 20 steps: 0...",
    "Forgetful": "its state_dict does not hold all that it learns: keep it in parameters and buffers",
}
METRICS = {
    "one_argument": "it does not take labels and scores: write it as def NAME(y_true, score)",
    "text": "with ordinary scores it returned '0.5': return one finite number",
    "mean_of_ties": "with scores that all tie it returned nan: return one finite number",
    "sorts": "it changes the labels that it is given: work on a copy",
    "scales": "it changes the scores: work on a copy",
    "first": "with ordinary scores it gives 0.232868, and 0.01 with the rows in another order",
    "random_metric": "it gives another number when asked again: draw nothing at random",
}
RULES = METRICS | {
    "above_one": "with ordinary scores it returned 1.49: return one number in 0..1",
    "locked_rule": "it cannot be sent to a worker process: TypeError: cannot pickle '_thread.lock' object",
}
BROKEN = dict(zip(KINDS, (HEADS, FEATURES, REDUCERS, NETS, METRICS, RULES), strict=True))


def bad(kind, name):
    """A part of badparts; classes of heads are called without the seed that they do not take."""
    thing = getattr(badparts, name)
    if kind == "head" and isinstance(thing, type):
        return Part(kind, name, lambda seed: thing())
    return find_part(f"helpers.badparts:{name}", kind)


def said(part, status):
    """What is said, without the places in the file, of which the last test has some."""
    found = [finding.text for finding in check_part(part) if finding.status == status]
    return [re.sub(r" \(tests/helpers/badparts\.py:\d+: .*\)$", "", text) for text in found]


@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, parts in BROKEN.items() for name in parts])
def test_what_is_wrong_is_said_and_nothing_else(kind, name):
    expected, found = BROKEN[kind][name], said(bad(kind, name), "wrong")
    if expected.endswith("..."):
        assert len(found) == 1 and found[0].startswith(expected.removesuffix("..."))
    else:
        assert found == [expected]


@pytest.mark.parametrize(
    ("leaky", "expected"),
    [
        (
            lambda name, X, train, standardise: reduce_rows(name, X, np.arange(len(X)), standardise),
            "rows that are not trained on change what it gives: keep to the rows that fit is given",
        ),
        (
            lambda name, X, train, standardise: {
                "rows": X[:, :2]
                + X[np.setdiff1d(np.arange(90), train), :1].max() * (~np.isin(np.arange(90), train)[:, None])
            },
            "what it makes of a row depends on the rows beside it: transform each row by itself",
        ),
        (
            lambda name, X, train, standardise: {"rows": X[:, :2] + np.arange(90)[:, None]},
            "what it makes of a row depends on where the row stands in the table",
        ),
    ],
)
def test_a_leak_in_the_librarys_own_reducing_is_found(monkeypatch, leaky, expected):
    monkeypatch.setattr("glomfeat.checks.parts.reducers.reduce_rows", leaky)
    assert said(find_part("ipca4"), "wrong") == [expected]


def test_several_things_are_said_each():
    assert said(bad("head", "Greedy"), "wrong") == [
        "it changes the rows that it is given: work on a copy",
        "it changes the labels that it is given: work on a copy",
    ]
    assert said(bad("feature", "spread"), "wrong") == [
        f"for the image {name!r} it raises FeatureError: spread.v1 gives NaN or infinity in columns [0]"
        for name in ("white", "black")
    ]
    assert said(bad("feature", "unkeyed"), "wrong") == [
        f"it has no {name}: derive it from glomfeat.Handcrafted, or set it"
        for name in ("key", "weights", "standardise")
    ]
    assert said(bad("head", "gives_none"), "note") == ["the other checks wait until that is corrected"]


@pytest.mark.parametrize(
    ("kind", "name", "expected"),
    [
        (
            "head",
            "TwoOnly",
            "with three classes it raises ValueError: two at the most: it is for two classes only",
        ),
        ("head", "Ordered", "its scores depend on the order of the training rows, by up to 0.085"),
        ("head", "Constant", "it does not tell classes apart that are clearly apart"),
        ("head", "many_settings", "its grid has 25 settings: each is fitted on every inner split"),
        (
            "head",
            "searches",
            "its cv splits by rows within the training cases, so images of a case lie on both sides: "
            "choose settings by glomfeat.Head(classifier, grid), and calibrate by --calibration",
        ),
        ("feature", "rows_of_size", "how many numbers it gives depends on --size: 64 at 64, 48 at 48, 96 at 96"),
        ("reducer", "OwnReducer", "it is fitted by its fit: all training rows must fit into memory at once"),
        ("reducer", "Varying", "how many columns it keeps depends on the training rows: 2, 3"),
        ("net", "side_of_study", "it reads 224 px and not 64: take the argument side, or pool over the whole map"),
        ("net", "PartFrozen", "body.0.weight, body.0.bias stay as they are"),
        ("metric", "one_class_only", "if a fold holds only one class it raised ValueError: one class"),
        ("metric", "of_positives", "it is 0.9 for perfect scores and 0.1 for scores the wrong way round"),
        ("threshold", "of_positives", "with ordinary scores it chooses 0.348: sensitivity 1.00, specificity 0.56"),
    ],
)
def test_what_is_good_to_know_is_a_note_and_not_wrong(kind, name, expected):
    assert expected in said(bad(kind, name), "note") and said(bad(kind, name), "wrong") == []


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        *[("logreg", "head"), ("classical", "feature"), ("squeezenet1_1", "feature"), ("none", "reducer")],
        *[("pca16", "reducer"), ("compact", "net"), ("C8-MP-F-D8-out", "net"), ("resnet18:frozen", "net")],
        *[("youden", "threshold"), ("sensitivity>=0.9", "threshold"), ("0.4", "threshold")],
        *[
            ("glomfeat.models.heads.built_in:svm", "head"),
            ("helpers.badparts:linear_svm", "head"),
            ("helpers.badparts:good_feature", "feature"),
        ],
        *[
            ("helpers.badparts:by_variance", "reducer"),
            ("helpers.badparts:good_net", "net"),
            ("helpers.badparts:takes_nothing", "head"),
        ],
        *[
            ("helpers.badparts:net_without", "net"),
            ("helpers.badparts:ONE", "head"),
            ("helpers.badparts:PROJECTION", "reducer"),
        ],
        *[("helpers.badparts:gives_none", "head"), ("helpers.badparts:OwnReducer", "reducer")],
    ],
)
def test_the_kind_is_found_from_what_a_function_takes_and_returns(parts_here, name, kind):
    assert find_part(name).kind == kind


def test_an_object_is_checked_too():
    part = find_part("helpers.badparts:ONE")
    assert said(part, "wrong") == [] and part.make(0) is not badparts.ONE
    assert said(part, "note")[0] == "it is an object: --heads takes a function that returns a new one"


def status_of(*arguments):
    with pytest.raises(SystemExit) as stopped:
        run_main(check.main, list(arguments))
    return stopped.value.code


def test_the_command_says_it_and_ends_so(capsys):
    assert status_of("helpers.badparts:linear_svm", "pca4") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["helpers.badparts:linear_svm (head)", "  ok: returns a classifier that scores"]
    assert "pca4 (reducer)" in lines and lines[-1] == "nothing wrong"
    assert status_of("helpers.badparts:text", "helpers.badparts:of_positives", "--kind", "metric") == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == [
        "helpers.badparts:text (metric)",
        "  wrong: with ordinary scores it returned '0.5': return one finite number (tests/helpers/badparts.py:650: def "
        "text(y, score):)",
    ]
    assert lines[-1] == "1 wrong"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], "name a part to check, such as mylab:lda"),
        (["logrg"], "no part is called 'logrg': did you mean 'logreg', '"),
        (["logreg", "--kind", "net"], "no net is called 'logreg': "),
        (["dice", "--kind", "metric"], "no metric is called 'dice': your own: module:function"),
        (["logreg", "--timeout", "0"], "--timeout is 0: a number of seconds above 0"),
        (["logreg", "--timeout", "nan"], "--timeout is nan: a number of seconds above 0"),
        (["helpers.badparts:lda"], "part 'helpers.badparts:lda': helpers.badparts has no function 'lda'; "),
        (
            ["nowhere:lda"],
            "part 'nowhere:lda': there is no module 'nowhere'; run the command in its folder, ",
        ),
        (
            ["failing:f"],
            "part 'failing:f': failing cannot be imported, correct it or install what it needs (ZeroDivisionError: "
            "division by zero; failing.py:1: 1 / 0)",
        ),
        (
            ["helpers.badparts:first"],
            "helpers.badparts:first takes labels and scores: is it a metric or a rule for the threshold? Say --kind "
            "metric or --kind threshold",
        ),
        (
            ["helpers.badparts:no_reducer"],
            "helpers.badparts:no_reducer returns a int: say what it is with --kind, head, feature, ",
        ),
    ],
)
def test_what_cannot_be_found_is_one_message(tmp_path, monkeypatch, capsys, parts_here, arguments, expected):
    (tmp_path / "failing.py").write_text("1 / 0\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert status_of(*arguments) == 2
    assert capsys.readouterr().err.startswith(f"error: {expected}")


@pytest.mark.parametrize(
    ("name", "kind", "wrong"),
    [
        (
            "head_fit_dies",
            "head",
            "every setting of its grid can be fitted: head {}: fit ended its process (exit status 0) (",
        ),
        pytest.param(
            "head_fit_exits",
            "head",
            "every setting of its grid can be fitted: it raises SystemExit: 0 (",
            marks=pytest.mark.slow,
        ),
        (
            "head_predict_proba_loops",
            "head",
            "leaves rows and labels as they are: head {}: predict_proba took longer ",
        ),
        pytest.param(
            "head_predict_proba_short",
            "head",
            "predict_proba returned 59 rows for 60: return one for each",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "reducer_fit_dies",
            "reducer",
            "fits and transforms: reducer {}: fit ended its process (exit status 0) (",
            marks=pytest.mark.slow,
        ),
        (
            "feature_exits",
            "feature",
            "describes white, black, noisy and drawn images by finite float32 numbers: it raises SystemE",
        ),
        pytest.param(
            "feature_dies",
            "feature",
            "describes white, black, noisy and drawn images by finite float32 numbers: feature {}: ",
            marks=pytest.mark.slow,
        ),
        pytest.param(
            "metric_dies",
            "metric",
            "takes labels and scores: it ended its process (exit status 0) (",
            marks=pytest.mark.slow,
        ),
        ("rule_exits", "threshold", "with ordinary scores it raised SystemExit: 0"),
    ],
)
def test_a_part_that_ends_the_program_is_found(name, kind, wrong, capsys):
    part = f"helpers.misbehaving:{name}"
    assert status_of(part, "--kind", kind, "--timeout", "2") == 1
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  wrong: ")]
    assert lines[0].startswith(f"  wrong: {wrong.format(part)}")


def test_an_unknown_kind_is_refused():
    with pytest.raises(
        ValueError, match=r"^kind is 'heads': allowed are head, feature, reducer, net, metric, threshold$"
    ):
        find_part("logreg", "heads")
    with pytest.raises(PluginError):
        find_part("compactt")
