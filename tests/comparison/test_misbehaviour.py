"""A part of the user's own that misbehaves costs its own arms, which say what was wrong and where, and nothing else."""

import re
from contextlib import nullcontext

import numpy as np
import pandas as pd
import pytest
from helpers import misbehaving
from helpers.misbehaving import LINES, SAID
from helpers.running import parts_called_here
from helpers.runs import make_run

from glomfeat.comparison.api import compare
from glomfeat.comparison.options import Study
from glomfeat.core.arms import StudyError
from glomfeat.core.part_errors import PartError
from glomfeat.metrics.thresholds import choose_threshold
from glomfeat.models.reducers.fit import reduce_rows
from glomfeat.results.parts import trial_parts
from glomfeat.results.tables import MEASURED
from glomfeat.results.user_metrics import measure_own
from studies.compare import main

pytestmark = pytest.mark.usefixtures("dealt_once")

MODULE = "helpers.misbehaving"
HEADS = {
    "make_head": ("none", "text"),
    "fit": ("raises", "dies", "loops"),
    "predict_proba": ("none", "ragged"),
    "decision_function": ("short",),
}
MORE_HEADS = {
    "make_head": ("raises", "exits"),
    "fit": ("exits", "none", "text"),
    "predict_proba": ("raises", "exits", "text", "nan", "short", "percent", "wide"),
    "decision_function": ("raises", "none", "text", "nan", "wide", "huge"),
}
ENDING_HEADS = {"make_head": ("dies",), "fit": ("aborts",)}  # each takes seconds, because another process begins
REDUCERS = {
    "make_reducer": ("raises", "exits", "none"),
    "fit": ("raises", "dies"),
    "transform": ("raises", "exits", "dies", "none", "text", "short", "nan", "ragged"),
}
DESCRIBED = ("raises", "exits", "dies", "loops", "none", "text", "nan", "varying")
SHARDS = ("raises", "dies", "none", "text", "short", "nan", "varying")
NETS = {"make_net": ("raises", "none"), "forward": ("raises", "exits", "none", "short", "nan", "dies")}
METRICS, MORE_METRICS = ("raises", "none"), ("exits", "text", "nan")
ONES = "return one for each"
NUMBERS = "return an array of numbers"
GIVEN = {
    "make_head": {
        "none": "'{name}' is a NoneType, which has neither predict_proba nor decision_function",
        "text": "'{name}' is a str, which has neither predict_proba nor decision_function",
    },
    "make_reducer": {"none": "raised AttributeError: 'NoneType' object has no attribute 'fit'"},
    "fit": {"none": "fit returned None: return self", "text": "fit returned 'many words': return self"},
    "predict_proba": {
        "none": f"predict_proba returned None: {NUMBERS} of shape",
        "text": f"predict_proba returned 'many words': {NUMBERS} of shape",
        "short": "predict_proba returned",
        "nan": "its scores of the inner splits are not finite: give a number for every row",
        "percent": "predict_proba gave scores outside of 0..1: scale them, or name the method decision_function",
        "wide": "predict_proba returned the shape",
        "ragged": f"predict_proba returned a list: {NUMBERS}",
    },
    "decision_function": {
        "none": f"decision_function returned None: {NUMBERS} of shape",
        "text": f"decision_function returned 'many words': {NUMBERS} of shape",
        "short": "decision_function returned",
        "nan": "its scores of the inner splits are not finite: give a number for every row",
        "wide": "decision_function returned the shape",
        "huge": "decision_function gave values so large that the logistic function makes equal scores of them",
    },
    "transform": {
        "none": f"transform returned None: {NUMBERS}, (rows, columns)",
        "text": f"transform returned 'many words': {NUMBERS}, (rows, columns)",
        "short": ONES,
        "nan": "transform gave NaN or infinity in",
        "ragged": "transform returned rows of several lengths: always return as many numbers",
    },
    "describe": {
        "none": "it returned None: return numbers, always as many",
        "text": "it returned 'many words': return numbers, always as many",
        "nan": "gives NaN or infinity in columns [0, 1] of 1 of",
        "varying": "gives [1, 2] values for different images: always return as many",
    },
    "shard": {"varying": "gives [1, 2] values for different images: always return as many"},
    "measure": {
        "none": "returned None: return one finite number",
        "text": "returned 'many words': return one finite number",
        "nan": "returned array([nan,  0.,  0.]): return one finite number",
    },
    "make_net": {"none": "it returned None: return a torch.nn.Module"},
    "forward": {"none": "raised ", "short": "forward gives shape (", "nan": "the loss of epoch 1 is nan"},
}


