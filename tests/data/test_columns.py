"""Which columns of a table describe."""

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from glomfeat.comparison.in_memory import write_table
from glomfeat.data.embeddings import open_rows
from glomfeat.data.manifest import read_manifest
from glomfeat.data.tables.columns import Asked, sort_columns
from glomfeat.data.tables.numbers import numbers_of
from glomfeat.data.tables.read import TableError
from glomfeat.features.make import FeatureError, make_feature
from glomfeat.features.table import Table
from glomfeat.features.telling import lines_on_tables, telling_columns

RNG = np.random.default_rng(0)
FRAME = pd.DataFrame(
    {
        "name": [f"case{k // 4}_{k}" for k in range(48)],
        "label": np.arange(48) // 24,
        "area": RNG.normal(size=48),
        "area_sd": RNG.normal(size=48),
        "round": RNG.random(48) > 0.5,
        "stain": ["PAS", "HE", "Masson"] * 16,
        "slide_no": np.arange(48),
        "lot": [f"{k % 7:03d}" for k in range(48)],
        "name_of_lot": [f"L{k % 12}" for k in range(48)],
    }
)


@pytest.fixture(params=["csv", "tsv", "parquet"])
def table(request, tmp_path):
    path = tmp_path / f"t.{request.param}"
    if request.param == "parquet":
        FRAME.to_parquet(path, row_group_size=20)
    else:
        FRAME.to_csv(path, index=False, sep="," if request.param == "csv" else "\t")
    return path


@pytest.mark.parametrize(
    ("asked", "columns"),
    [
        (Asked(), ["area", "area_sd", "round", "slide_no", "lot"]),
        (Asked(drop=("slide*", "lot")), ["area", "area_sd", "round"]),
        (Asked(keep=("area*",)), ["area", "area_sd"]),
        (Asked(keep=("area*",), drop=("area_sd",)), ["area"]),
        (Asked(keep=("area", "stain")), ["area", "stain=HE", "stain=Masson", "stain=PAS"]),
    ],
)
def test_columns_by_name_and_pattern(table, asked, columns):
    opened = open_rows(table, asked)
    assert opened.columns == columns
    rows = opened.read(np.array([47, 0, 30]))
    assert rows.dtype == np.float32 and rows.shape == (3, len(columns)) and np.isfinite(rows).all()
    np.testing.assert_allclose(rows[:, 0], FRAME["area"].to_numpy()[[47, 0, 30]], rtol=1e-6)
    if "stain=PAS" in columns:
        assert rows[:, 1:].tolist() == [[0, 1, 0], [0, 0, 1], [0, 0, 1]]


def test_what_a_study_asks_for_is_part_of_the_features_key(table):
    keys = [Table(str(table), asked).key for asked in (Asked(), Asked(keep=("area",)), Asked(drop=("area",)))]
    assert keys[0] != keys[1] != keys[2] and "columns" not in keys[0]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        (Asked(drop=("gone",)), r"^--drop 'gone' fits no column: there are name, label, area"),
        (Asked(keep=("gone*",)), r"^--columns 'gone\*' fits no column: there are "),
        (
            Asked(keep=("stai*",)),
            r"^--columns 'stai\*' fits only columns that are left out, stain \(texts, .*full names$",
        ),
        (
            Asked(keep=("area", "name_of_lot")),
            r"^--columns 'name_of_lot' cannot be taken: it holds 12 different texts, and at most 10 become columns of "
            "0 and 1: write coarser ones$",
        ),
        (
            Asked(keep=("area", "stain"), but=("stain",), uses=(("stain", "--with joins it"),)),
            r"^--columns 'stain' cannot be taken: --with joins it$",
        ),
        (Asked(keep=("area", "stain"), groups="stain"), r"^--columns 'stain' cannot be taken: the case, by --groups$"),
        (Asked(keep=("label",)), r"^--columns: label names the rows or their classes and cannot describe them$"),
    ],
)
def test_patterns_that_fit_nothing(table, asked, message):
    with pytest.raises(TableError, match=message):
        open_rows(table, asked)


def test_repeated_names_are_refused_in_parquet_and_in_frames(tmp_path):
    header, columns = ["name", "label", "area", "area"], [["a", "b"], [0, 1], [1.0, 2.0], [3.0, 4.0]]
    message = "has several columns called area: give each column its own name$"
    pq.write_table(pa.Table.from_arrays(list(map(pa.array, columns)), header), tmp_path / "t.parquet")
    with pytest.raises(TableError, match=rf"^t\.parquet {message}"):
        read_manifest(tmp_path / "t.parquet")
    with pytest.raises(TableError, match=f"^data {message}"):
        write_table(pd.DataFrame(dict(enumerate(columns))).set_axis(header, axis=1), tmp_path)


