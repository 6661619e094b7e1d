"""The main job from Python: it takes plain arguments and returns an object with tables and a report."""

import os
import shutil
import tempfile
import warnings
import weakref
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import UnionType
from typing import Any, Literal, TypeAlias, Union, cast, get_args, get_origin, get_type_hints

import numpy as np
import pandas as pd

from glomfeat.comparison import compare as main_job
from glomfeat.comparison.folder import journal_of, open_out
from glomfeat.comparison.in_memory import write_arrays, write_table
from glomfeat.comparison.objects import own_function, own_names
from glomfeat.comparison.option_words import allowed
from glomfeat.comparison.options import Figures, Paddings, Stains, Study
from glomfeat.comparison.prepare import Prepared, prepare
from glomfeat.comparison.result import Result
from glomfeat.core.arms import StudyError
from glomfeat.core.atomic import written_whole
from glomfeat.data.manifest import Manifest
from glomfeat.data.phantom import NOTICE
from glomfeat.data.tables.read import PATH_COLUMNS, find_column
from glomfeat.features.table import Table

Place: TypeAlias = str | os.PathLike[str]
Parts: TypeAlias = str | Mapping[str, Any] | Sequence[Any] | None
Texts: TypeAlias = tuple[str, ...] | list[str]
Numbers: TypeAlias = tuple[float, ...] | list[float]

PARTS = ("features", "heads", "reducers", "nets")
FUNCTIONS = ("metrics", "threshold")
DECIDED = ("labels", "positive", "groups", "layout", "name_column", "label_column")
IMAGES = "images.csv"


def compare(
    data: Place | Manifest | pd.DataFrame | Sequence[Any] | None = None,
    features: object = None,
    heads: Parts = None,
    reducers: Parts = None,
    nets: Parts = None,
    out: Place | None = None,
    *,
    quiet: bool = False,
    sites: int = 1,
    labels: Place | None = None,
    positive: str | None = None,
    groups: str = "auto",
    layout: str | None = None,
    name_column: str | None = None,
    label_column: str | None = None,
    columns: Texts = (),
    drop: Texts = (),
    missing: Literal["refuse", "impute"] = "refuse",
    with_: Texts = (),
    ensembles: Texts = (),
    preset: Literal["default", "paper"] = "default",
    epochs: int | None = None,
    batch: int | None = None,
    lr: float | None = None,
    class_weight: Literal["none", "balanced"] = "none",
    augment: Literal["paper", "none", "histology"] | None = None,
    randaugment: int = 0,
    mixup: float = 0.0,
    label_smoothing: float = 0.0,
    layer_decay: float = 1.0,
    head_epochs: int = 0,
    drop_path: float = 0.0,
    lora_rank: int = 8,
    lora_layers: str = "all",
    tta: Literal[1, 8] = 1,
    init: Place | None = None,
    tune: bool | Texts = False,
    size: int | tuple[int, ...] | list[int] | None = None,
    padding: Paddings | tuple[Paddings, ...] | list[Paddings] = "white",
    stain: Stains | tuple[Stains, ...] | list[Stains] = "none",
    stain_reference: Place = "pas",
    icc: Literal["srgb", "keep"] = "srgb",
    layer: str | None = None,
    scheme: str = "cv",
    allow_split_cases: bool = False,
    folds: int = 5,
    repeats: int = 1,
    seed: int = 0,
    threshold: str | float | Callable[..., float] = "balanced",
    calibration: Literal["none", "platt", "isotonic"] = "none",
    weights: Place | None = None,
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32",
    compile: bool = False,
    random_twin: bool = False,
    leak_price: bool = False,
    learning_curve: bool = False,
    perturb: Texts = (),
    subgroups: Texts = (),
    reference: str | None = None,
    margin: float | None = None,
    prevalence: Numbers = (),
    test: Texts = (),
    map: Texts = (),
    case_rule: Literal["mean", "maximum", "share"] = "mean",
    ordinal: Texts = (),
    readers: Place | None = None,
    metrics: Sequence[str | Callable[..., float]] = (),
    inside: int = 2,
    save_models: bool = False,
    include_weights: bool = False,
    threads: int = 1,
    memory: str | None = None,
    jobs: int | None = None,
    timeout: float | None = None,
    backend: Literal["local", "dask", "ray"] = "local",
    scheduler: Place | None = None,
    device: str = "auto",
    cache: Place | None = None,
    on_error: Literal["skip", "stop"] = "skip",
    show_names: bool = False,
    figures: tuple[Figures, ...] | list[Figures] = ("png",),
    column: Literal[1, 2] | None = None,
    style: Place | None = None,
    track: Literal["mlflow", "tensorboard"] | None = None,
) -> Result:
    """Compare features, heads and networks on one set of folds, split by case.

    It gives the same results as ``python -m studies.compare``, to the last bit, with your own parts
    as plain arguments. Lists hold names, objects and dicts; a dict gives your objects their names.

    Parameters
    ----------
    data : path-like, Manifest, pandas.DataFrame or tuple, optional
        A folder, archive, CSV or feature table; a table with the columns ``path, label[, case,
        slide]``, or of numbers and a class; ``(X, y, groups)``; what `glomfeat.read_manifest`
        returns. Default: the built-in phantom.
    features : optional
        Names, `glomfeat.Handcrafted`, `glomfeat.Backbone`, or by name a function of an image (uint8,
        shape (size, size, 3)) and its size before padding. Default: classical and resnet18.
    heads : optional
        Names, or by name a scikit-learn classifier, a `glomfeat.Head` or a function that makes one.
    reducers, nets : optional
        Names, or by name a transformer; layers (``"C16-MP-F-D64-out"``), a function of ``classes``.
    out : path-like, optional
        Output folder; a run of the same study in it is resumed. Default: a temporary one.
    quiet : bool
        Print nothing; progress is shown all the same.
    **options
        The options of the command line. ``print(glomfeat.Study.explain("folds", "groups"))`` explains any of them.

        - data: sites, labels, positive, groups, layout, name_column, label_column, columns, drop,
          missing, size, padding, stain, stain_reference, icc, on_error; joining features: `with_`
        - what is compared: ensembles, layer, weights, precision, compile, random_twin, leak_price,
          learning_curve, perturb, subgroups, reference, margin, prevalence, test, map, case_rule,
          ordinal, readers, metrics
        - folds: scheme, allow_split_cases, folds, repeats, seed, threshold, calibration
        - networks: preset, epochs, batch, lr, class_weight, augment, randaugment, mixup, drop_path,
          label_smoothing, layer_decay, head_epochs, lora_rank, lora_layers, tta, init, tune
        - output: show_names, inside, save_models, include_weights, figures, column, style, track
        - machine: memory, jobs, timeout, threads, backend, scheduler, device, cache

    Returns
    -------
    Result
        ``table``, ``best``, ``arms``, ``comparisons``, ``cases``, ``predictions``, ``plot``, ``report()``.

    Raises
    ------
    UserError
        Raised before work begins; the message says what to do.

    Examples
    --------
    >>> import glomfeat, tempfile
    >>> images = glomfeat.make_phantom(tempfile.mkdtemp() + "/images", glomfeat.Phantom(images=24, cases=6))
    >>> red, small = {"red": lambda image, size: image[..., 0].mean()}, {"size": 32, "folds": 2, "jobs": 1}
    >>> found = compare(images, red, "logreg", "none", cache=tempfile.mkdtemp(), quiet=True, **small)
    >>> sorted(found.arms)
    ['none/none/dummy', 'red.v1/none/logreg']
    """
    return _compare(dict(locals()))  # so that no option has to be named twice


