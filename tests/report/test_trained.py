"""What the methods say of the training of networks."""

import re
from types import SimpleNamespace

from glomfeat.comparison.options import OF_NETS, Study
from glomfeat.core.arms import Arm
from glomfeat.core.notes import NEW_HEAD
from glomfeat.report.references import cited
from glomfeat.report.trained import has_new_heads, how_trained, trained_nets

ASKED = {
    "augment": "histology",
    "randaugment": 9,
    "mixup": 0.2,
    "label_smoothing": 0.1,
    "layer_decay": 0.75,
    "head_epochs": 2,
    "drop_path": 0.1,
    "lora_rank": 4,
    "lora_layers": "attention",
}
STARTS = {
    "timm:test_vit:lora+tta8": "bundle sha256:1a",
    "resnet18:last2@zero": "imagenet sha256:2b",
    "resnet18:frozen": "imagenet sha256:2b",
}


def test_each_option_and_mode_has_its_words_and_what_it_cites_is_listed():
    said = how_trained(ASKED | {"tune": True}, STARTS)
    assert {*ASKED} == {*OF_NETS}
    for words in (
        "AdamW followed a cosine schedule",
        "For resnet18:frozen, only the last layer was fitted",
        "For resnet18:last2@zero, only the last 2 blocks and the last layer learnt.",
        "For timm:test_vit:lora+tta8, adapters of rank 4 in layers of attention (Hu et al. 2022) and the last layer",
        "flipped and turned by right angles, cropped to at least 0.7 of their area",
        "Two random operations of magnitude 9 were added",
        "mixup with parameter 0.2",
        "Labels were smoothed by 0.1.",
        "fell by a factor of 0.75 per block towards the image",
        "In the first 2 epochs the last layer of pretrained networks learnt alone.",
        "left out with probabilities of up to 0.1.",
        "successive halving, by the cross-entropy on inner-valid cases",
        "Scores of timm:test_vit:lora+tta8 were means of logits over eight flips and turns of an image.",
        "timm:test_vit:lora+tta8 began with the parameters of a network of another study, which had learnt none of",
    ):
        assert words in said
    years = set(re.findall(r"\d{4}", " ".join(re.findall(r"\([^)]*\)", said))))
    assert years <= {work.fields.get("year") for work in cited([said], {})}


def test_a_grid_of_ones_own_is_in_the_methods_with_its_values():
    said = how_trained({"tune": ["lr=0.0001,0.0003", "epochs=5,10"]}, {"compact": "none"})
    assert said.endswith(
        "Learning rate (0.0001, 0.0003) and number of epochs (5, 10) of networks that are trained in epochs were "
        "chosen in each fold by successive halving, by the cross-entropy on inner-valid cases."
    )
    said = how_trained({"tune": ["epochs=5,10"]}, {"compact": "none"})
    assert "Number of epochs (5, 10) of networks that are trained in epochs was chosen in each fold, by" in said


def test_a_study_that_asks_for_nothing_says_no_more_than_before():
    usual = {name: getattr(Study, name) for name in (*OF_NETS, "tune")}
    assert how_trained(usual, {"compact": "none"}) == how_trained({}, {"compact": "none"})
    assert how_trained({}, {"resnet18:frozen": "none"}).startswith(
        "For resnet18:frozen, only the last layer was fitted"
    )
    assert how_trained({"preset": "paper"}, {"compact": "none"}).startswith("The rate of Adam was constant")


def test_compiled_steps_are_said():
    said = how_trained({"compile": True}, {"compact": "none"})
    assert said.endswith(" The steps of training in epochs were compiled.")
    assert "compiled" not in how_trained({"compile": True}, {"resnet18:frozen": "none"})


def test_inner_valid_cases_are_learnt_only_where_the_split_does_not_name_them():
    dealt, named = (how_trained({}, {"compact": "none"}, learns_all) for learns_all in (True, False))
    assert "it scored before it learnt them, then on all training cases." in dealt and "were not learnt" not in dealt
    assert "it scored the inner-valid cases, which were not learnt." in named and "then on all" not in named


def test_what_networks_do_unless_asked_is_said_as_their_recipes_say():
    """Recipes by hand: layers learn flipped and rotated images, pretrained networks unchanged ones."""
    nets = {"compact@zero": "none", "C4-GAP-out": "none", "resnet18:last1": "imagenet", "resnet18:frozen": "imagenet"}
    said = how_trained({}, nets)
    for words in (
        "compact@zero learnt for 10 epochs in batches of 32, at a learning rate of up to 0.002.",
        "C4-GAP-out learnt for 10 epochs in batches of 64, at a learning rate of up to 0.0002.",
        "Training images of compact@zero and C4-GAP-out were flipped, rotated by up to 15 degrees and shifted by",
        "Training images of resnet18:last1 were not changed.",
    ):
        assert words in said
    assert (
        "weighted classes" not in said
        and "gave each training image the same weight" in said
        and "resnet18:frozen learnt" not in said
    )
    said = how_trained({"epochs": 2, "batch": 8, "lr": 0.1, "augment": "none", "class_weight": "balanced"}, nets)
    assert "Networks learnt for 2 epochs in batches of 8, at a learning rate of up to 0.1." in said
    assert "The loss of networks weighted classes inversely to their numbers of training images." in said
    assert "Training images were not changed." in said and "rotated" not in said
    paper = how_trained({"preset": "paper", "augment": "histology"}, {"resnet18:frozen": "imagenet"})
    assert "Training images were not changed." in paper, "a frozen network cannot follow it"
    assert (
        paper.startswith("The rate of Adam was constant") and "for 100 epochs in batches of 32, at a learning" in paper
    )
    tuned = how_trained({"tune": True}, {"compact": "none"})
    assert "Networks learnt in batches of 32." in tuned and "rotated" not in tuned
    tuned = how_trained({"tune": ["lr=0.1,0.2"]}, {"compact": "none"})
    assert "Networks learnt for 10 epochs in batches of 32." in tuned and "rotated" in tuned


def test_networks_that_no_trial_has_trained_are_not_said_to_have_learnt_and_new_last_layers_are_said():
    how = {"compact": ("skipped", "skipped"), "resnet18": ("skipped", "done"), "vgg16": ("planned", "planned")}
    trials = [SimpleNamespace(arm=Arm(net=net), status=one) for net, statuses in how.items() for one in statuses]
    run = SimpleNamespace(trials=trials, record=lambda trial: {"status": trial.status, "reason": ""})
    assert trained_nets(run, dict.fromkeys(how, "none")) == {"resnet18": "none", "vgg16": "none"}
    begun = {"resnet18": "bundle sha256:1a"}
    assert not has_new_heads(run) and "anew" not in how_trained({}, begun, new_heads=has_new_heads(run))
    run.record = lambda trial: {"status": trial.status, "reason": f"x; {NEW_HEAD}"}
    said = how_trained({}, begun, new_heads=has_new_heads(run))
    assert said.endswith("none of these images. The last layer started anew, because that study had other classes.")