def pairs(kinds):
    return [(method, way) for method, ways in kinds.items() for way in ways]


def names(kind, kinds):
    return [f"{MODULE}:{kind}_{method}_{way}" for method, way in pairs(kinds)]


class Ran:
    """What a command left: its status, what it said, its tables."""

    def __init__(self, out, status=None, said=""):
        self.out, self.status, self.said = out, status, said
        self.results = pd.read_csv(out / "results.csv", keep_default_na=False).set_index("arm")

    def trials(self, arms):
        found = pd.read_csv(self.out / "trials.csv").drop(columns=list(MEASURED), errors="ignore")
        found = found[found["arm"].isin(arms)].reset_index(drop=True)
        return found.astype(object).where(found.notna(), "")  # whole numbers stay so only where no row is empty

    def predictions(self, arms):
        found = pd.read_parquet(self.out / "predictions.parquet")
        return found[found["arm"].isin(arms)].reset_index(drop=True)

    def reason(self, part):
        """The reason of the one row of a part, which has failed."""
        (arm,) = [arm for arm in self.results.index if part in re.split("[/:]", arm.replace(f"{MODULE}:", ""))]
        assert self.results.loc[arm, "status"] == "failed"
        return self.results.loc[arm, "reason"]


def assert_others_are_as_ever(with_bad, without):
    """The rows of the other arms are those of a run without the part that misbehaves."""
    good = list(without.results.index)
    assert (without.results["status"] == "done").all() and len(with_bad.results) > len(good)
    assert (with_bad.results.loc[good, "status"] == "done").all() and with_bad.status == 1 and without.status == 0
    pd.testing.assert_frame_equal(with_bad.trials(good), without.trials(good))
    pd.testing.assert_frame_equal(with_bad.predictions(good), without.predictions(good))


def assert_reason(reason, part, method, way):
    """The reason names the part, the method, and a line of the user's file."""
    assert part in reason
    if way in SAID:
        called = "" if method.startswith("make_") or method == "describe" else f"{method} "
        assert f"{called}{SAID[way]} (" in reason
        assert f"misbehaving.py:{line_of(LINES[way])}: {LINES[way]})" in reason
    else:
        assert GIVEN[method][way].replace("{name}", part) in reason
        assert re.search(r"misbehaving\.py:\d+: (def|return lambda) ?", reason), reason


def line_of(text):
    with open(misbehaving.__file__) as file:  # noqa: PTH123 -- line by line
        return next(number for number, line in enumerate(file, 1) if line.strip() == text)


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A feature table of 96 rows of 24 cases."""
    rng, path = np.random.default_rng(0), tmp_path_factory.mktemp("table") / "table.csv"
    label = np.repeat(np.arange(24), 4) % 2
    columns = {f"x{k}": rng.normal(size=96) + label * (1.5 if k == 0 else 0) for k in range(4)}
    rows = [f"P{case:02d}_PAS_1of1_{row:024x}.png" for row, case in enumerate(np.repeat(np.arange(24), 4))]
    pd.DataFrame({"name": rows, "label": label, **columns}).to_csv(path, index=False)
    return path


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs the command, with one trial an arm; in this process alone where no part ends it or never comes back."""

    def run(data, *arguments, report=False, timeout="3", here=False):
        place = tmp_path_factory.mktemp("run")
        line = [str(data), "--scheme", "holdout", "--jobs", "1", "--timeout", timeout, *arguments]
        with pytest.MonkeyPatch.context() as patch, parts_called_here() if here else nullcontext():
            if report:
                patch.setattr("glomfeat.report.write.find_figures", list)
            else:
                patch.setattr("studies.compare.end_with_report", lambda *rest: None)
            status = main([*line, "--out", str(place / "out"), "--cache", str(place / "cache")])
        return Ran(place / "out", status)

    return run


