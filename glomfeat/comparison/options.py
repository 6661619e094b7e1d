"""A study: its options, its arms and its trials. This module is light to import, so ``--help`` answers at once."""

import itertools
from dataclasses import asdict, dataclass, replace
from typing import Annotated, Literal

import tyro

from glomfeat import __version__
from glomfeat.comparison.option_checks import READING, check_options, name_tables, plainly
from glomfeat.core.plugins import Coded
from glomfeat.data.schemes import Given, find_scheme, schemes_in_words

Paddings = Literal["white", "zero", "edge", "reflect"]
Stains = Literal["none", "macenko", "reinhard"]
Figures = Literal["png", "svg", "pdf"]
DEFAULT_FEATURES = ("classical", "resnet18")
# Where and how fast a study runs changes none of its numbers, so this is not part of its identity.
# Anything that is measured beside the study can be asked for later.
# Stain references are identified by their numbers. `Prepared.identity` adds how missing values are treated.
OPERATIONAL = frozenset(
    {"data", "sites", "labels", "name_column", "label_column", "memory", "jobs", "device", "out", "cache", "dry_run"}
    | {"on_error", "show_names", "weights", "stain_reference", "missing", "leak_price", "learning_curve", "perturb"}
    | {"subgroups", "reference", "margin", "prevalence", "timeout", "inside", "save_models", "include_weights"}
    | {"metrics", "backend", "scheduler", "test", "map", "case_rule", "ordinal", "readers"}
    | {"figures", "column", "style", "track", "init"}
)
# Other options of training, by the names of the recipe; those that keep their default are not passed on.
OF_NETS = (
    *("augment", "randaugment", "mixup", "label_smoothing", "layer_decay", "head_epochs", "drop_path"),
    *("lora_rank", "lora_layers"),
)
PRECISIONS_OF_NETS = ("bfloat16",)  # that can be asked of them; they learn in float32, or as a GPU does well


