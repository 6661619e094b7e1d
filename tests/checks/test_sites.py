"""How well sites are told within a class, and what leaving one out costs: a planted shift is found, none is not."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import recall_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from glomfeat.checks.data.sites import COLUMNS, find_sites, probe_sites_of
from glomfeat.data.manifest import Manifest
from glomfeat.data.splits import make_folds
from glomfeat.data.tables.read import TableError
from studies import audit

pytestmark = pytest.mark.usefixtures("dealt_once")

CASES, EACH = 36, 6


@pytest.fixture(scope="module")
def data():
    """Cases of three sites, each with images of both classes; and noise that tells the class, or also the site."""
    rng = np.random.default_rng(0)
    case = np.repeat(np.arange(CASES), EACH)
    label, site = np.arange(CASES * EACH) % 2, case % 3
    names = [f"i{row:03d}" for row in range(len(case))]
    table = pd.DataFrame(
        {"name": names, "label": label, "case": [f"P{one:02d}" for one in case], "slide": "", "path": ""}
    )
    blind = rng.normal(size=(len(case), 3)) + 0.8 * label[:, None]
    shifted = blind + 0.0
    shifted[:, 1] += 4 * site
    misled = blind.copy()
    misled[:, 2] = np.where(site == 0, label, 1 - label) * 3 + rng.normal(size=len(case)) * 0.5  # turns round at site 0
    frame = pd.DataFrame({"scanner": np.array(["A", "B", "C"])[site]})
    matrices = {"blind": blind, "shifted": shifted, "misled": misled}
    matrices = {name: matrix.astype(np.float32) for name, matrix in matrices.items()}
    return Manifest(table, ("no", "yes"), True), frame, site, matrices


@pytest.fixture(scope="module")
def probed(data):
    manifest, frame, _, matrices = data
    return probe_sites_of(manifest, frame, ["scanner"], matrices, 3, 0)


def by_hand(X, y, train):
    return make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=5000)).fit(
        X[train], y[train]
    )


def test_a_shift_of_sites_is_told_and_none_is_not(probed):
    table, (finding,) = probed
    table = table.set_index("feature")
    assert table.loc["shifted", "told"] > 0.85 and table.loc["shifted", "told_lo"] > 1 / 3
    assert table.loc["blind", "told_lo"] < 1 / 3 < table.loc["blind", "told_hi"]
    assert table["chance"].tolist() == pytest.approx([1 / 3] * 3)
    assert table.loc["misled", "cost_lo"] > 0.1 and table.loc["misled", "p"] < 0.01
    assert table.loc["blind", "cost_lo"] < 0.05
    assert finding.severity == "warning" and finding.code == "sites"
    assert finding.what.startswith("within a class and from other cases, 'scanner' is told right of: blind ")


def test_the_share_that_is_told_is_that_of_scikit_learn_within_each_class(data, probed):
    manifest, _, site, matrices = data
    found = probed[0].set_index("feature").loc["shifted", "told"]
    shares = []
    for label in (0, 1):
        rows = np.flatnonzero(manifest.labels == label)
        of_sites = Manifest(
            manifest.table.iloc[rows].assign(label=site[rows]).reset_index(drop=True), ("0", "1", "2"), True
        )
        dealt, told = make_folds(of_sites, "cv", 3, 1, 0)["fold"].to_numpy(), np.zeros(len(rows), int)
        for fold in range(3):
            train, test = rows[dealt != fold], rows[dealt == fold]
            assert not set(manifest.cases[train]) & set(manifest.cases[test])
            told[dealt == fold] = by_hand(matrices["shifted"], site, train).predict(matrices["shifted"][test])
        shares.append(recall_score(site[rows], told, average="macro"))
    assert found == pytest.approx(np.mean(shares), abs=0.02)  # both stop near the same optimum


def test_the_cost_of_leaving_a_site_out_is_of_the_same_images(data, probed):
    manifest, _, site, matrices = data
    X, y, row = matrices["misled"], manifest.labels, probed[0].set_index("feature").loc["misled"]
    dealt = make_folds(manifest, "cv", 3, 1, 0)["fold"].to_numpy()
    areas = []
    for of in range(3):
        out = by_hand(X, y, site != of).predict_proba(X)[:, 1]
        for fold in range(3):
            cell = (site == of) & (dealt == fold)
            within = by_hand(X, y, dealt != fold).predict_proba(X)[:, 1]
            areas.append((roc_auc_score(y[cell], within[cell]), roc_auc_score(y[cell], out[cell])))
    by_case, left_out = np.mean(areas, axis=0)
    assert row["by_case"] == pytest.approx(by_case, abs=0.01)
    assert row["site_left_out"] == pytest.approx(left_out, abs=0.01)
    assert row["cost"] == pytest.approx(row["by_case"] - row["site_left_out"])


def test_what_cannot_be_told_says_why(data):
    manifest, frame, _, matrices = data
    one = {"blind": matrices["blind"]}
    frame = frame.assign(lone="A", some=np.where(np.arange(len(frame)) < 9, None, frame["scanner"]))
    table, findings = probe_sites_of(manifest, frame, ["lone", "some"], one, 3, 0)
    assert table["note"].tolist() == ["there is one site only", ""] and list(table.columns) == list(COLUMNS)
    assert findings[0].severity == "info"
    assert findings[0].what == "how well 'lone' can be told is not known; there is one site only"
    assert findings[1].what.endswith("; 9 images have no value and are left out")
    many = frame.assign(batch=[f"b{row}" for row in range(len(frame))])
    assert probe_sites_of(manifest, many, ["batch"], one, 3, 0)[0]["note"].item() == (
        f"it has {len(frame)} values, and at most 60 are probed"
    )
    of_images = Manifest(manifest.table.assign(case=manifest.table["name"]), manifest.classes, False)
    (found,) = probe_sites_of(of_images, frame, ["scanner"], one, 3, 0)[1]
    assert "cases are not known, and without them knowing a case looks like knowing a site" in found.what


def test_columns_are_found_by_their_names_or_asked_for():
    frame = pd.DataFrame(columns=["name", "Scanner_ID", "stain", "age"])
    assert find_sites(frame, (), "t.csv") == ["Scanner_ID", "stain"]
    written = ["Site ID", "site-id", "SiteID", "Centre", "batch", "Lab ID", "scanner_model", "Study site"]
    assert find_sites(pd.DataFrame(columns=[*written, "prosite", "labels"]), (), "t.csv") == written
    assert find_sites(frame, ("age", "Age"), "t.csv") == ["age"]
    with pytest.raises(
        TableError,
        match=r"^--sites 'stian' is no column of t\.csv: allowed are stain, Scanner_ID, age",
    ):
        find_sites(frame, ("stian",), "t.csv")


def test_a_feature_table_with_a_site_is_probed_by_its_own_numbers(data, tmp_path):
    manifest, frame, _, matrices = data
    table = manifest.table[["name", "label", "case"]].assign(scanner=frame["scanner"])
    table.join(pd.DataFrame(matrices["shifted"], columns=list("uvw"))).to_csv(tmp_path / "t.csv", index=False)
    audit.main(
        [str(tmp_path / "t.csv"), "--folds", "3", "--out", str(tmp_path / "out"), "--cache", str(tmp_path / "c")]
    )
    found = pd.read_csv(tmp_path / "out" / "sites.csv")
    assert found["column"].tolist() == ["scanner"] and found["feature"].iloc[0].startswith("t.")
    assert found["told"].iloc[0] > 0.85
    said = json.loads((tmp_path / "out" / "audit.json").read_text())["findings"]
    assert [one["severity"] for one in said if one["code"] == "sites"] == ["warning"]


def test_a_site_is_not_told_from_its_own_column(data, tmp_path):
    manifest, frame, _, matrices = data
    table = manifest.table[["name", "label", "case"]].assign(year=pd.factorize(frame["scanner"])[0] + 2001)
    table.join(pd.DataFrame(matrices["blind"], columns=list("uvw"))).to_csv(tmp_path / "t.csv", index=False)
    for number, asked in enumerate((["--sites", "Year"], ["--sites", "year", "--groups", "case"])):
        out = tmp_path / str(number)
        audit.main([str(tmp_path / "t.csv"), *asked, "--folds", "3", "--out", str(out), "--cache", str(tmp_path / "c")])
        found = pd.read_csv(out / "sites.csv")
        assert found["column"].tolist() == ["year"] and found["told"].iloc[0] < 0.6
        said = json.loads((out / "audit.json").read_text())["findings"]
        (used,) = (one["what"] for one in said if one["code"] == "columns.used")
        assert used.startswith("3 columns describe: u, v, w")
