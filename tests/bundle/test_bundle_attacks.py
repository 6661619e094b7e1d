"""Bundles from a stranger: each is refused in a sentence, and nothing in it is run."""

import hashlib
import io
import json
import os
import pickle
import shutil
import sys
import zipfile

import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.svm import SVC
from sklearn.tree import DecisionTreeClassifier

import glomfeat
from glomfeat.bundle.codecs import MOVED, dump_skops, load_head, load_skops
from glomfeat.bundle.format import BundleError
from glomfeat.models.heads.scaling import OneScale
from glomfeat.models.heads.svms import SVMs

REMEDIES = ("take a fresh copy", "remove it", "update glomfeat", "give the folder", "--trust")


class Evil:
    """What runs code when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def copy(models, tmp_path):
    """Copy a bundle, to be changed."""

    def make(kind="svm"):
        return shutil.copytree(models.folders[kind], tmp_path / "bundle")

    return make


def sign(folder, name, data=None):
    """Write a file and list it in bundle.json with its right SHA-256, as a stranger would."""
    if data is not None:
        (folder / name).write_bytes(data)
    data = (folder / name).read_bytes()
    about = json.loads((folder / "bundle.json").read_text())
    about["files"][name] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    (folder / "bundle.json").write_text(json.dumps(about))


def change(folder, **values):
    """Change what bundle.json says; a double underscore goes one level down."""
    about = json.loads((folder / "bundle.json").read_text())
    for name, value in values.items():
        *above, last = name.split("__")
        place = about
        for part in above:
            place = place[part]
        place[last] = value
    (folder / "bundle.json").write_text(json.dumps(about))


def refused(folder, match):
    with pytest.raises(BundleError, match=match) as caught:
        glomfeat.load_bundle(folder, device="cpu")
    said = str(caught.value)
    assert "\n" not in said and any(remedy in said for remedy in REMEDIES), said
    return said


@pytest.mark.parametrize("name", ["model.pkl", "weights.pth", "run.py", "head.skops.exe", ".hidden.json", "a b.json"])
@pytest.mark.parametrize("listed", [True, False])
def test_files_of_other_kinds_are_refused_unopened(copy, tmp_path, name, listed):
    folder = copy()
    (folder / name).write_bytes(pickle.dumps(Evil(tmp_path / "run")))
    if listed:
        sign(folder, name)
    refused(folder, "and bundles hold only")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["head.skops", "arrays.safetensors"])
def test_a_pickle_under_a_good_name_is_not_unpickled(copy, tmp_path, name):
    folder = copy()
    sign(folder, name, pickle.dumps(Evil(tmp_path / "run")))
    refused(folder, "is not a file of skops|claims a header")
    assert not (tmp_path / "run").exists()


def test_a_pickled_array_inside_of_skops_is_not_unpickled(copy, tmp_path):
    folder = copy()
    array, buffer = np.empty(1, object), io.BytesIO()
    array[0] = Evil(tmp_path / "run")
    np.save(buffer, array, allow_pickle=True)
    sign(folder, "head.skops", repacked(folder / "head.skops", lambda name, data: buffer.getvalue()))
    refused(folder, "does not hold a fitted part")
    assert not (tmp_path / "run").exists()


def repacked(path, changed, ending=".npy"):
    """A file of skops, the arrays of which were changed, or other parts by how their names end."""
    out = io.BytesIO()
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            new.writestr(name, changed(name, data) if name.endswith(ending) else data)
    return out.getvalue()


@pytest.mark.parametrize(
    "name", ["../secret.json", "/etc/passwd", "..\\secret.json", "a/b.json", "", "..", "bundle.json"]
)
def test_a_list_that_leads_out_of_the_folder_is_refused(copy, tmp_path, name):
    folder = copy()
    (tmp_path / "secret.json").write_text("{}")
    about = json.loads((folder / "bundle.json").read_text())
    about["files"][name] = {"bytes": 2, "sha256": hashlib.sha256(b"{}").hexdigest()}
    (folder / "bundle.json").write_text(json.dumps(about))
    refused(folder, "is not the name of a file of a bundle")


@pytest.mark.parametrize("name", ["head.skops", "card.md", "bundle.json"])
def test_links_are_refused(copy, tmp_path, name):
    folder = copy()
    shutil.move(folder / name, tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    refused(folder, "holds the link")


def test_folders_and_pipes_are_refused(copy):
    folder = copy()
    (folder / "more").mkdir()
    refused(folder, "'more', which is not a plain file")
    (folder / "more").rmdir()
    os.mkfifo(folder / "pipe.json")
    refused(folder, r"'pipe\.json', which is not a plain file")


def test_files_that_systems_write_are_passed_over_and_links_of_their_names_are_not(copy):
    folder = copy()
    for name in (".DS_Store", "._bundle.json", "Thumbs.db", "desktop.ini"):
        (folder / name).write_bytes(b"written by a system")
    assert glomfeat.load_bundle(folder, device="cpu").about["format"] == "glomfeat-bundle"
    (folder / ".DS_Store").unlink()
    (folder / ".DS_Store").symlink_to(folder / "bundle.json")
    refused(folder, r"holds the link '\.DS_Store'")


def test_changed_missing_and_added_files_are_refused(copy):
    folder = copy()
    good = (folder / "head.skops").read_bytes()
    (folder / "head.skops").write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    refused(folder, r"head\.skops has changed since it was written \(its SHA-256 differs\)")
    (folder / "head.skops").unlink()
    refused(folder, r"lacks head\.skops")
    (folder / "head.skops").write_bytes(good)
    (folder / "extra.json").write_text("{}")
    refused(folder, r"holds 'extra\.json', which bundle\.json does not list: remove it")


@pytest.mark.parametrize("header", [2**63, 2**40, 5_000_000, 0])
def test_a_huge_header_is_refused_before_it_is_read(copy, header):
    folder = copy()
    data = (folder / "arrays.safetensors").read_bytes()
    sign(folder, "arrays.safetensors", header.to_bytes(8, "little") + data[8:])
    refused(folder, "claims a header of")


@pytest.mark.parametrize(
    ("version", "match"),
    [
        (5, r"has format version 5 and this glomfeat reads 4: update glomfeat"),
        (0, "has the format version 0, which was never written"),
        ("1", "has the format version '1'"),
        (True, "has the format version True"),
        (None, "has the format version None"),
    ],
)
def test_other_formats_are_refused(copy, version, match):
    folder = copy()
    change(folder, version=version)
    refused(folder, match)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("[" * 100_000, "cannot be read as JSON"),
        ("{", "cannot be read as JSON"),
        ("[1]", "holds no JSON object"),
        ('{"version": 1}', "is not a bundle's"),
        ('{"format": "glomfeat-bundle", "version": 1}', "lists no files"),
        ('{"a": "' + "x" * 5_000_000 + '"}', "is larger than 4,000,000 bytes"),
        ('{"n": ' + "9" * 10_000 + "}", "cannot be read as JSON"),
    ],
)
def test_a_bundle_json_made_to_hurt_is_refused(copy, text, match):
    folder = copy()
    (folder / "bundle.json").write_text(text)
    refused(folder, match)


def test_a_bundle_json_with_a_turned_bit_is_refused(copy):
    folder = copy()
    path = folder / "bundle.json"
    data = path.read_bytes()
    at = data.index(b'"threshold": 0.') + 15
    path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
    refused(folder, r"has changed since it was written \(its checksum differs\): take a fresh copy")


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    refused(tmp_path, r"is not a bundle: give the folder that holds bundle\.json")
    refused(tmp_path / "gone", "is not a bundle")


@pytest.mark.parametrize(
    "values",
    [
        {"threshold__value": 7.0},
        {"threshold__value": None},
        {"classes": ["one"]},
        {"classes": "no"},
        {"classes": [1, 2]},
        {"classes": ["a", "\x1b[2Jb"]},
        {"arm": 3},
        {"preprocess__size": 10**9},
        {"preprocess__size": "x"},
        {"preprocess": {"size": 64, "other": 1}},
        {"preprocess__filter": "nearest"},
        {"preprocess__filter": []},
        {"reducer__columns": 3},
        {"feature__width": 11},
        {"threads": 10**9},
        {"checks": {}},
        {"head": None},
        {"calibration": {"kind": "evil"}},
    ],
)
def test_values_that_do_not_fit_are_refused(copy, values):
    folder = copy()
    change(folder, **values)
    refused(folder, "does not hold what a bundle holds")


def test_names_of_code_are_refused_and_not_imported(copy, tmp_path, monkeypatch):
    (tmp_path / "evilpart.py").write_text(f"import os\nos.mkdir({str(tmp_path / 'run')!r})\n")
    monkeypatch.chdir(tmp_path)
    folder = copy("svm")
    change(folder, feature__asked="evilpart:make")
    refused(folder, "pass --trust evilpart:make")
    shutil.rmtree(folder)
    folder = copy("net")
    change(folder, net__name="evilpart:make", net__layers=None)
    refused(folder, "pass --trust evilpart:make")
    assert "evilpart" not in sys.modules and not (tmp_path / "run").exists()


def schema_of(loader, module, kind, **rest):
    return {"__loader__": loader, "__module__": module, "__class__": kind, "protocol": 2, **rest}


def as_skops(schema):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:
        file.writestr("schema.json", json.dumps(schema))
    return out.getvalue()


@pytest.mark.parametrize(
    "schema",
    [
        schema_of("FunctionNode", "os", "system", content={"module_path": "os", "function": "system"}),
        schema_of("TypeNode", "os", "system"),
        schema_of("OperatorFuncNode", "operator", "methodcaller", attrs=[]),
        schema_of("MethodNode", "sklearn.svm._classes", "SVC", content={"func": "fit", "obj": {}}),
        schema_of("PartialNode", "functools", "partial"),
        schema_of("ReduceNode", "builtins", "str"),
        schema_of("ObjectNode", "builtins", "str"),
        schema_of("JsonNode", "builtins", "str", more=[{"deep": schema_of("ObjectNode", "subprocess", "Popen")}]),
        schema_of("ObjectNode", "sklearn.tree._classes", "DecisionTreeClassifier"),
        {"__class__": "SVC", "__module__": "sklearn.svm._classes"},
        {"__loader__": ["ObjectNode"], "__class__": "SVC", "__module__": "sklearn.svm._classes"},
    ],
)
def test_types_outside_of_the_list_are_refused(copy, schema):
    folder = copy()
    sign(folder, "head.skops", as_skops(schema))
    refused(folder, "is not on the list")


def test_a_tree_of_scikit_learn_is_not_on_the_list(copy):
    # its nodes are indices into memory that nobody checks
    folder = copy()
    tree = DecisionTreeClassifier().fit([[0.0], [1.0]], [0, 1])
    sign(folder, "head.skops", skops.io.dumps(tree))
    refused(folder, "is not on the list")


def test_what_unpacks_to_more_than_memory_is_refused(monkeypatch):
    monkeypatch.setattr("glomfeat.bundle.codecs.MOST_UNPACKED", 1_000_000)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("1.npy", bytes(1_000_000))
        file.writestr("schema.json", "{}")
    assert len(out.getvalue()) < 5000
    with pytest.raises(BundleError, match="it unpacks to more than a part has"):
        load_skops(out.getvalue(), "head.skops")


@pytest.mark.parametrize("wrapped", [False, True])
def test_a_support_vector_machine_whose_arrays_do_not_fit_is_refused(models, wrapped):
    estimator = models.made["svm"].model.estimator
    for name, value in (("_n_support", [10**6, 10**6]), ("support_vectors_", np.zeros((2, 99))), ("kernel", "linear")):
        evil = skops.io.loads(
            skops.io.dumps(estimator),
            trusted=["glomfeat.models.heads.svms.SVMs", "glomfeat.models.heads.scaling.OneScale"],
        )
        setattr(evil[-1].machines_[-1], name, np.asarray(value, np.int32) if name == "_n_support" else value)
        evil = Pipeline([("inner", evil)]) if wrapped else evil
        with pytest.raises(BundleError, match=r"does not hold a fitted part \((ValueError|AttributeError)\)"):
            load_skops(skops.io.dumps(evil), "head.skops")


@pytest.mark.parametrize(
    "machines",
    [
        lambda known: [],
        lambda known: "SVC",
        lambda known: [LogisticRegression().fit([[0.0] * 4, [1.0] * 4], [0, 1])],
        lambda known: [*known, SVC().fit([[0.0], [1.0]], [0, 1])],
        lambda known: np.array([*known, None], object)[:-1],
    ],
)
def test_machines_that_do_not_go_together_are_refused(models, machines):
    estimator = models.made["svm"].model.estimator
    evil = skops.io.loads(
        skops.io.dumps(estimator), trusted=["glomfeat.models.heads.svms.SVMs", "glomfeat.models.heads.scaling.OneScale"]
    )
    evil[-1].machines_ = machines(evil[-1].machines_)
    with pytest.raises(BundleError, match=r"does not hold a fitted part|is not on the list"):
        load_skops(skops.io.dumps(evil), "head.skops")


def trees_of(models):
    return json.loads(bytes(models.made["deep"].model.estimator.get_booster().save_raw("json")))


def read_trees(about, folder):
    (folder / "head.json").write_text(json.dumps(about))
    return load_head("xgboost", folder, 4, 2)


@pytest.mark.parametrize(
    ("name", "value"), [("left_children", 10**6), ("right_children", 0), ("split_indices", 10**6), ("split_type", 1)]
)
def test_boosted_trees_that_point_outside_are_refused(models, name, value, tmp_path):
    about = trees_of(models)
    about["learner"]["gradient_booster"]["model"]["trees"][3][name][0] = value
    with pytest.raises(BundleError, match=r"does not hold boosted trees \(ValueError\)"):
        read_trees(about, tmp_path)


def test_boosted_trees_of_another_kind_are_refused(models, tmp_path):
    for path, value in (
        (("gradient_booster", "name"), "dart"),
        (("objective", "name"), "reg:squarederror"),
        (("learner_model_param", "num_feature"), "5"),
        (("gradient_booster", "model", "tree_info"), [7]),
        (("gradient_booster", "model", "iteration_indptr"), [0, 10**6]),
    ):
        about = trees_of(models)
        place = about["learner"]
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = value
        with pytest.raises(BundleError, match="does not hold boosted trees"):
            read_trees(about, tmp_path)
    rows = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    same = read_trees(trees_of(models), tmp_path).predict_proba(rows)
    assert np.array_equal(same, models.made["deep"].model.estimator.predict_proba(rows))


def test_a_network_of_other_layers_is_refused(copy):
    folder = copy("net")
    change(folder, net__layers=["F", "D9", "out"])
    refused(folder, r"does not hold what a bundle holds \(StateError")


@pytest.mark.parametrize("module", MOVED)
def test_types_that_have_moved_are_found_by_their_old_names(tmp_path, module):
    X, y = np.random.default_rng(0).normal(size=(40, 3)), np.arange(40) % 2
    fitted = make_pipeline(OneScale(), SVMs(most_rows=15)).fit(X, y)
    (tmp_path / "now.skops").write_bytes(dump_skops(fitted))
    before = repacked(
        tmp_path / "now.skops", lambda name, data: data.replace(MOVED[module].encode(), module.encode()), ".json"
    )
    assert module.encode() in before and MOVED[module].encode() not in before
    found = load_skops(before, "before.skops")
    np.testing.assert_array_equal(found.decision_function(X), fitted.decision_function(X))