@pytest.fixture(scope="module")
def heads(run, table):
    good, usual = [f"{MODULE}:good", "logreg"], ("--reducers", "none", "--heads")
    bad = [*names("head", HEADS), f"{MODULE}:takes_no_seed"]
    refused = [name for name in bad if name.endswith(("make_head_none", "make_head_text"))]
    bad = [name for name in bad if name not in refused]
    return run(table, *usual, *good, *bad, report=True), run(table, *usual, *good, here=True)


@pytest.fixture(scope="module")
def more_heads(run, table):
    return run(table, "--reducers", "none", "--heads", *names("head", MORE_HEADS), "logreg")


def test_other_heads_are_as_ever(heads):
    assert_others_are_as_ever(*heads)


@pytest.mark.parametrize(("method", "way"), pairs(HEADS))
def test_a_head_is_a_failed_row(heads, table, method, way, tmp_path):
    part = f"head_{method}_{way}"
    if method == "make_head" and way in GIVEN["make_head"]:  # it is known before any work
        named = GIVEN[method][way].replace("{name}", f"{MODULE}:{part}")
        with parts_called_here(), pytest.raises(LookupError, match=named):
            main([str(table), "--heads", f"{MODULE}:{part}", "--out", str(tmp_path / "out")])
    else:
        assert_reason(heads[0].reason(part), part, method, way)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "way"), pairs(MORE_HEADS))
def test_a_head_that_misbehaves_otherwise_is_a_failed_row(more_heads, method, way):
    part = f"head_{method}_{way}"
    assert_reason(more_heads.reason(part), part, method, way)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "way"), pairs(ENDING_HEADS))
def test_a_head_that_ends_its_process_is_a_failed_row(run, table, method, way):
    part = f"head_{method}_{way}"
    found = run(table, "--reducers", "none", "--heads", f"{MODULE}:{part}", "logreg")
    assert_reason(found.reason(part), part, method, way)
    assert found.status == 1 and found.results["status"].value_counts().to_dict() == {"done": 2, "failed": 1}


def test_a_head_that_takes_no_seed_is_a_failed_row(heads):
    expected = "takes_no_seed() takes 0 positional arguments but 1 was given (tests/helpers/misbehaving.py:"
    reason = heads[0].reason("takes_no_seed").replace(" (misbehaving", " (tests/helpers/misbehaving")
    assert expected in reason and reason.endswith("def takes_no_seed():)")


@pytest.mark.parametrize(
    "ways", [("raises",), pytest.param(("raises", "dies", "loops"), marks=pytest.mark.slow)], ids=["raises", "all"]
)
def test_a_head_that_misbehaves_on_all_images_is_a_failed_row_of_a_cohort(run, table, tmp_path, ways):
    there = tmp_path / "there.csv"
    frame = pd.read_csv(table).head(32)
    frame.assign(name=[f"P9{name[1:]}" for name in frame["name"]], x0=frame["x0"] + 0.1).to_csv(there, index=False)
    bad = [f"{MODULE}:late_96_{way}" for way in ways]
    mean = "--ensembles", f"file:{table}/none/logreg,file:{table}/none/{bad[0]}"
    ran = run(
        table, "--reducers", "none", "--heads", *bad, "logreg", "--test", str(there), *mean, here=ways == ("raises",)
    )
    assert (ran.results["status"] == "done").all()
    external = pd.read_csv(ran.out / "external.csv", keep_default_na=False).set_index("arm")
    plain = next(arm for arm in external.index if arm.endswith("/logreg"))
    assert external.loc[[plain, "none/none/dummy"], "status"].eq("done").all()
    for way, part in zip(ways, bad, strict=True):
        arm = next(arm for arm in external.index if arm.endswith(part) and not arm.startswith("mean:"))
        assert external.loc[arm, "status"] == "failed"
        assert_reason(external.loc[arm, "reason"], f"head {part}", "fit", way)
    mean = next(arm for arm in external.index if arm.startswith("mean:"))
    assert external.loc[mean, "status"] == "skipped"
    assert external.loc[mean, "reason"].startswith("its member ") and SAID["raises"] in external.loc[mean, "reason"]


def test_the_report_says_what_failed(heads):
    page = (heads[0].out / "report.html").read_text(encoding="utf-8")
    assert "head_fit_raises" in page and "too few rows" in page and SAID["loops"] in page