def test_columns_of_arrays_can_be_chosen_too(tmp_path):
    np.save(tmp_path / "t.npy", np.arange(12.0).reshape(4, 3))
    (tmp_path / "t.txt").write_text("a\nb\nc\nd\n")
    table = Table(str(tmp_path / "t.npy"), Asked(drop=("x1",)))
    assert table.columns == ["x0", "x2"] and table.rows(["b"]).tolist() == [[3, 5]]
    assert table.lines()[1].endswith(": left out: x1 (by --drop)")


def test_texts_of_few_values_are_offered_by_name_and_not_shown():
    """They may be names of patients."""
    why = sort_columns(FRAME, Asked()).left["stain"]
    assert why == "texts, 3 different: --columns '*' 'stain' takes each as a column of 0 and 1"
    assert sort_columns(FRAME, Asked(keep=("*", "stain"))).names[-5:] == [
        *("round", "stain=HE", "stain=Masson", "stain=PAS", "slide_no", "lot")[1:],
    ]


def test_booleans_with_holes_and_numbers_as_texts_are_numbers():
    frame = pd.DataFrame({"name": list("abc"), "mask": [True, None, False], "f": ["1.5", " 2", "3e1"]})
    found = sort_columns(frame, Asked())
    assert found.used == ("mask", "f") and found.spoilt == {}
    np.testing.assert_array_equal(numbers_of(frame, found), [[1, 1.5], [np.nan, 2], [0, 30]])


@pytest.mark.parametrize(
    ("column", "why"),
    [
        *((c, "numbers the rows") for c in ("Unnamed: 0", "index", "level_0", "__index_level_0__", "row names", "#")),
        *(
            (c, "an id")
            for c in (
                "SUBJID",
                "pid",
                "trial_eid",
                "Pseudonym",
                "cell_id",
                "ImageNumber",
                "ObjectNumber",
                "uuid",
                "glomerulusID",
            )
        ),
        *(
            (c, "a place")
            for c in ("Centroid X µm", "bbox-0", "AreaShape_BoundingBoxMaximum_X", "location_y", "coord_x")
        ),
        *(
            (c, "a place")
            for c in ("bbox_x0", "Location_MaxIntensity_X_Ch1", "x_min", "Max Y (µm)", "min-0", "box_max_1")
        ),
        # the least and the greatest intensity of a channel, by QuPath, scikit-image and CellProfiler
        *((c, "") for c in ("Nucleus: Channel 2: Max", "intensity_min-0", "Intensity_MaxIntensity_Ch1", "T1 max")),
        ("Metadata_Plate", "CellProfiler's notes on its run"),
        *((c, "a split") for c in ("fold", "Split", "subset", "is_train")),
        *((c, "a site") for c in ("site", "Scanner ID", "hospital", "centre_code", "center_name", "StudySite")),
        *((c, "a site") for c in ("hospital_name", "institution name", "scanner model", "Study Centre ID")),
        *((c, "a second column of classes") for c in ("target", "Diagnosis")),
        ("patient_no", "a case"),
        ("diagnostics_Versions_Numpy", "PyRadiomics' notes on its run"),
        *(
            (c, "")
            for c in (
                "area",
                "centroid distance",
                "AreaShape_BoundingBoxArea",
                "x",
                "x0",
                "solid",
                "valid",
                "count",
                "rapid",
            )
        ),
        # in many places a patient has a hospital number, which no page may show as a site
        *(
            (c, "")
            for c in (
                "Hospital No.",
                "hospital_number",
                "site_area",
                "distance_to_centre",
                "center distance",
                "number of sites",
                "center_mean",
            )
        ),
    ],
)
def test_why_a_column_is_left_out(column, why):
    frame = pd.DataFrame({"name": ["a", "b"], "label": [0, 1], column: [1.0, 2.0], "f": [0.5, 0.7]})
    found = sort_columns(frame, Asked())
    assert found.left.get(column, "") == why and ("f" in found.used) and ((column in found.used) == (why == ""))


def test_columns_that_know_too_much(tmp_path):
    frame = FRAME.drop(columns=["slide_no", "stain", "lot"])
    frame = frame.assign(leak=frame["label"] + RNG.normal(size=48) / 50, counter=np.sqrt(np.arange(48)))
    frame.to_csv(tmp_path / "t.csv", index=False)
    manifest = read_manifest(tmp_path / "t.csv")
    told, looked = telling_columns(make_feature(f"file:{tmp_path / 't.csv'}"), manifest)
    assert looked == 5 and [one.column for one in told] == ["leak", "counter"]
    assert told[0].why.startswith("tells the classes alone (AUROC by case 1.00)")
    assert told[1].why.endswith("grows with the number of the row")