def _compare(given: dict[str, Any]) -> Result:
    data, out, quiet = given["data"], given["out"], given["quiet"]
    say: Callable[[str], None] = _silent if quiet else print
    warn = say if out is not None else _silent  # a temporary folder cannot be resumed anyway
    options = _checked({name: value for name, value in given.items() if name not in ("data", "out", "quiet", *PARTS)})
    if callable(options["threshold"]):
        options["threshold"] = own_function(options["threshold"], warn)
    asked = {kind: own_names(kind, given[kind], warn) for kind in PARTS if given[kind] is not None}
    if isinstance(data, Manifest):
        options |= _as_read(data, options, say)
    folder = Path(tempfile.mkdtemp(prefix="glomfeat-") if out is None else os.fspath(out)).expanduser()
    study = Study(**asked, **options, out=str(folder))
    try:
        found = _run(study, data, say)
    except BaseException:
        if out is None:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if out is None:
        weakref.finalize(found, shutil.rmtree, folder, True)
    return found


def _as_read(manifest: Manifest, options: Mapping[str, Any], say: Callable[[str], None]) -> dict[str, Any]:
    """The options by which a manifest was read, so that these columns are no features; others are refused."""
    asked, usual = manifest.asked, {name: getattr(Study, name) for name in DECIDED}
    read = {"groups": asked.groups, "name_column": asked.name, "label_column": asked.label}
    read = usual | {name: value for name, value in read.items() if value}
    other = [name for name in sorted(DECIDED) if options[name] not in (usual[name], read[name])]
    of_tests = [name for name in other if name.endswith("_column") and options["test"] and not manifest.source]
    if other != of_tests:
        raise StudyError(
            f"{', '.join(other)}: the manifest has been read already; give the path that it was read from instead, or "
            "give them to glomfeat.read_manifest"
        )
    if of_tests:
        say(f"{', '.join(of_tests)}: for the cohorts of test alone; the manifest has been read already")
    return {name: value for name, value in read.items() if name not in of_tests}


def _silent(line: str) -> None:
    """Print nothing."""


