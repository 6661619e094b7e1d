"""What joined columns hold in each class, and what images add to them, from tables made up by hand."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from glomfeat.data.joined import Column, Joined
from glomfeat.report.sections import joined as section
from glomfeat.results.joined import PAIR_COLUMNS, added_in_words, joined_pairs_table, joined_table
from glomfeat.results.pairs import COLUMNS

BOTH, IMAGE, ALONE = "a.v1+age/ipca8/svm", "a.v1/ipca8/svm", "age/none/svm"


def pairs_table(*rows):
    """Pairs of arms with the difference and p of each."""
    made = [{"arm": arm, "other": other, "difference": gap, "lo": gap - 0.1, "hi": gap + 0.1, "p": p}
            for arm, other, gap, p in rows]  # fmt: skip
    return pd.DataFrame(made).reindex(columns=COLUMNS).assign(split="split by case")


def manifest_of(labels, cases):
    return SimpleNamespace(labels=labels, cases=cases, classes=("open", "shut"), split="split by case")


def test_each_class_has_its_own_figures_and_what_is_missing_is_counted():
    labels = np.array([0, 0, 0, 1, 1, 1])
    run = SimpleNamespace(manifest=manifest_of(labels, np.array([0, 0, 1, 3, 4, 5])))
    age = Column("age", np.array([10.0, 20, 60, 40, np.nan, 50]))
    sex = Column("sex", np.array(["F", "M", "F", "F", "missing", "missing"]))
    table = joined_table(run, Joined((age, sex)))
    of_age = table[(table["column"] == "age") & (table["value"] == "")].set_index("class")
    assert of_age.loc["open", ["images", "of", "mean", "median", "q1", "q3"]].tolist() == [3, 3, 30, 20, 15, 40]
    assert of_age.loc["open", "sd"] == pytest.approx(np.std([10, 20, 60], ddof=1))
    assert of_age.loc["shut", ["images", "of", "median"]].tolist() == [2, 3, 45]
    counts = table[table["column"] == "sex"].set_index(["class", "value"])["images"].to_dict()
    assert counts == {
        **{("open", "F"): 2, ("open", "M"): 1, ("open", "(missing)"): 0},
        **{("shut", "F"): 1, ("shut", "M"): 0, ("shut", "(missing)"): 2},
    }


def test_a_class_without_any_value_has_a_row_without_figures():
    manifest = manifest_of(np.array([0, 1]), np.array([0, 1]))
    table = joined_table(SimpleNamespace(manifest=manifest), Joined((Column("age", np.array([np.nan, 7.0])),)))
    row = table[(table["class"] == "open") & (table["value"] == "")].iloc[0]
    assert row["images"] == 0 and np.isnan(row["median"])


def test_an_arm_is_set_beside_the_one_that_lacks_either_whichever_ranks_higher():
    others = [("b.v1/none/svm", BOTH, 0.1, 0.01), (IMAGE, ALONE, 0.2, 0.02), ("net:x", ALONE, 0.2, 0.02)]
    pairs = pairs_table((IMAGE, BOTH, 0.05, 0.2), (BOTH, ALONE, 0.3, 0.03), *others)
    found = joined_pairs_table(pairs)
    assert found[["arm", "other", "adds"]].to_numpy().tolist() == [[BOTH, ALONE, "images"], [BOTH, IMAGE, "columns"]]
    assert found["difference"].tolist() == [0.3, -0.05] and found["p_holm"].tolist() == [0.03, 0.2]
    assert found[["lo", "hi"]].to_numpy().tolist() == [[0.3 - 0.1, 0.3 + 0.1], [-0.05 - 0.1, -0.05 + 0.1]]


def test_p_is_adjusted_for_the_differences_of_one_kind():
    rows = [(f"{name}+age/none/svm", "age/none/svm", 0.1, p) for name, p in (("a.v1", 0.01), ("b.v1", 0.03))]
    plain = [(f"{name}+age/none/svm", f"{name}/none/svm", 0.1, 0.04) for name in ("a.v1", "b.v1")]
    found = joined_pairs_table(pairs_table(*rows, *plain))
    assert found["p_holm"].tolist() == [0.02, 0.03, 0.08, 0.08]


def test_the_sentences_are_of_the_arm_that_ranks_best_and_say_what_chance_could_make():
    pairs = pairs_table((BOTH, ALONE, 0.3, 0.03), (BOTH, IMAGE, -0.0001, 0.9))
    assert added_in_words(joined_pairs_table(pairs), {BOTH: "both", ALONE: "age alone"}) == [
        "what images add to the columns: AUROC of both less that of age alone is +0.300, 95 % limits +0.200 to +0.400, "
        "p = 0.030 adjusted for 1 arm",
        f"what the columns add to images: AUROC of both less that of {IMAGE} is +0.000, 95 % limits -0.100 to +0.100, "
        "p = 0.900 adjusted for 1 arm; that is no more than chance could make",
    ]


def test_nothing_is_said_where_no_such_arm_is_finished():
    found = joined_pairs_table(pairs_table((IMAGE, ALONE, 0.2, 0.02)))
    assert found.empty and list(found.columns) == list(PAIR_COLUMNS) and added_in_words(found, {}) == []
    lost = joined_pairs_table(pairs_table((BOTH, ALONE, 0.2, np.nan)))
    (said,) = added_in_words(lost.assign(lo=np.nan), {})
    assert said.endswith("is +0.200, without limits")


def test_the_page_shows_no_value_of_one_case_alone_unless_names_are_asked_for():
    who = Column("who", np.array(["Ann", "Ann", "Bob", "Cy"]))
    manifest = manifest_of(np.array([0, 0, 1, 1]), np.array([0, 0, 1, 2]))
    manifest.by_case = True
    run = SimpleNamespace(manifest=manifest)
    given = {"joined": joined_table(run, Joined((who,))), "joined_pairs": joined_pairs_table(pairs_table()), "run": run}
    (hidden,), (shown,) = (
        section.fill(SimpleNamespace(**given, names={}, show_names=show))["columns"] for show in (False, True)
    )
    assert hidden == {"name": "who", "kind": "values, most of one case each", "cells": ["1", "2"]}
    assert shown["cells"][0].startswith("Ann 2 (100%)")
