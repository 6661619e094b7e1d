"""Groups of images by columns of the user's: how numbers are cut, texts taken, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from glomfeat.comparison.options import Study
from glomfeat.data.manifest import read_manifest
from glomfeat.data.subgroups import (
    MISSING,
    MOST,
    OF_USER,
    SubgroupError,
    keep_columns,
    kept_columns,
    lines_on_subgroups,
    make_groups,
    split_asked,
)
from glomfeat.data.tables.read import TableError


def test_a_slide_that_is_the_case_is_not_offered_to_who_mistypes(tmp_path):
    frame = pd.DataFrame({"age": [1, 2]})
    ours = pd.DataFrame({"case": ["P1", "P2"], "slide": ["P1", "P2"]})
    for slide, offered in (("P1", "age, case"), ("S1", "age, case, slide")):
        with pytest.raises(TableError) as refused:
            keep_columns(ours.assign(slide=[slide, "P2"]), frame, ["aeg"], "t.csv")
        said = f"--subgroups 'aeg' is no column of t.csv: allowed are {offered}"
        assert str(refused.value) == said


def groups_of(values, asked="c", **others):
    return make_groups(pd.DataFrame({f"{OF_USER}c": pd.Series(values, dtype=object), **others}), asked)


def test_groups_that_differ_only_in_writing_are_told_but_names_of_patients_are_not():
    cases = [f"P{row // 2}" for row in range(12)]
    for values, said in (
        (["HE", "HE", "PAS", "PAS", "he", "he"] * 2, "'HE' and 'he' differ only in capitals"),
        (["HE"] * 10 + ["he"] * 2, "'HE' and 'he' differ only in capitals"),
        (["Koch"] * 2 + ["PAS"] * 8 + ["koch"] * 2, "value 1 and value 3 differ only in capitals"),
        (["1", "1.0", "2"] * 4, ""),  # numbers, of which both are one group
    ):
        told = lines_on_subgroups(pd.DataFrame({f"{OF_USER}c": values, "case": cases}), ["c"])[1:]
        assert len(told) == bool(said) and all(line.startswith(f"warning: subgroups: c: {said}") for line in told)


def test_numbers_are_cut_at_the_quartiles_of_numpy():
    values = np.random.default_rng(0).normal(50, 20, 200).round(1)
    found = groups_of(values)
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    codes = np.select([values < low, values < middle, values < high], [0, 1, 2], 3)
    np.testing.assert_array_equal(found.codes, codes)
    low, middle, high = (f"{edge:.10g}" for edge in (low, middle, high))
    names = f"below {low}", f"{low} to below {middle}", f"{middle} to below {high}", f"{high} or more"
    assert found.names == names
    written = f"{low}, {middle}, {high}; c:{low},{middle},{high} would write them so"
    assert found.said == f"subgroups: c: 4 groups, cut at its quartiles ({written})"


@given(st.lists(st.floats(-1e6, 1e6) | st.none(), min_size=1, max_size=30), st.sampled_from(["c", "c:-5,0,5"]))
def test_every_image_is_in_one_group_that_holds_it(values, asked):
    if all(value is None for value in values):
        return
    found = groups_of(values, asked)
    assert sorted(set(found.codes.tolist())) == list(range(len(found.names)))
    for value, code in zip(values, found.codes, strict=True):
        assert (found.names[code] == MISSING) == (value is None)
    known = [(value, code) for value, code in zip(values, found.codes, strict=True) if value is not None]
    for code in {code for _, code in known}:  # groups of numbers do not overlap
        mine = [value for value, of in known if of == code]
        assert not [value for value, of in known if of != code and min(mine) <= value <= max(mine)]


@settings(max_examples=30)
@given(st.lists(st.integers(77_000_100, 77_000_130) | st.floats(-3, 3).map(lambda x: round(x, 3)), min_size=5))
def test_quartiles_that_are_the_number_of_a_case_are_written_between_numbers(values):
    exact, found = groups_of(values), groups_of(values, case=[f"P{value}" for value in values])
    assert found.codes.tolist() == exact.codes.tolist()
    if "cut at its quartiles" in found.said:
        again = found.said.partition("; ")[2].partition(" would write them so")[0]
        written = [float(edge) for edge in again.removeprefix("c:").split(",")]
        assert not {*written} & {*values}
        assert groups_of(values, again).codes.tolist() == exact.codes.tolist()


def test_quartiles_that_several_cases_have_stay_as_they_are():
    values = [40, 50, 60, 70, 80] * 4 + [45.5]
    shared = [f"P{k}" for k in range(len(values))]
    assert groups_of(values, case=shared).names == groups_of(values).names
    alone = groups_of([1, 2, 3, 4, 5, 6, 7, 8, 9], case=list("abcdefghi"))
    assert alone.names == ("below 2.5", "2.5 to below 4.5", "4.5 to below 6.5", "6.5 or more")


def test_edges_that_are_given_belong_to_the_group_above_and_parts_without_an_image_are_told():
    found = groups_of([4, 10, 19.9, "20", 30], "c:10,20,100")
    assert found.names == ("below 10", "10 to below 20", "20 to below 100")
    assert found.codes.tolist() == [0, 1, 1, 2, 2]
    how = "cut at the numbers that were given (10, 20, 100); 1 of 4 parts hold no image and are left out"
    assert found.said == f"subgroups: c: 3 groups, {how}"


def test_texts_truths_and_few_numbers_are_groups_as_they_are():
    assert groups_of(["B", " A", "A "]).names == ("A", "B")
    assert groups_of([True, False, True]).names == ("False", "True")
    assert groups_of([3, 0, 1, 0.5]).names == ("0", "0.5", "1", "3")
    assert groups_of([3, 0, 1, "x"]).names == ("0", "1", "3", "x")
    cases = make_groups(pd.DataFrame({"case": [str(k) for k in range(12)]}), "case")
    assert len(cases.names) == 12 and "10" in cases.names  # names of cases are no numbers, whatever they look like


def test_missing_values_are_a_group_of_their_own_that_is_told():
    found = groups_of(["A", None, "", float("nan"), "B", "  "])
    assert found.names == ("A", "B", MISSING) and found.codes.tolist() == [0, 2, 2, 2, 1, 2]
    assert found.said == (
        "subgroups: c: 2 groups, a value each; 4 of 6 images have no value and are a group of their own, (missing)"
    )
    assert found.known == [0, 1]
    lone = groups_of(["A", None])
    assert lone.said.endswith("all images that have a value have the same one, so there is nothing to compare it with")
    assert groups_of([None, None]).names == (MISSING,)


def test_a_column_with_many_values_is_refused():
    with pytest.raises(SubgroupError, match=f"'c' has {MOST + 1} values, and at most {MOST} can be compared"):
        groups_of([f"v{k}" for k in range(MOST + 1)])


@pytest.mark.parametrize("asked", ["c:", "c:20,10", "c:5,5", "c:a", "c:nan", "c:1,,2"])
def test_edges_that_are_none_are_refused(asked):
    with pytest.raises(
        SubgroupError, match=r"after the colon, write the numbers at which 'c' is cut, .* such as c:10,20"
    ):
        groups_of([1.0, 2.0], asked)


def test_a_name_with_a_colon_is_a_column_first():
    assert split_asked("a:5", ["a:5", "a"]) == ("a:5", None)
    assert split_asked("a:5", ["a"]) == ("a", [5.0])
    assert split_asked("Pat. Age:5", ["pat_age"]) == ("Pat. Age", [5.0])


def test_columns_are_kept_beside_those_of_the_manifest_and_found_however_they_are_written():
    table = pd.DataFrame({"name": ["x", "y"], "case": ["1", "2"], "digest": ["d", "e"]})
    frame = pd.DataFrame({"name": ["x", "y"], "Digest": ["A", "B"], "Age ": [3, 9]})
    kept = keep_columns(table, frame, ["digest", "age:5", "case"], "t.csv")
    assert kept_columns(kept) == {"Digest": f"{OF_USER}Digest", "Age ": f"{OF_USER}Age "}
    assert make_groups(kept, "digest").names == ("A", "B") and kept["digest"].tolist() == ["d", "e"]
    assert make_groups(kept, "age:5").names == ("below 5", "5 or more")
    assert make_groups(kept, "case").names == ("1", "2")
    with pytest.raises(SubgroupError, match="--subgroups age age:5: give the column 'Age ' once"):
        keep_columns(table, frame, ["age", "age:5"], "t.csv")
    frame = frame.assign(raw="sick", path="", city="Bern")
    with pytest.raises(TableError) as error:
        keep_columns(table, frame, ["Aeg"], "t.csv")
    nearest_first = "allowed are Age , Digest, city, case"
    assert str(error.value) == f"--subgroups 'Aeg' is no column of t.csv: {nearest_first}"
    with pytest.raises(
        SubgroupError, match=r"for they were read without it; give it to read_manifest as subgroups=\['si"
    ):
        make_groups(kept, "site")


def test_a_column_that_also_describes_is_told(feature_table):
    manifest = read_manifest(feature_table, subgroups=["x0"])
    table = type("Feature", (), {"name": "table", "columns": ("x0", "x1")})()
    lines = lines_on_subgroups(manifest.table, ["x0"], [table])
    assert lines[1] == (
        "subgroups: x0 also describes the images, in table; --drop x0 takes it out of the features, which is another "
        "study"
    )
    assert manifest.digest == read_manifest(feature_table).digest


def test_a_number_in_parquet_can_be_grouped_by_as_in_a_csv(tmp_path):
    frame = pd.DataFrame({"name": [f"case{k}_1" for k in range(8)], "label": [0, 1] * 4, "Age": np.arange(8), "b": 0.5})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    asked = Study("t.csv", subgroups=("age:3",)).asked
    found = [read_manifest(tmp_path / f"t.{kind}", asked=asked, subgroups=("age:3",)) for kind in ("csv", "parquet")]
    groups = [make_groups(manifest.table, "age:3") for manifest in found]
    assert groups[1].codes.tolist() == groups[0].codes.tolist() == [0] * 3 + [1] * 5
    assert "t.csv: 2 columns are used: Age, b" in found[0].said
    assert "t.parquet: 2 columns are used: Age, b" in found[1].said


def test_a_column_of_subgroups_is_not_called_unused(tmp_path, phantom_folder):
    manifest = read_manifest(phantom_folder)
    frame = manifest.table[["path"]].assign(label=manifest.labels, case=manifest.table["case"], scanner="S", sex="f")
    frame.to_csv(tmp_path / "images.csv", index=False)
    found = read_manifest(tmp_path / "images.csv", subgroups=["sex"])
    assert "columns that are not used: scanner" in found.said
    assert found.table[f"{OF_USER}sex"].eq("f").all()