def _run(study: Study, data: Any, say: Callable[[str], None]) -> Result:
    journal = journal_of(study)
    if isinstance(data, tuple | list):
        prepared = _prepare_written(study, lambda folder: write_arrays(data, folder, study.groups, say), say)
    elif isinstance(data, pd.DataFrame) and find_column(data, PATH_COLUMNS) is None:
        prepared = _prepare_written(study, lambda folder: write_table(data, folder), say)
    elif isinstance(data, pd.DataFrame):
        prepared = _prepare_frame(study, data, say)
    elif isinstance(data, Manifest):
        prepared = prepare(replace(study, data=_where(data)), say, data, journal)
    elif data is None or isinstance(data, str | os.PathLike):
        if data is None:
            say(NOTICE)
        prepared = prepare(replace(study, data=None if data is None else os.fspath(data)), say, None, journal)
    else:
        kind = f"{type(data).__module__}.{type(data).__qualname__}"
        raise StudyError(f"data is a {kind}: give a folder, a file, a DataFrame, a Manifest or a tuple (X, y, groups)")
    finished, results, _ = main_job.compare(prepared, say, journal)
    place, filled = Path(study.out).absolute(), cast(Study, prepared.study)  # a session may go to another folder
    prepared = replace(prepared, study=replace(filled, out=str(place)))
    found = Result(results, place, finished.title, study.show_names, prepared, finished)
    if study.track:
        from glomfeat.comparison.track import track

        found.report()
        said: list[str] = []
        tell = say if track(study, finished, said.append) else warnings.warn  # with quiet, a failure is still a warning
        for line in said:
            tell(line)
    return found


def _prepare_frame(study: Study, frame: pd.DataFrame, say: Callable[[str], None]) -> Prepared:
    """Read a table of images, and copy it to the output folder, so that the study can be found again from there."""
    column = find_column(frame, PATH_COLUMNS)
    if not all(isinstance(path, str | os.PathLike) for path in frame[column]):
        raise StudyError(f"data: every row of the column {column!r} must hold the path of an image")
    frame = frame.assign(**{column: [str(Path(path).expanduser().absolute()) for path in frame[column]]})
    with tempfile.TemporaryDirectory() as place:
        csv = Path(place) / IMAGES
        frame.to_csv(csv, index=False)
        prepared = prepare(replace(study, data=str(csv)), say)
    open_out(prepared)
    kept = Path(study.out) / IMAGES
    with written_whole(kept) as part:
        frame.to_csv(part, index=False)
    return replace(prepared, study=replace(prepared.study, data=str(kept)))


def _prepare_written(study: Study, write: Callable[[str], Path], say: Callable[[str], None]) -> Prepared:
    """Read data that `write` puts into a file, and copy the file to the output folder.

    Arms may be named by the stem of the file (``table/none/logreg``), whose folder and digest nobody knows before.
    """
    with tempfile.TemporaryDirectory() as place:
        path = write(place)
        study = _with_full_names(study, path)
        try:
            prepared = prepare(replace(study, data=f"file:{path}"), say)
        except StudyError as error:
            raise type(error)(str(error).replace(f"file:{path}/", f"{path.stem}/")) from error
        open_out(prepared)
        kept = Path(study.out) / path.name
        with written_whole(kept) as part:
            shutil.copyfile(path, part)
    return prepare(replace(study, data=f"file:{kept}"), _silent)


def _with_full_names(study: Study, path: Path) -> Study:
    """A study whose ensembles and reference name the arms of a file with its digest."""

    def in_full(text: str) -> str:
        begin = "mean:" if text.startswith("mean:") else ""
        names = text.removeprefix("mean:").split(",")
        full = (f"{name}/{one.removeprefix(stem)}" if one.startswith(stem) else one for one in names)
        return begin + ",".join(full)

    stem, reference = f"{path.stem}/", study.reference
    if not any(stem in text for text in (*study.ensembles, reference or "")):
        return study
    name = Table(str(path)).name
    ensembles = tuple(map(in_full, study.ensembles))
    return replace(study, ensembles=ensembles, reference=None if reference is None else in_full(reference))


def _where(manifest: Manifest) -> str:
    """The common folder of a manifest's images, or the feature table itself."""
    if manifest.source:
        return f"file:{manifest.source}"
    return os.path.commonpath([Path(path).absolute().parent for path in manifest.table["path"]])


def _checked(options: dict[str, Any]) -> dict[str, Any]:
    """Check the options of a study.

    Raises
    ------
    StudyError
        An option has a value that a study cannot have.
    """
    hints, found = get_type_hints(Study), {}
    for name, value in options.items():
        value = _plain(value)
        value = tuple(map(_plain, value)) if isinstance(value, list | tuple) else value
        if name == "threshold" and type(value) in (int, float):
            value = str(value)  # as on the command line
        if not _fits(value, hints[name], functions=name in FUNCTIONS):
            raise StudyError(f"{name} is {value!r}: allowed {allowed(hints[name])}")
        found[name] = value
    return found


def _plain(value: Any) -> Any:
    """A path as text, and a NumPy number as a Python number."""
    if isinstance(value, np.generic):
        return value.item()
    return os.fspath(value) if isinstance(value, os.PathLike) else value


def _fits(value: Any, hint: Any, functions: bool = False) -> bool:
    kind, parts = get_origin(hint), get_args(hint)
    if kind is Literal:
        return value in parts
    if kind in (Union, UnionType):
        return any(_fits(value, part) for part in parts)
    if kind is tuple:
        return isinstance(value, tuple) and all(_fits(part, parts[0], functions) for part in value)
    if functions and callable(value):
        return True
    return type(value) is hint or (hint is float and type(value) is int)