@pytest.fixture(scope="module")
def reducers(run, table):
    usual = ("--heads", "logreg", "--reducers", "none", "ipca2")
    return run(table, *usual, *names("reducer", REDUCERS)), run(table, *usual)


@pytest.mark.slow
def test_other_reducers_are_as_ever(reducers):
    assert_others_are_as_ever(*reducers)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "way"), pairs(REDUCERS))
def test_a_reducer_is_a_failed_row(reducers, method, way):
    part = f"reducer_{method}_{way}"
    assert_reason(reducers[0].reason(part), part, method, way)


def test_a_reducer_of_several_widths_is_refused():
    X = np.random.default_rng(0).normal(size=(600, 3)).astype(np.float32)
    part = f"{MODULE}:reducer_transform_varying"
    with pytest.raises(PartError) as error:
        reduce_rows(part, X, np.arange(300), standardise=False)
    assert f"reducer {part}: transform returned [1, 2] columns: always return as many (" in str(error.value)


@pytest.fixture(scope="module")
def features(run, phantom_folder):
    usual = ("--heads", "logreg", "--reducers", "none", "--size", "32", "--features", "shortcut")
    bad = [*(f"{MODULE}:feature_{way}" for way in (*DESCRIBED, "make_raises", "make_exits"))]
    bad += [f"{MODULE}:shard_{way}" for way in SHARDS]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("glomfeat.core.cache.ROWS_PER_SHARD", 12)
        return run(phantom_folder, *usual, *bad), run(phantom_folder, *usual)


@pytest.mark.slow
def test_other_features_are_as_ever(features):
    assert_others_are_as_ever(*features)


@pytest.mark.slow
@pytest.mark.parametrize("way", DESCRIBED)
def test_a_feature_of_one_image_is_a_failed_row(features, way):
    assert_reason(features[0].reason(f"{way}.v1"), f"feature {way}.v1", "describe", way)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["raises", "exits"])
def test_a_feature_that_cannot_be_made_is_a_failed_row(features, way):
    part = f"feature_make_{way}"
    assert_reason(features[0].reason(part), part, "make_feature", way)


@pytest.mark.slow
@pytest.mark.parametrize("way", SHARDS)
def test_a_feature_of_many_images_is_a_failed_row(features, way):
    method = "shard" if way in GIVEN["shard"] else "transform"
    assert_reason(features[0].reason(f"shard{way}.v1"), f"feature shard{way}.v1", method, way)


@pytest.fixture(scope="module")
def nets(run, phantom_folder):
    usual = ("--features", "shortcut", "--heads", "logreg", "--reducers", "none", "--size", "32", "--epochs", "1")
    bad = "--nets", *names("net", NETS)
    return run(phantom_folder, *usual, *bad, timeout="99"), run(phantom_folder, *usual)


@pytest.mark.slow
def test_other_arms_than_networks_are_as_ever(nets):
    assert_others_are_as_ever(*nets)


@pytest.mark.slow
@pytest.mark.parametrize(("method", "way"), pairs(NETS))
def test_a_network_is_a_failed_row(nets, method, way):
    part = f"net_{method}_{way}"
    assert_reason(nets[0].reason(part), part, method, way)


@pytest.fixture(scope="module")
def metrics(run, table):
    usual = ("--reducers", "none", "--heads", "logreg")
    own = [f"{MODULE}:metric_{way}" for way in METRICS]
    return run(table, *usual, "--metrics", "sklearn.metrics:log_loss", *own, here=True), run(table, *usual, here=True)


@pytest.mark.slow
def test_a_metric_that_ends_its_process_is_an_empty_cell_with_its_reason(run, table):
    ran = run(table, "--reducers", "none", "--heads", "logreg", "--metrics", f"{MODULE}:metric_dies")
    row = ran.results.iloc[0]
    assert ran.status == 1 and (ran.results["status"] == "done").all() and row["metric_dies"] == ""
    assert_reason(row["reason"], "metric metric_dies", "describe", "dies")


def test_other_columns_than_those_of_a_metric_are_as_ever(metrics):
    with_bad, without = metrics
    assert with_bad.status == 1 and (with_bad.results["status"] == "done").all()
    same = [column for column in without.results if column not in (*MEASURED, "reason")]
    pd.testing.assert_frame_equal(with_bad.results[same], without.results[same])
    assert (with_bad.results["log_loss"].astype(float) >= 0).all()