@dataclass(frozen=True)
class Study:
    """Compare features and heads on one set of folds, split by case."""

    data: Annotated[str | None, tyro.conf.Positional] = None
    """A folder, zip or tar with a sub-folder for each class or with a table of labels; such a table; or a feature table
    (file:PATH). Default: the built-in phantom."""
    sites: int = 1
    """Number of sites of the built-in phantom. Each has its own stain, scanner and share of sclerosis; --scheme
    leave-out:site leaves out each once."""
    labels: str | None = None
    """Table of labels (name,ground truth; CSV, Excel or parquet), or labels_corrected.csv. One in DATA is found."""
    positive: str | None = None
    """Name of the positive class. Default: globally sclerotic..., or GS; of two, 1, the one that the other negates
    (nonGS) or that is beside normal, benign or the like; or else the last class in order (2 of 0, 1, 2)."""
    groups: str = "auto"
    """Where the case comes from: auto, none, a column of the CSV, or a regular expression with (?P<case>...)."""
    layout: str | None = None
    """What each level of folders means, from the top: class, case, slide, split, site or ignore, and image at the end,
    such as class/case/image. Default: read from the names of the folders."""
    name_column: str | None = None
    """The column of a table that names images or objects. Default: found by its header."""
    label_column: str | None = None
    """The column of a table that holds the classes. Default: found by its header."""
    columns: tuple[str, ...] = ()
    """Columns of feature tables to use as features, by name or by a pattern such as 'area*'. Default: all numbers
    except row numbers, ids, places, sites and splits. A full name takes any column; texts become columns of 0 and 1."""
    drop: tuple[str, ...] = ()
    """Columns of feature tables not to use as features, by name or pattern."""
    missing: Literal["refuse", "impute"] = "refuse"
    """What to do with a cell of a feature table that holds no number: stop the run (refuse), or fill it in each fold
    with the median of the training rows (impute). Extra columns of 0 and 1 then say where."""
    features: tuple[str, ...] = DEFAULT_FEATURES
    """Numbers that describe an image: pixels, classical, shortcut, any torchvision model, timm:NAME, file:PATH,
    module:function. If DATA is a feature table, it is its own feature."""
    reducers: tuple[str, ...] = ("ipca128",)
    """How features are reduced: none, ipcaK (incremental), pcaK (exact), either without K: chosen, module:function."""
    heads: tuple[str, ...] = ("logreg", "svm", "xgboost")
    """Classifiers on the features: logreg, svm, xgboost, module:function. dummy, which looks at no image, is always
    added as the floor."""
    with_: Annotated[tuple[str, ...], tyro.conf.arg(name="with")] = ()
    """Columns of the table of labels, such as age sex. They are compared alone and joined to each feature, which shows
    what images add to them."""
    nets: tuple[str, ...] = ()
    """Networks trained on the same folds: compact, homemade-128, homemade-224, baseline-1 to baseline-12, layers such
    as C16-BN-MP-F-D64-out, module:function, or any torchvision or timm:NAME model followed by what is trained: :frozen,
    :last2 (or another number of its last blocks), :finetune, :lora."""
    ensembles: tuple[str, ...] = ()
    """Means of the calibrated scores of other arms. Write the members of each with commas between them, as
    FEATURE/REDUCER/HEAD or net:NAME."""
    preset: Literal["default", "paper"] = "default"
    """How networks are trained. default: the learning rate follows a schedule, states are averaged, and the last epochs
    learn all training cases; the last layer of a frozen network is fitted to convergence. paper: as in the original
    study, at a constant rate."""
    epochs: int | None = None
    """Epochs of every network. Half as many follow on all training cases, or a fifth if the network is fine-tuned.
    Default: each network's own number."""
    batch: int | None = None
    """Images per training step of every network. Default: each network's own number."""
    lr: float | None = None
    """The highest learning rate of the schedule, for every network. Default: each network's own."""
    class_weight: Literal["none", "balanced"] = "none"
    """Whether networks give all classes the same weight (balanced)."""
    augment: Literal["paper", "none", "histology"] | None = None
    """How training images of networks are changed: paper (flips, rotations up to 15 degrees, shifts), none, histology
    (flips and right-angle turns both ways, crops, amounts of stain). Default: each network's own, paper or none."""
    randaugment: int = 0
    """Magnitude, up to 30, of two further random operations on each training image (RandAugment); 0 for none."""
    mixup: float = 0.0
    """Train on mixtures of two images, with shares from a beta distribution with this parameter, such as 0.2."""
    label_smoothing: float = 0.0
    """The part of each label that is shared among all classes in training, such as 0.1."""
    layer_decay: float = 1.0
    """Factor for the learning rate of pretrained networks, applied once more with each block on the way from the last
    layer to the image, such as 0.75."""
    head_epochs: int = 0
    """Epochs at the beginning in which only the last layer of a pretrained network learns."""
    drop_path: float = 0.0
    """How often residual branches of pretrained networks are skipped in training, such as 0.1."""
    lora_rank: int = 8
    """Rank of the adapters of MODEL:lora."""
    lora_layers: str = "all"
    """Layers that get an adapter: all, attention, or a pattern of names such as '*qkv'. Separate several patterns by
    commas; each network with :lora needs one that fits."""
    tta: Literal[1, 8] = 1
    """8 scores an image as the mean over 8 flips and right-angle turns; names of networks then end in +tta8."""
    init: str | None = None
    """Start networks from a bundle of another study, or from the bundles in its folder, instead of from --weights. A
    bundle that has learnt images of this study is refused."""
    tune: bool | tuple[str, ...] = False
    """Choose the learning rate, epochs and augmentation of networks anew in each fold, on its inner-valid cases. Only
    for networks that are trained in epochs. The values are each network's own, or yours, such as lr=1e-4,3e-4
    epochs=5,10 augment=none,histology."""
    size: int | tuple[int, ...] | None = None
    """Side in pixels of the square to which all images are resized, with a Lanczos filter. Default: pretrained
    backbones use the size and filter that their weights were made for, without cropping; everything else uses 224. With
    several sizes, paddings or stains, every feature and network is made once for each, and names of arms say which."""
    padding: Paddings | tuple[Paddings, ...] = "white"
    """What fills the square around an image."""
    stain: Stains | tuple[Stains, ...] = "none"
    """Normalise the colours of each image to those of a reference, before padding: by stain vectors (macenko), or by
    the mean and spread of the tissue's colours (reinhard)."""
    stain_reference: str = "pas"
    """The reference of --stain: pas or he, which are built in; an image file; or fold, which takes it from the training
    images of each fold, so that features are made once for each fold."""
    icc: Literal["srgb", "keep"] = "srgb"
    """Whether images with an embedded ICC profile are converted to sRGB, or keep the numbers in the file."""
    layer: str | None = None
    """Layer from which deep features are read. Default: the one before the classes."""
    scheme: Annotated[str, tyro.conf.arg(help=schemes_in_words())] = "cv"
    allow_split_cases: bool = False
    """Accept a given split that has cases on several sides. All output then says that its scores are optimistic."""
    folds: int = 5
    """Number of folds of cv."""
    repeats: int = 1
    """How often to repeat the whole cross-validation with new folds."""
    seed: int = 0
    """The seed that all others are derived from."""
    threshold: str = "balanced"
    """How the threshold is chosen, on inner out-of-fold scores of training cases: balanced, youden,
    'sensitivity>=0.95' (a shell needs the quotes), a number, or module:function."""
    calibration: Literal["none", "platt", "isotonic"] = "none"
    """Map scores to frequencies by a monotone function, fitted on inner out-of-fold scores of training cases. The
    threshold is chosen afterwards."""
    weights: str | None = None
    """Weights of pretrained networks: imagenet; auto (ImageNet if it can be had, else random, and every row says so);
    none (random); or a folder or file of checkpoints. Default: imagenet, or auto for the phantom. If the default
    features cannot have resnet18, auto takes a network whose weights come with the extra offline."""
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    """Arithmetic of deep features. Only bfloat16 also holds for networks that are trained. All but float32 need a GPU;
    bfloat16 also works on a processor that computes in it."""
    compile: bool = False
    """Compile networks on a GPU, for deep features and for training. This takes time before the first image. The last
    digits then differ, and rows say so."""
    random_twin: bool = False
    """Also compare each pretrained feature with the same network with random weights, which shows what the architecture
    alone gives."""
    leak_price: bool = False
    """Also run each arm on folds of the same sizes that split by image, to show how much too good that looks."""
    learning_curve: bool = False
    """Also run each arm with an eighth, a quarter and a half of the training cases, to see if more would help."""
    perturb: tuple[str, ...] = ()
    """Change the images by stain, blur, jpeg, noise, brightness or scale, each in five strengths, and score them with
    the models of the folds that test them. Nothing is trained or chosen on them. Can be added after a run."""
    subgroups: tuple[str, ...] = ()
    """Columns of the table of labels, such as site or age:18,65. Gives each arm's figures in each group, and whether
    they differ from the rest. Can be added after a run."""
    reference: str | None = None
    """The arm with which every other one is compared, FEATURE/REDUCER/HEAD or net:NAME. Default: only the best one. Can
    be added after a run; the report says whether it was named before."""
    margin: float | None = None
    """How far an arm's AUROC may lie below that of the reference and still count as no worse (or differ from it and
    count as equivalent)."""
    prevalence: tuple[float, ...] = ()
    """Shares of the positive class, such as 0.05 0.2, for which to give predictive values, in addition to the data's
    own share. Can be added after a run."""
    test: tuple[str, ...] = ()
    """Data of other hospitals, each as NAME=PATH or PATH, read in the same way as DATA. Every arm is fitted once on all
    of DATA and scored on them. Nothing is chosen on them."""
    map: tuple[str, ...] = ()
    """Names of classes that differ between the data of --test and DATA, each as THEIRS=OURS."""
    case_rule: Literal["mean", "maximum", "share"] = "mean"
    """How a case whose images all have the same class gets a single score: the mean score of its images, the largest,
    or the share of images called positive. Can be added after a run."""
    ordinal: tuple[str, ...] = ()
    """Three or more classes in their order, the lowest first. Gives quadratic kappa and mean absolute error of each
    arm. Can be added after a run."""
    readers: str | None = None
    """A table of what people called the images: one column with their names and one for each reader, or the columns
    name, reader, call and perhaps score. Compares readers with every arm. Can be added after a run."""
    metrics: tuple[str, ...] = ()
    """Metrics of your own, each as module:function. They become columns. Can be added after a run."""
    inside: int = 2
    """Draw where networks look, and where logreg looks on deep features, for this many right and this many wrong images
    of each class."""
    save_models: bool = False
    """When the study has ended, fit every arm on all images and save each as a bundle in OUT/models."""
    include_weights: bool = False
    """Put the weights of pretrained backbones into these bundles. Otherwise loading a bundle looks them up."""
    threads: int = 1
    """Threads inside a trial. Part of the study, because the last digits of sums depend on it."""
    memory: str | None = None
    """Memory for all processes together, such as 4GB. Default: 80 % of what the process may use."""
    jobs: int | None = None
    """How many trials, or images, to work on at once. Default: the number of cores divided by --threads."""
    timeout: float | None = None
    """Most seconds that a trial may take, or one image of a feature of your own, or a metric. Its process is then
    ended, and the row says where it was. Trials run in worker processes, even one at a time; not on a cluster. Default:
    no limit."""
    backend: Literal["local", "dask", "ray"] = "local"
    """Where trials run and features are computed: on this machine, or on the workers of a running cluster. --memory is
    then the budget of each worker."""
    scheduler: str | None = None
    """Address of the cluster: tcp://HOST:8786 or a scheduler file for Dask, HOST:6379 for Ray. Default: Ray on this
    machine."""
    device: str = "auto"
    """The device that computes: auto, cpu, cuda, cuda:1, mps."""
    out: str = "runs/compare"
    """Output folder. A run of the same study in it is resumed."""
    cache: str | None = None
    """Folder of the feature cache. Default: your user's cache folder."""
    dry_run: bool = False
    """Print the plan and stop."""
    on_error: Literal["skip", "stop"] = "skip"
    """Whether an image that cannot be read is skipped and listed, or stops the run."""
    show_names: bool = False
    """Show the real names of cases instead of pseudonyms."""
    figures: tuple[Figures, ...] = ("png",)
    """File types of the figures."""
    column: Literal[1, 2] | None = None
    """Width of these figures: one or two columns of a journal, 89 or 180 mm. Default: as wide as in the report."""
    style: str | None = None
    """Colours and fonts of these figures: a file of Matplotlib's parameters, or the name of one of its styles."""
    track: Literal["mlflow", "tensorboard"] | None = None
    """Log options, metrics and the report to one of these programs when the study has ended. It must be installed."""

    @classmethod
    def explain(cls, *names: str) -> str:
        """Say what options are for, and which values they take: those that are named, or all.

        Parameters
        ----------
        *names : str

        Returns
        -------
        str

        Raises
        ------
        StudyError
            There is no such option.

        Examples
        --------
        >>> print(Study.explain("folds"))
        folds : a whole number; default 5
            Number of folds of cv.
        """
        from glomfeat.comparison.option_words import explain

        return explain(cls, *names)

    def check(self):
        """Refuse values that no study can have.

        Raises
        ------
        StudyError
            Names the option, and what is allowed.
        """
        check_options(self)

    @property
    def sizes(self):
        """The sides that are asked for; None for a side that is left open."""
        return _several(self.size)

    @property
    def paddings(self):
        return _several(self.padding)

    @property
    def stains(self):
        return _several(self.stain)

    @property
    def ways(self):
        """Every side with every padding and every treatment of stains."""
        return list(itertools.product(self.sizes, self.paddings, self.stains))

    @property
    def asked(self):
        """The user's choices about columns of tables, as `glomfeat.data.tables.columns.Asked`."""
        from glomfeat.data.tables.columns import Asked

        words = self.name_column or "", self.label_column or "", self.columns, self.drop
        but = *filter(None, [self.split.column]), *self.with_
        uses = [(self.split.column, "--scheme splits by it"), *((name, "--with joins it") for name in self.with_)]
        for one in self.subgroups:  # with or without the numbers that cut it into groups
            uses += [(name, "--subgroups groups by it") for name in {one, one.rpartition(":")[0]}]
        others = name_tables(self.features)
        return Asked(*words, but, self.missing, tuple(uses), self.groups, joined=self.with_, others=others)

    @property
    def tuned(self):
        """What of the training of networks is chosen, as `glomfeat.models.nets.grid.read_grid`."""
        from glomfeat.models.nets import read_grid

        return read_grid(self.tune)

    def plain(self):
        """The options as plain data for YAML; functions are written by name."""
        from glomfeat.core.plugins import name_of
        from glomfeat.models.nets import written_grid

        options = asdict(self).items()
        several = {name: list(map(_plain, value)) for name, value in options if isinstance(value, tuple)}
        found = {name: several.get(name, name_of(value)) for name, value in options}
        # a single value is written as it was when only one was possible
        found |= {name: values[0] for name in READING if len(values := _several(getattr(self, name))) == 1}
        found["threshold"] = str(found["threshold"])  # YAML writes plain text only
        found["tune"] = written_grid(self.tuned)
        return {plainly(name): value for name, value in found.items()}

    @property
    def own(self):
        """The names of the user's own code, each with a digest of that code."""
        names = (*self.features, *self.reducers, *self.heads, *self.nets, self.threshold)
        return [name for name in names if isinstance(name, Coded)]

    @property
    def split(self):
        """How cases are split, as `glomfeat.data.schemes.Scheme`."""
        found = find_scheme(self.scheme, self.folds)
        return replace(found, split_cases=self.allow_split_cases) if isinstance(found, Given) else found

    @property
    def tested(self):
        """How many trials an arm has."""
        return self.repeats * len(self.split.tested)

    def recipe(self):
        """The options for the training of every network, by the names of `glomfeat.models.nets.Recipe`."""
        asked = {"epochs": self.epochs, "batch": self.batch, "lr": self.lr, "compile": self.compile or None}
        weight = None if self.class_weight == "none" else self.class_weight
        found = {name: value for name, value in asked.items() if value is not None} | {"class_weight": weight}
        found |= {"precision": self.precision} if self.precision in PRECISIONS_OF_NETS else {}
        return found | {name: value for name in OF_NETS if (value := getattr(self, name)) != getattr(Study, name)}

    def identity(self, manifest, features, nets=()):
        """What makes two runs the same study: the options that change numbers, the data and the features.

        Parameters
        ----------
        manifest : Manifest
        features : sequence of str
            Full names of the features, with the digests of weights and tables.
        nets : sequence of str
            Networks, with their starting points.

        Returns
        -------
        dict
            Plain data. The caller, who knows the full names of members and the values of columns, adds ensembles and
            joined columns if the study has them.
        """
        apart = OPERATIONAL | {"ensembles", "with"} | ({"stain"} if self.stains == ("none",) else set())
        options = {name: value for name, value in self.plain().items() if name not in apart}
        data = f"{len(manifest)} images, {manifest.split}, digest {manifest.digest[:16]}"
        found = options | {"glomfeat": __version__, "data": data, "features": list(features), "nets": list(nets)}
        own = [name.full for name in self.own]
        return found | ({"own parts": ", ".join(own)} if own else {})


def _plain(part):
    """A part as YAML writes it."""
    from glomfeat.core.plugins import name_of

    return part if type(part) is int else str(name_of(part))


def _several(value):
    """The value or values of an option as a tuple."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)
