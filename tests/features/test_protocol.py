"""A feature is an object with five members: all else has defaults, and no part of the work asks for more."""

import json
import pickle
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from helpers.running import run_study

import glomfeat
from glomfeat.checks.parts import check_part, find_part
from glomfeat.comparison.forecast import make_plan
from glomfeat.comparison.options import Study
from glomfeat.comparison.prepare import prepare
from glomfeat.core.part_errors import at
from glomfeat.data.images.decode import Preprocess
from glomfeat.features.base import Feature, FeatureError, Handcrafted, as_feature
from glomfeat.features.deep.network import deep
from glomfeat.features.make import FEATURES, make_feature
from glomfeat.features.seen import view_of
from glomfeat.features.table import Table
from glomfeat.features.users import is_users
from studies import audit, export
from studies.compare import main

pytestmark = pytest.mark.usefixtures("dealt_once")

MODULE = """
import numpy as np

class Redness:
    name, key, weights, standardise = "redness.v1", {"feature": "redness.v1"}, "", True

    def transform(self, pixels, sizes):
        return np.stack([pixels[..., 0].mean(axis=(1, 2)), sizes[:, 0]], axis=1).astype(np.float32)

def redness():
    return Redness()

def nothing():
    return object()
"""
MEMBERS = {*Feature.__annotations__, *(name for name in vars(Feature) if not name.startswith("_"))}


@pytest.fixture(autouse=True)
def _plugin(tmp_path, monkeypatch, parts_here):
    (tmp_path / "five_members.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)


class Bare:
    """The needed members, and others as they are given."""

    key, weights, standardise, name = {"feature": "bare.v1"}, "", False, "bare.v1"

    def __init__(self, **others):
        vars(self).update(others)

    def transform(self, pixels, sizes):
        return pixels.reshape(len(pixels), -1)[:, :3].astype(np.float32)


@dataclass(frozen=True)
class Coded:
    """A dataclass of somebody's, the numbers of which follow its code."""

    code: str = ""
    device: str = "cpu"
    name: str = "coded.v1"
    weights: str = ""
    standardise: bool = True
    notes: list = field(default_factory=list)

    @property
    def key(self):
        return {"feature": self.name, "code": self.code}

    transform = Bare.transform


def test_the_checks_approve_of_five_members():
    found = check_part(find_part("five_members:redness"))
    assert [str(finding) for finding in found if finding.status == "wrong"] == []


def test_five_members_run_in_a_study_and_are_planned_before(phantom_folder, tmp_path):
    options = {"data": str(phantom_folder), "features": ("five_members:redness", "shortcut"), "size": 64}
    shared = {"out": str(tmp_path / "out"), "cache": str(tmp_path / "cache"), "heads": ("logreg",), "jobs": 1}
    stages = make_plan(prepare(Study(**options, **shared), lambda line: None))
    assert [stage.total for stage in stages if stage.name == "redness.v1"] == [48]
    more = {"heads": ("logreg",), "reducers": ("none",), "folds": 2}
    _, results, *_ = run_study(tmp_path, **options, **more, random_twin=True)
    assert results.set_index("arm").loc["redness.v1/none/logreg", "status"] == "done"


def test_a_dry_run_of_five_members_ends_well(phantom_folder, tmp_path, capsys):
    names = ["five_members:redness", "--heads", "logreg", "--size", "64", "--cache", str(tmp_path / "cache")]
    command = [str(phantom_folder), "--features", *names, "--out", str(tmp_path / "out"), "--dry-run"]
    assert main(command) == 0
    assert "redness.v1" in capsys.readouterr().out


def test_five_members_are_exported_and_audited(phantom_folder, tmp_path, only_exact_copies):
    shared = ["--size", "64", "--cache", str(tmp_path / "cache"), "--jobs", "1"]
    to = ["--features", "five_members:redness", "--to", str(tmp_path / "rows.parquet")]
    assert export.main([str(phantom_folder), *to, *shared]) == 0
    table = pd.read_parquet(tmp_path / "rows.parquet")
    assert len(table) == 48 and table.columns[-2:].tolist() == ["redness.v1:0", "redness.v1:1"]
    out = ["--embedding", "five_members:redness", "--out", str(tmp_path / "audit")]
    assert audit.main([str(phantom_folder), *out, *shared]) in (0, 1)
    assert json.loads((tmp_path / "audit" / "audit.json").read_text())


def test_every_feature_has_all_members(feature_table):
    ours = [*map(make_feature, FEATURES), Table(str(feature_table)), deep("squeezenet1_1", "none", device="cpu")]
    for feature in [*ours, as_feature(Bare())]:
        missing = MEMBERS - {"transform"} - {*dir(feature)}
        assert not missing and as_feature(feature) is feature
        assert isinstance(feature.note(64), str) and feature.imputes in (False, True)


def test_what_an_object_has_goes_before_the_defaults():
    let_go = []
    others = {"note": lambda side: f"{side} px", "release": lambda: let_go.append(1), "reads": (32, None)}
    feature = as_feature(Bare(columns=("a", "b", "c"), **others))
    assert feature.note(7) == "7 px" and list(feature.described) == ["a", "b", "c"]
    assert view_of(feature, Preprocess(64)).size == 32 and feature.at_once(64) == 1
    feature.release()
    assert let_go == [1] and as_feature(Bare()).release() is None


def test_the_settings_of_a_dataclass_are_its_code_and_its_batch_alone():
    feature = as_feature(Coded()).having(device="cuda", code="1a2b", batch=3)
    assert feature.key == {"feature": "coded.v1", "code": "1a2b"} and feature.thing.device == "cpu"
    assert as_feature(Bare()).having(code="1a2b").key == {"feature": "bare.v1"}


def test_an_object_travels_with_what_it_has():
    feature = pickle.loads(pickle.dumps(as_feature(Bare(columns=("a",)))))
    assert feature.columns == ("a",) and feature.name == "bare.v1" and feature.thing.columns == ("a",)
    pixels = np.full((2, 4, 4, 3), 7, np.uint8)
    np.testing.assert_array_equal(feature.transform(pixels, None), np.full((2, 3), 7, np.float32))


def test_what_is_no_feature_is_refused_with_the_remedy():
    with pytest.raises(FeatureError, match=r"a object is not a feature, it has no name, key, .*: take glomfeat\.Hand"):
        make_feature("five_members:nothing")


def test_names_of_columns_are_as_many_as_the_numbers(phantom_folder, tmp_path):
    sizes, pixels = np.array([[8, 8]]), np.zeros((1, 8, 8, 3), np.uint8)
    assert Handcrafted("two.v1", lambda image, size: size, columns=("w", "h")).transform(pixels, sizes).shape == (1, 2)
    with pytest.raises(FeatureError, match=r"two\.v1 gives 2 values and names 1 column: name each, or none"):
        Handcrafted("two.v1", lambda image, size: size, columns=("w",)).transform(pixels, sizes)


def test_a_module_of_ones_own_may_be_called_like_ours(monkeypatch):
    monkeypatch.setattr(Bare, "__module__", "glomfeat_kidneys")
    assert is_users(as_feature(Bare())) and not is_users(make_feature("shortcut"))
    beside = Path(glomfeat.__file__).parents[1] / "glomfeat_kidneys.py"
    assert at([(str(beside), 3, "transform"), (glomfeat.__file__, 9, "extract")]) == " (glomfeat_kidneys.py:3)"