@pytest.mark.parametrize("kind", ["csv", "parquet"])
def test_numbers_that_float32_can_hardly_tell_apart_are_told(tmp_path, kind):
    """Near 1.7e9, float32 has steps of 128; whole numbers up to 2^24 are exact, and noise in the last digit is none."""
    k, path = np.arange(48), tmp_path / f"t.{kind}"
    more = {"second": 1_700_000_000 + k % 2 * 30, "hour": 1_700_000_000 + k * 75.0, "day": 1_700_000_000 + k * 3600}
    more |= {"whole": 16_000_000 + k % 2, "same": 0.1 + k % 2 * 2e-17, "constant": 1_700_000_001, "half": 0.1 + k % 2}
    frame = FRAME[["name", "label", "area"]].assign(**more)
    frame.to_parquet(path, row_group_size=20) if kind == "parquet" else frame.to_csv(path, index=False)
    table = Table(str(path))
    assert table.open().coarse == ["second", "hour"]
    (line,) = [line for line in lines_on_tables([table], read_manifest(path)) if "32-bit" in line]
    assert line == (
        f"warning: the numbers of second, hour in {table.name} differ by so little that 32-bit numbers round them or "
        "make them equal: subtract what they have in common, or --drop the column"
    )


def test_a_copy_of_the_class_is_told_however_few_cases_there_are(tmp_path):
    frame = pd.DataFrame({"name": [f"case{k // 5}_{k}" for k in range(20)], "label": np.arange(20) // 10})
    frame.assign(copy=3 - frame["label"], f0=RNG.normal(size=20), same=1).to_csv(tmp_path / "t.csv", index=False)
    told, _ = telling_columns(Table(str(tmp_path / "t.csv")), read_manifest(tmp_path / "t.csv"))
    assert [one.column for one in told] == ["copy"]


def told_of(path, label, **columns):
    """What is told of columns beside five of noise, in a table of eight images of each case."""
    frame = pd.DataFrame({"name": [f"case{k // 8}_{k}" for k in range(len(label))], "label": label, **columns})
    frame.assign(**{f"f{k}": RNG.normal(size=len(label)) for k in range(5)}).to_csv(path, index=False)
    told, _ = telling_columns(Table(str(path), Asked(missing="impute")), read_manifest(path))
    return [f"{one.column} {one.why}" for one in told]


@pytest.mark.parametrize("of_case", [False, True])
@pytest.mark.parametrize("missing", [0, 3])
def test_a_code_that_tells_the_class_is_told_whatever_its_order(tmp_path, of_case, missing):
    """Numbers of subtypes, in the order of the alphabet, neither grow nor fall with the class."""
    k = np.arange(24 * 8)
    code = ((k // 8 if of_case else k) * 3 % 8).astype(float)
    label = np.isin(code, [1, 3, 4, 5]).astype(int)
    code[:missing] = np.nan
    said = "code tells the classes alone (each of its values is of one class)"
    assert told_of(tmp_path / "t.csv", label, code=code) == [said]


def test_what_differs_from_case_to_case_tells_no_class_though_each_case_has_one(tmp_path):
    """The age of each of 24 patients is of one class, and so is every number of a slide; that is no code."""
    case = np.arange(24 * 8) // 8
    age, slide = RNG.permutation(24)[case] + 30, 1000 + RNG.permutation(48)[np.arange(24 * 8) // 4]
    assert told_of(tmp_path / "t.csv", RNG.permutation(24)[case] % 2, age=age, slide_no=slide) == []


@pytest.mark.parametrize("seed", range(5))
def test_noise_knows_nothing_though_there_is_much_of_it(tmp_path, seed):
    """Of 3000 columns of noise over eight cases none is called telling."""
    rng = np.random.default_rng(seed)
    names = [f"case{k // 6}_{k}" for k in range(48)]
    np.save(tmp_path / "t.npy", rng.normal(size=(48, 3000)))
    (tmp_path / "t.txt").write_text("\n".join(names))
    pd.DataFrame({"name": names, "label": np.arange(48) // 24}).to_csv(tmp_path / "l.csv", index=False)
    manifest = read_manifest(tmp_path / "t.npy", tmp_path / "l.csv")
    assert telling_columns(Table(str(tmp_path / "t.npy")), manifest) == ([], 3000)


def test_a_spoilt_cell_stops_features_of_images_too(tmp_path):
    frame = FRAME[["name", "area"]].astype({"area": object})
    frame.loc[3, "area"] = "n.d."
    frame.to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(
        FeatureError,
        match=r"column 'area' holds 'n\.d\.' in row 4 \(case0_3\): correct the cell, take it as missing with",
    ):
        make_feature(f"file:{tmp_path / 't.csv'}").rows(["case0_3"])
