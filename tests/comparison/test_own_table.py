"""A feature table as DATA: where the numbers come from, and what is said of it."""

import numpy as np
import pandas as pd
import pytest
import yaml
from helpers.running import refusal, run_study

from glomfeat.comparison.folder import differences
from glomfeat.comparison.options import Study
from glomfeat.comparison.own_table import written
from glomfeat.comparison.prepare import prepare
from glomfeat.features.base import FeatureError
from studies import export, refit
from studies._cli import parse_options
from studies.padding import Padding

pytestmark = pytest.mark.usefixtures("dealt_once")

USED = "noise.csv: 6 columns are used: x0, x1, x2, x3, x4, x5"


@pytest.fixture
def noise(feature_table):
    """A table with the names, classes and columns of the other one, in which no number knows the class."""
    table = pd.read_csv(feature_table)
    table.iloc[:, 2:] = np.random.default_rng(1).normal(size=(len(table), 6))
    table.to_csv(feature_table.parent / "noise.csv", index=False)
    return feature_table.parent / "noise.csv"


def prepared_with(*arguments):
    """The numbers that a command line is about, and what is said of columns."""
    said = []
    prepared = prepare(parse_options(Study, list(map(str, arguments)), "compare"), said.append)
    (table,) = prepared.features
    numbers = table.rows(prepared.manifest.table["name"].head(2))
    return numbers, [line for line in said if " used: " in line or "is a feature" in line]


def test_options_of_a_run_are_used_for_the_numbers_of_another_table(feature_table, noise, tmp_path):
    path, prepared = tmp_path / "study.yaml", prepare(Study(data=str(feature_table)), [].append)
    here, there = (pd.read_csv(table).iloc[:2, 2:].to_numpy("float32") for table in (feature_table, noise))
    for options in (written(prepared), prepared.study.plain()):  # as versions before 0.10
        path.write_text(yaml.safe_dump(options))
        numbers, said = prepared_with(noise, "--config", path)
        assert np.array_equal(numbers, there) and said == [USED]
        numbers, said = prepared_with("--config", path)
        assert np.array_equal(numbers, here) and said == [USED.replace("noise", "table")]
        numbers, said = prepared_with(noise, "--config", path, "--features", f"file:{feature_table}")
        assert np.array_equal(numbers, here), "the command line has named the table itself"
        line = f"noise.csv: none of its columns is a feature; features are read from {feature_table}"
        assert said[0] == line and len(said) == 2 and said[1].startswith("table.")


def test_options_that_name_several_tables_keep_them_for_another_one_and_say_so(feature_table, noise, tmp_path):
    both = f"file:{feature_table}", f"file:{noise}"
    path, here = tmp_path / "study.yaml", prepare(Study(data=str(feature_table), features=both), [].append)
    path.write_text(yaml.safe_dump(written(here)))
    pd.read_csv(noise).to_csv(tmp_path / "new.csv", index=False)
    said = []
    there = prepare(parse_options(Study, [str(tmp_path / "new.csv"), "--config", str(path)], "compare"), said.append)
    assert [one.path for one in there.features] == [str(feature_table), str(noise)]
    line = f"new.csv: none of its columns is a feature; features are read from {feature_table}, {noise}"
    assert line in said and not any(one.startswith("new.csv: ") for one in said if one != line)


def test_an_export_says_too_that_a_table_gives_only_labels(feature_table, noise, tmp_path, capsys):
    options = ["--cache", str(tmp_path / "cache"), "--jobs", "1", "--to"]
    assert export.main([str(noise), "--features", f"file:{feature_table}", *options, str(tmp_path / "a.parquet")]) == 0
    said = capsys.readouterr().out
    assert f"noise.csv: none of its columns is a feature; features are read from {feature_table}\n" in said
    assert USED not in said
    assert export.main([str(noise), *options, str(tmp_path / "b.parquet")]) == 0
    assert USED in capsys.readouterr().out


def test_it_is_the_same_study_if_the_usual_positive_class_is_named(feature_table):
    asked = (None, "1", "0")
    unnamed, usual, other = (prepare(Study(str(feature_table), positive=one), [].append).identity for one in asked)
    assert unnamed == usual and unnamed["positive"] is None
    assert differences(unnamed, other).startswith("positive: None there, 0 now; data: ")


def test_a_study_of_networks_says_of_a_table_that_it_needs_images(feature_table):
    said = []
    with pytest.raises(FeatureError) as why:
        prepare(Padding(data=str(feature_table)), said.append)
    message = f"{feature_table} is a feature table without images, and this study trains networks: name images, or use "
    assert str(why.value) == f"{message}studies.compare"
    assert not any("is a feature" in line for line in said)


def test_a_study_of_a_table_is_refitted_where_the_table_is_now(feature_table, noise, tmp_path, capsys, without_report):
    one, other = (f"file:{feature_table}/{reducer}/logreg" for reducer in ("none", "pca2"))
    options = {"ensembles": (f"{one},{other}",), "heads": ("logreg",), "reducers": ("none", "pca2")}
    options |= {"reference": one, "margin": 0.05}
    _, results, _, _ = run_study(tmp_path, data=str(feature_table), folds=2, **options)
    assert yaml.safe_load((tmp_path / "out" / "study.yaml").read_text())["features"] is None
    (tmp_path / "moved").mkdir()
    moved = feature_table.rename(tmp_path / "moved" / feature_table.name)
    mean = next(arm for arm in results["arm"] if arm.startswith("mean:"))
    arguments = [str(tmp_path / "out"), "--arm", mean, "--to", str(tmp_path / "bundle"), "--jobs", "1"]
    assert refit.main([*arguments, "--data", str(moved)]) == 0 and (tmp_path / "bundle").is_dir()
    noise.rename(feature_table)
    assert "holds another study (features: ['table." in refusal(refit.main, capsys, *arguments)
