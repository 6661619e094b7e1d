"""A built-in head is one entry: with it a study, its words, its memory, its forecast and its bundle are complete."""

import numpy as np
import pytest
from helpers.running import run_study
from sklearn.naive_bayes import BernoulliNB

import glomfeat
from glomfeat.bundle.codecs import dump_head, load_head
from glomfeat.bundle.format import BundleError
from glomfeat.checks.parts import check_part, find_part
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.comparison.refit import save_models
from glomfeat.features.extract import extract
from glomfeat.models.heads.built_in import HEADS, Head, entry_of, head_bytes, make_head
from glomfeat.models.heads.entry import Codec, Entry
from glomfeat.report.arm_names import plain_arms
from glomfeat.report.sections.methods import paragraph
from glomfeat.results.load import load_run

pytestmark = pytest.mark.usefixtures("dealt_once")


def bayes(seed, reduced=False):
    return Head(BernoulliNB(), {"alpha": [1.0, 0.1]})


ENTRY = Entry(
    bayes,
    label="Bayes",
    sentence="naive Bayes on signs",
    bytes_per_value=10,
    more_bytes=lambda n_train, columns: 5 * columns,
    types=("sklearn.naive_bayes.BernoulliNB",),
)


def test_a_new_head_is_one_entry(phantom_folder, tmp_path, monkeypatch):
    monkeypatch.setitem(HEADS, "bayes", ENTRY)
    options = {"data": str(phantom_folder), "features": ("shortcut",), "reducers": ("none",), "size": 64, "folds": 2}
    options |= {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "jobs": 1}
    prepared = prepare(Study(**options, heads=("bayes",)), lambda line: None)
    (stage,) = (stage for stage in make_plan(prepared) if stage.name == "shortcut.v1/none/bayes")
    assert stage.need.bytes == 48 * 10 * 4 + head_bytes("bayes", 48, 10)
    _, results, *_ = run_study(tmp_path, **options, heads=("bayes",))
    arm = "shortcut.v1/none/bayes"
    assert results.set_index("arm").loc[arm, "status"] == "done"
    assert plain_arms(results["arm"])[arm] == "shortcut + Bayes"
    assert "classifiers: naive Bayes on signs." in " ".join(paragraph(load_run(tmp_path / "out")))
    said = []
    extracted = extract(prepared.manifest, prepared.features, prepared.preprocess, prepared.store)
    made = save_models(prepared, extracted, said.append)
    bundle = glomfeat.load_bundle(made[arm])
    assert isinstance(bundle.model.estimator, BernoulliNB) and bundle.about["head"] == {
        "name": "bayes",
        "stored": "skops",
    }
    assert bundle.predict(prepared.manifest.table["path"].tolist())["score"].between(0, 1).all()


def test_a_new_head_keeps_the_contract(monkeypatch):
    monkeypatch.setitem(HEADS, "bayes", ENTRY)
    found = check_part(find_part("bayes"))
    assert [str(finding) for finding in found if finding.status == "wrong"] == []


def test_types_of_a_head_are_allowed_by_its_entry_alone(monkeypatch):
    fitted = BernoulliNB().fit([[0.0], [1.0]], [0, 1])
    with pytest.raises(BundleError, match=r"BernoulliNB \(ObjectNode\) is not on the list"):
        dump_head("bayes", fitted)
    monkeypatch.setitem(HEADS, "bayes", ENTRY)
    assert dump_head("bayes", fitted)[:2] == ("skops", "head.skops")


def test_a_head_may_bring_its_own_codec(tmp_path, monkeypatch):
    def load(estimator, data, columns, classes):
        if len(data) != 2 * columns:
            raise ValueError("other columns")
        return estimator.fit(np.frombuffer(data, np.uint8).reshape(2, columns), range(classes))

    codec = Codec("rows", "rows.json", "two rows", lambda fitted: bytes([0, 0, 1, 1]), load)
    monkeypatch.setitem(HEADS, "bayes", Entry(bayes, "Bayes", "naive Bayes", codec=codec))
    stored, file, data = dump_head("bayes", None)
    assert (stored, file) == ("rows", "rows.json")
    (tmp_path / file).write_bytes(data)
    assert load_head(stored, tmp_path, 2, 2).predict([[1, 1], [0, 0]]).tolist() == [1, 0]
    with pytest.raises(BundleError, match=r"rows\.json does not hold two rows \(ValueError\): take a fresh copy"):
        load_head(stored, tmp_path, 3, 2)
    with pytest.raises(KeyError):
        load_head("pickle", tmp_path, 2, 2)


def test_heads_of_ones_own_go_by_their_names_and_have_the_defaults():
    entry = entry_of("mylab:lda")
    assert entry.label == entry.sentence == "mylab:lda" and entry.codec is None and not entry.notes
    assert entry.bytes_per_value == 40 and entry.rows_at_once(10**6) == 10**6


@pytest.mark.parametrize("name", HEADS)
def test_every_entry_says_what_is_needed(name):
    entry = HEADS[name]
    assert entry.label and entry.sentence and entry.factory.__doc__ and bool(entry.types) != bool(entry.codec)
    X, y = np.random.default_rng(0).normal(size=(40, 3)).astype(np.float32), np.arange(40) % 2
    fitted = make_head(name, 0).estimator.fit(X, y)
    assert dump_head(name, fitted)[0] == (entry.codec.name if entry.codec else "skops")
    for values in make_head(name, 0).grid.values():
        *rest, last = (f"{value:g}" for value in values)
        assert (
            f"classes weighted equally, {'depth of' if name == 'xgboost' else 'C of'} {', '.join(rest)} or {last})"
            in (entry.sentence)
        )