@pytest.mark.parametrize("way", METRICS)
def test_a_metric_is_an_empty_cell_with_its_reason(metrics, way):
    row = metrics[0].results.iloc[0]
    assert row[f"metric_{way}"] == ""
    assert_reason(row["reason"], f"metric metric_{way}", "describe" if way in SAID else "measure", way)


@pytest.mark.slow
def test_a_metric_that_misbehaves_otherwise_is_an_empty_cell_with_its_reason(run, table):
    own = [f"{MODULE}:metric_{way}" for way in MORE_METRICS]
    row = run(table, "--reducers", "none", "--heads", "logreg", "--metrics", *own).results.iloc[0]
    for way in MORE_METRICS:
        assert row[f"metric_{way}"] == ""
        assert_reason(row["reason"], f"metric metric_{way}", "describe" if way in SAID else "measure", way)


@pytest.mark.parametrize(
    ("metric", "why"),
    [(misbehaving.metric_loops, "took longer than --timeout 0.5 s ("), (misbehaving.metric_dies, SAID["dies"])],
    ids=["loops", "dies"],
)
def test_a_metric_that_never_comes_back_is_an_empty_cell(metric, why):
    run = make_run()
    parts = trial_parts(run, run.trials[:1])
    found, (said,) = measure_own(parts, {"slow": metric}, seconds=0.5)
    assert np.isnan(found["slow"]) and said.startswith(f"metric slow: {why}")


@pytest.mark.parametrize("way", ["raises", "exits", "none", "text", "nan"])
def test_a_rule_is_an_error_with_its_reason(way):
    with pytest.raises(PartError) as error:
        choose_threshold([0, 1], [0.2, 0.9], f"{MODULE}:rule_{way}")
    part = f"threshold rule {MODULE}:rule_{way}"
    assert_reason(str(error.value), part, "describe" if way in SAID else "measure", way)


@pytest.mark.slow
def test_a_rule_that_ends_its_process_fails_the_trials_and_the_run_ends(run, table):
    rule = f"{MODULE}:rule_dies"
    found = run(table, "--reducers", "none", "--heads", "logreg", "--threshold", rule)
    assert found.status == 1 and (found.results["status"] == "failed").all() and len(found.results) == 2
    assert_reason(found.results["reason"].iloc[0], f"threshold rule {rule}", "describe", "dies")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "inf"])
def test_a_timeout_is_more_than_no_time(seconds):
    with pytest.raises(StudyError, match=f"^--timeout is {seconds}: give seconds, more than 0$"):
        Study(timeout=float(seconds)).check()


def test_a_timeout_is_of_this_machine():
    with pytest.raises(
        StudyError, match=r"^--timeout works only on this machine, but --backend is dask: leave one out$"
    ):
        Study(timeout=3.0, backend="dask", scheduler="tcp://x:1").check()


@pytest.mark.slow
def test_a_part_that_cannot_be_sent_is_called_here_unless_its_time_is_limited(table, tmp_path):
    with open(tmp_path / "held", "w") as held:  # noqa: PTH123 -- it stays open
        heads = {"odd": lambda seed: misbehaving.Head() if held else None}
        given = {"heads": heads, "reducers": "none", "scheme": "holdout", "jobs": 1, "cache": tmp_path, "quiet": True}
        assert (compare(table, **given).table["status"] == "done").all()
        failed = compare(table, **given, timeout=60.0).table.set_index("head").loc["odd"]
    assert failed["status"] == "failed" and failed["reason"].endswith("which --timeout needs: leave that out")
    assert failed["reason"].startswith("it cannot be sent to a worker process (PicklingError: ")


def test_decision_values_are_said_to_be_no_probabilities(table, tmp_path, parts_here):
    given = {"reducers": "none", "scheme": "holdout", "jobs": 1, "cache": tmp_path, "quiet": True}
    heads = {"plain": misbehaving.Decides()}
    for calibration, said in (("none", True), ("platt", False)):
        row = compare(table, heads=heads, calibration=calibration, **given).table.set_index("head").loc["plain"]
        assert ("no probabilities" in row["reason"]) == said and row["status"] == "done"
