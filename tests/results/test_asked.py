"""What a run was asked beside which arm is best: the sentences say what the tables of these questions hold."""

import numpy as np
import pandas as pd
import pytest
from helpers.runs import FLOOR, GOOD, WEAK

from glomfeat.results.asked import asked_in_words

RESULTS = pd.DataFrame({"arm": [GOOD, WEAK, FLOOR], "auroc": [0.95, 0.9, 0.5], "status": "done"})
FIGURES = ("auroc", "sensitivity_t", "specificity_t", "balanced_accuracy")


def places(column, **of_places):
    """A table of places, in which the other arm is always worse than the best one."""
    rows = [
        {column: place, "arm": arm, "status": "done", "cases": 8, **dict(zip(FIGURES, figures, strict=True))}
        for place, own in of_places.items()
        for arm, figures in ((WEAK, [0.1] * 4), (GOOD, own))
    ]
    return pd.DataFrame(rows)


def test_the_worst_site_is_that_of_the_worst_calls():
    sites = places("left_out", A=(0.930, 0.8, 0.9, 0.8), B=(0.937, 0.9, 0.9, 0.9), C=(0.994, 1.0, 0.024, 0.9))
    assert asked_in_words(RESULTS, sites=sites, column="site") == [
        "By its calls, C is the worst site that was left out: sensitivity 1.000, specificity 0.024, AUROC 0.994; the "
        "lowest AUROC is 0.930, at A."
    ]
    alone = sites.assign(cases=1)
    (hidden,) = asked_in_words(RESULTS, sites=alone, column="site")
    (shown,) = asked_in_words(RESULTS, sites=alone, column="site", show_names=True)
    assert ", C is " not in hidden and ", C is " in shown, "a value of one case may be its name"


def test_the_worst_cohort_is_named_with_what_is_known_of_it():
    north, south, east = (0.9, 0.8, 0.9, 0.8), (np.nan, np.nan, 0.5, np.nan), (0.8, 0.9, 0.7, 0.8)
    one = places("cohort", north=north)
    known = "north is the only cohort: sensitivity 0.800, specificity 0.900, AUROC 0.900."
    assert asked_in_words(RESULTS, external=one) == [known]
    assert asked_in_words(RESULTS, external=places("cohort", south=south)) == [
        "south is the only cohort: specificity 0.500."
    ]
    assert asked_in_words(RESULTS, external=places("cohort", north=north, south=south, east=east)) == [
        "By its calls, east is the worst cohort with both classes: sensitivity 0.900, specificity 0.700, AUROC 0.800."
    ], "half the sensitivity and specificity of east is less than that of north, and south has no sensitivity"
    assert asked_in_words(RESULTS, external=places("cohort", south=south, east=(np.nan, 0.9, np.nan, np.nan))) == []
    more = one.assign(sensitivity_t=np.nan, specificity_t=np.nan)
    assert asked_in_words(RESULTS, external=more) == ["north is the only cohort: balanced accuracy 0.800, AUROC 0.900."]


def test_the_price_is_that_of_the_best_arm():
    row = {"arm": GOOD, "status": "done", "auroc_by_image": 0.966, "auroc_price": 0.021}
    table = pd.DataFrame([row | {"auroc_price_lo": 0.008, "auroc_price_hi": 0.035}])
    table = pd.concat([table.assign(arm=WEAK, auroc_price=0.3), table], ignore_index=True)  # the dearest is first
    assert asked_in_words(RESULTS, table) == ["A split by image would have shown 0.966, +0.021 (+0.008 to +0.035)."]


@pytest.mark.parametrize("status", ["failed", "partial"])
def test_nothing_is_said_of_what_is_not_known(status):
    price = pd.DataFrame({"arm": [GOOD], "status": [status]})
    sites = places("left_out", A=(0.9,) * 4).assign(status=status)
    cohorts = places("cohort", A=(np.nan,) * 4)
    assert asked_in_words(RESULTS, price, sites, cohorts, "site") == [] == asked_in_words(RESULTS)
    assert asked_in_words(RESULTS[2:], price, sites, cohorts, "site") == []
