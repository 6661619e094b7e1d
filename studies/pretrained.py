"""The large networks of the original study: frozen, fine-tuned, and as features for heads, with training seconds."""

from dataclasses import dataclass

from studies._cli import parse_options, run_main
from studies._original import OriginalStudy, run_original

MODELS = ("resnet18", "vgg16", "vgg19")
NETS = tuple(f"{model}:{what}" for what in ("frozen", "finetune") for model in MODELS)
QUICK = {"features": ("resnet18",), "nets": ("resnet18:frozen", "resnet18:finetune"), "size": 64}


@dataclass(frozen=True)
class Pretrained(OriginalStudy):
    """Compare ResNet18, VGG16 and VGG19, frozen, fine-tuned and as features, with published figures next to ours."""

    features: tuple[str, ...] = MODELS
    """Features to compare the networks with."""
    nets: tuple[str, ...] = NETS
    """Networks trained on the same folds."""
    out: str = "runs/pretrained"
    """Output folder. A run of the same study in it is resumed."""


def show(console, prepared, run):
    """Say what the seconds of a head and of a network include."""
    console.out("fit s, train_s: seconds a fold; a frozen network's hold its features, a head's do not (stored once)")


def main(arguments):
    """Run the study that the command line describes.

    Exit status: 0 done, 1 some trials failed or images were set aside.
    """
    return run_original(parse_options(Pretrained, arguments, "python -m studies.pretrained"), QUICK, show)


if __name__ == "__main__":
    run_main(main)
