"""What the first lines show of cases, and that no name says who they are unless names are asked for."""

import pandas as pd
import pytest

from glomfeat.data.case_notes import case_examples
from glomfeat.data.cases import pseudonyms

CLASSES = ("sick", "well")


def table(names, cases, slides=None):
    return pd.DataFrame({"name": names, "label": 0, "case": cases, "slide": cases if slides is None else slides})


@pytest.mark.parametrize("cases", [["PT7", "PT7", "PT8"], ["PT7", "PT7", "Koch"], ["7", "7", "8"]])
def test_names_and_slides_that_do_not_hold_their_case_are_numbers_within_it(cases):
    names, slides = ["Meyer_a.png", "Meyer_b.png", "Koch_7.png"], ["S22-11", "S22-12", "S22-7"]
    hidden = pseudonyms(cases)
    first, second = hidden[cases[0]], hidden[cases[2]]
    assert case_examples(table(names, cases, slides), CLASSES) == [
        f"  {first} · 1 -> class sick, case {first}, slide {first} · 1",
        f"  {second} · 1 -> class sick, case {second}, slide {second} · 1",
        f"  {first} · 2 -> class sick, case {first}, slide {first} · 2",
    ]
    shown = "\n".join(case_examples(table(names, cases, slides), CLASSES, show_names=True))
    assert all(name in shown.replace("[", "").replace("]", "") for name in (*names, *slides, *cases))


def test_names_that_hold_their_case_are_shown_with_its_pseudonym():
    names, cases = ["P7_PAS_1.png", "P7_PAS_2.png", "P8_PAS_1.png"], ["P7", "P7", "P8"]
    hidden = pseudonyms(cases)
    found = case_examples(table(names, cases, ["P7_x", "P7_y", "P8"]), CLASSES)
    assert sorted(found) == sorted(
        [
            f"  [{hidden['P7']}]_PAS_1.png -> class sick, case {hidden['P7']}, slide [{hidden['P7']}]_x",
            f"  [{hidden['P7']}]_PAS_2.png -> class sick, case {hidden['P7']}, slide [{hidden['P7']}]_y",
            f"  [{hidden['P8']}]_PAS_1.png -> class sick, case {hidden['P8']}",
        ]
    )
    joined = case_examples(table(["P7_a.png", "P9_a.png"], ["P7+P9"] * 2), CLASSES)
    assert joined == [f"  [C001]_{k}.png -> class sick, case C001" for k in "aa"]
