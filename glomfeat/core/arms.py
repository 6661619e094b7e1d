"""Arms and trials: the lines of a comparison, and the units that are planned, seeded and journaled."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from glomfeat.core.errors import InputError, UserError
from glomfeat.core.plugins import Own

FLOOR_HEAD = "dummy"
FLOOR = f"none/none/{FLOOR_HEAD}"
# How images are read, if a study reads them in several ways: side length, what fills the square, stain treatment.
_PADDING, _STAIN = r"white|zero|edge|reflect", r"none|(?:macenko|reinhard)(?:-fold)?"
WAY = rf"(?=[^-])(?:(?:^|-)\d+)?(?:(?:^|-)(?:{_PADDING}))?(?:(?:^|-)(?:{_STAIN}))?"


# How a network computes, if not in the usual way: the end of its feature's name.
REDUCED, COMPILED = ("tf32", "bfloat16", "float16"), "compiled"
MARKS = (*REDUCED, COMPILED)


class StudyError(UserError, ValueError):
    """Options do not go together, or an output folder belongs to another study."""


@dataclass(frozen=True)
class Arm:
    """One line of the comparison: a feature, a reducer and a head, or a network, or an ensemble of other arms.

    Examples
    --------
    >>> str(Arm.parse("resnet18.imagenet/ipca128/svm"))
    'resnet18.imagenet/ipca128/svm'
    >>> Arm.parse("net:resnet18:frozen").net
    'resnet18:frozen'
    >>> [str(member) for member in Arm.parse("mean:a.v1/none/svm,net:compact").members]
    ['a.v1/none/svm', 'net:compact']

    If a study reads images in several ways, the name of a feature or network ends in how.

    >>> Arm.parse("classical.v1@128-macenko/ipca128/svm").way, Arm.parse("net:compact@zero").network
    ('128-macenko', 'compact')
    """

    feature: str = ""
    reducer: str = ""
    head: str = ""
    net: str = ""
    members: tuple["Arm", ...] = ()

    @property
    def kind(self) -> str:
        """``features``, ``net`` or ``ensemble``."""
        return "ensemble" if self.members else "net" if self.net else "features"

    @property
    def source(self) -> str:
        """What identifies the weights: the feature without the columns joined to it, or the network as an arm."""
        return str(self) if self.net else split_joined(self.feature)[0]

    @property
    def network(self) -> str:
        """The network's name, without how it reads images."""
        return self.net if isinstance(self.net, Own) else split_way(self.net)[0]

    @property
    def way(self) -> str:
        """How the arm's images are read; empty for ensembles, and if the study reads all images alike."""
        return split_way(self.net or self.feature)[1]

    @property
    def one_way(self) -> "Arm":
        """The same arm as named in a study that reads images in this way only."""
        return Arm(split_way(self.feature)[0], self.reducer, self.head, split_way(self.net)[0], self.members)

    def __str__(self) -> str:
        if self.members:
            return f"mean:{','.join(map(str, self.members))}"
        return f"net:{self.net}" if self.net else f"{self.feature}/{self.reducer}/{self.head}"

    @classmethod
    def parse(cls, text: str) -> "Arm":
        """Read an arm back from its text.

        Raises
        ------
        InputError
            Neither ``feature/reducer/head`` nor ``net:NAME`` nor ``mean:ARM,ARM``.
        """
        if text.startswith("mean:") and "," in text:
            return cls(members=tuple(map(cls.parse, text.removeprefix("mean:").split(","))))
        prefix, _, net = text.partition("net:")
        if net and not prefix:
            return cls(net=net)
        parts = text.split("/")
        if len(parts) != 3 or not all(parts):
            example = "resnet18.imagenet/ipca128/svm or net:homemade-128"
            raise InputError(f"{text!r} is no arm: write feature/reducer/head or net:NAME, such as {example}")
        feature, reducer, head = parts
        return cls(feature, reducer, head)


def tagged(name: str, way: str) -> str:
    """Join the name of a feature or a network with how it reads images.

    Examples
    --------
    >>> tagged("compact", "zero"), tagged("compact", "")
    ('compact@zero', 'compact')
    """
    if not way:
        return name
    return Own(f"{name}@{way}", name.brings, name.digest) if isinstance(name, Own) else f"{name}@{way}"


def split_way(name: str) -> tuple[str, str]:
    """Split the name of a feature or a network from how it reads images; the latter is empty if the name has none.

    Examples
    --------
    >>> split_way("resnet18.imagenet-1a2b@layer3@96-edge"), split_way("resnet18.imagenet-1a2b@layer3")
    (('resnet18.imagenet-1a2b@layer3', '96-edge'), ('resnet18.imagenet-1a2b@layer3', ''))
    """
    stem, _, way = name.rpartition("@")
    return (stem, way) if stem and re.fullmatch(WAY, way) else (name, "")


def split_joined(feature: str) -> tuple[str, str]:
    """Split the name of a feature from the columns joined to it; columns on their own are the name.

    Names of features contain a dot, words for columns do not. `MARKS` belong to the feature.

    Examples
    --------
    >>> split_joined("resnet18.imagenet-1a2b+age+sex"), split_joined("resnet18.imagenet-1a2b+age+sex@96-edge")
    (('resnet18.imagenet-1a2b', 'age+sex'), ('resnet18.imagenet-1a2b@96-edge', 'age+sex'))
    >>> split_joined("vgg16.random-1a2b+bfloat16"), split_joined("vgg16.random-1a2b+bfloat16+compiled+age")
    (('vgg16.random-1a2b+bfloat16', ''), ('vgg16.random-1a2b+bfloat16+compiled', 'age'))
    >>> split_joined("classical.v1"), split_joined("age+sex")
    (('classical.v1', ''), ('age+sex', ''))
    """
    stem, way = split_way(feature)
    match = re.fullmatch(rf"(.+\.[^+]+(?:\+(?:{'|'.join(MARKS)})(?![\w-]))*+)\+([\w-]+(?:\+[\w-]+)*)", stem)
    if match is None:
        return feature, ""
    return f"{match[1]}@{way}" if way else match[1], match[2]


@dataclass(frozen=True)
class Trial:
    """An arm on one fold of one repeat: the unit that is planned, seeded, journaled and tried again."""

    arm: Arm
    repeat: int
    fold: int | str

    @property
    def key(self) -> tuple[str, int, int | str]:
        """The trial's key in the journal."""
        return str(self.arm), self.repeat, self.fold


def plan_arms(
    features: Iterable[str], reducers: Iterable[str], heads: Iterable[str], nets: Iterable[str] = ()
) -> list[Arm]:
    """Plan all arms but ensembles: the floor first, then every feature with every reducer and head, then the networks.

    Examples
    --------
    >>> [str(arm) for arm in plan_arms(["a.v1"], ["none"], ["svm", "dummy"])]
    ['none/none/dummy', 'a.v1/none/svm']
    """
    arms = [Arm.parse(FLOOR)]
    arms += [Arm(f, r, h) for f in features for r in reducers for h in heads if h != FLOOR_HEAD]
    return arms + [Arm(net=net) for net in nets]


def plan_trials(arms: Iterable[Arm], tested: Iterable[int | str], repeats: int) -> list[Trial]:
    """Plan all trials, in the order in which tables list them.

    Examples
    --------
    >>> len(plan_trials(plan_arms(["a.v1"], ["none"], ["svm"]), tested=range(5), repeats=2))
    20
    """
    return [Trial(arm, repeat, fold) for arm in arms for repeat in range(repeats) for fold in tested]
