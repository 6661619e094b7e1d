"""Planning without data: the table, and what is refused."""

import numpy as np
import pytest
from helpers.running import refusal
from scipy import stats
from scipy.special import expit, logit

from glomfeat.metrics.planning import covariance_parts, sizes_of, spread_of, width
from studies import samplesize
from studies.samplesize import SampleSize, plan


def test_the_table_is_printed(capsys):
    assert samplesize.main(["--icc", "0", "0.2", "--images", "10", "--cases", "60"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == (
        "AUROC 0.9; 10 images a case, 20 % positive; power 80 % at 5 % two-sided; scores of both arms correlated by 0.5"
    )
    rows = plan(SampleSize(icc=(0.0, 0.2), images=(10,), cases=60))
    assert [row["kish"] for row in rows] == [1.0, pytest.approx(2.8)]
    for line, row in zip(lines[2:], rows, strict=True):
        wide, far = row["cases_width"], row["cases_difference"]
        assert line.split() == [
            *(f"{row['icc']:g}", f"{row['design_effect']:.2f}", f"{row['kish']:.2f}"),
            *(f"{wide}", f"({wide * 10:,}", "images)", f"{far}", f"({far * 10:,}", "images)"),
            *(f"{row['width']:.3f}", f"{row['difference']:.3f}"),
        ]
    assert rows[1]["cases_width"] > rows[0]["cases_width"] and rows[0]["design_effect"] == pytest.approx(1.0)
    by_hand = spread_of(covariance_parts(0.9, 0.9, sizes_of([10], 0.2), 0.2), holders=1 - 0.8**10)
    assert rows[1]["width"] == width(0.9, by_hand, 60)


def test_cases_that_hold_no_positive_image_add_no_sureness(capsys):
    """One case in ten is positive: Student's t has the degrees of freedom of these."""
    row = plan(SampleSize(icc=(0.2,), images=(8,), prevalence=0.1, label_icc=1.0, cases=50, width=0.2))[0]
    error = np.sqrt(covariance_parts(0.9, 0.9, sizes_of([8], 0.1, 1.0), 0.2)[0] / 50)
    step = stats.t.ppf(0.975, 50 * 0.1 - 1) * error / 0.09
    assert row["width"] == pytest.approx(np.ptp(expit(logit(0.9) + np.array([-step, step]))))
    arguments = "--icc 0.2 --images 8 --prevalence 0.1 --label-icc 1 --cases 19"
    assert samplesize.main(arguments.split()) == 0
    assert capsys.readouterr().out.count("none (one case holds a class)") == 2


def test_what_no_number_of_cases_reaches_is_said(capsys):
    assert samplesize.main(["--width", "0.00001", "--icc", "0.4"]) == 0
    assert "over 10,000,000" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("--auroc 1", "--auroc is 1.0: give a number between 0 and 1, without these"),
        ("--auroc 0.5", "--auroc is 0.5: give a number above 0.5, because lower ones are below chance"),
        ("--auroc nan", "--auroc is nan: give a number between 0 and 1, without these"),
        ("--difference 0.45", "--difference is 0.45: give a number below 0.4: the other arm is above chance"),
        ("--icc 1.1", "--icc is 1.1: give a number from 0 to 1"),
        *(
            (f"--icc 0.1 --icc-across {far}", f"--icc-across is {far}: give a number no further from 0 than {smallest}")
            for far, smallest in [("0.2", "the smallest --icc, 0.1"), ("-0.2", "the smallest --icc, 0.1")]
        ),
        ("--images 0", "--images is 0: give a number 1 or more"),
        ("--cases 1", "--cases is 1: give a number 2 or more"),
        ("--label-icc 2", "--label-icc is 2.0: give a number from 0 to 1"),
        ("--correlation 1", "--correlation is 1.0: give a number from 0 to below 1"),
    ],
)
def test_numbers_that_mean_nothing_are_refused(capsys, arguments, said):
    assert refusal(samplesize.main, capsys, *arguments.split()) == f"error: {said}\n"
