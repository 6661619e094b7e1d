"""Export the features of a data set: parquet for pandas, HDF5 for TRIDENT's and CLAM's readers."""

from dataclasses import dataclass
from typing import Annotated, Literal

import tyro

from glomfeat.core.errors import InputError
from glomfeat.core.words import printable
from studies._cli import DONE, INCOMPLETE, ReadsTables, at_least, open_console, parse_options, run_main

DEFAULT_FEATURES = ("classical",)


@dataclass(frozen=True)
class Options(ReadsTables):
    """Write the features of images to a file, one row for each image. What is stored already is not computed again.

    Rows have the file names of images, so that other tables can be joined to them: treat the file as you treat the
    images.
    """

    data: Annotated[str | None, tyro.conf.Positional] = None
    to: str = "runs/features.parquet"
    """The file to write, FILE.parquet or FILE.h5. Several features are written to one file each, with their names in
    the file's name."""
    features: tuple[str, ...] = DEFAULT_FEATURES
    labels: str | None = None
    """Table of labels (name,ground truth; CSV, Excel or parquet). A CSV or workbook in DATA is found anyway."""
    groups: str = "auto"
    layout: str | None = None
    name_column: str | None = None
    label_column: str | None = None
    columns: tuple[str, ...] = ()
    """Columns of feature tables to use as features, by name or pattern. Default: all numbers except row numbers, ids,
    places, sites and splits."""
    drop: tuple[str, ...] = ()
    size: int | None = None
    """Side in pixels of the square to which all images are resized, with a Lanczos filter. Default: pretrained
    backbones use the size and filter that their weights were made for, without cropping; everything else uses 224."""
    padding: Literal["white", "zero", "edge", "reflect"] = "white"
    icc: Literal["srgb", "keep"] = "srgb"
    layer: str | None = None
    weights: str | None = None
    """Weights of networks: imagenet, auto, none (random), or a folder or file of checkpoints. Default: imagenet, or
    auto for the phantom."""
    precision: Literal["float32", "tf32", "bfloat16", "float16"] = "float32"
    """Arithmetic of deep features. All but float32 need a GPU; bfloat16 also works on a processor that computes in
    it."""
    memory: str | None = None
    jobs: int | None = None
    """How many images to work on at once. Default: one for each core."""
    device: str = "auto"
    cache: str | None = None
    on_error: Literal["skip", "stop"] = "skip"
    """Whether an image that cannot be read is left out, or stops the export."""
    show_names: bool = False
    """Write the real names of cases instead of pseudonyms. Folds depend on these names: a study on a file with
    pseudonyms has the same cases, but other folds."""

    def check(self):
        """Refuse values that no export can have."""
        at_least(self, size=1, jobs=1)
        if not self.features or len(set(self.features)) < len(self.features):
            raise InputError(f"--features is {' '.join(self.features) or 'empty'}: give each name once")


def main(arguments):
    """Export the features that the command line names.

    Exit status: 0, or 1 if images were left out or a feature could not be computed.
    """
    options = parse_options(Options, arguments, "python -m studies.export")
    options.check()

    from glomfeat.core.cache import cache_folder
    from glomfeat.core.cache_listing import in_use
    from glomfeat.core.locks import alone_in
    from glomfeat.core.memory import format_bytes
    from glomfeat.features.export import check_target, export_feature, target_of

    check_target(options.to)
    console, cache = open_console(), cache_folder(options.cache)
    with in_use(cache):
        extracted, features = _extract(options, cache, console.out)
        for feature in features:
            if feature.name in extracted.failed:
                console.out(f"failed: {feature.name}: {extracted.failed[feature.name]}")
                continue
            path = target_of(options.to, feature.name, len(features) > 1)
            with alone_in(path, "--to", beside=True):
                written = export_feature(extracted, feature, path, options.show_names)
            n, width = extracted.matrices[feature.name].shape
            size = format_bytes(path.stat().st_size)
            there = "" if written else ", the same as was there"
            console.out(f"{path}: {n} images x {width} numbers of {feature.name}, {size}{there}")
    for row in extracted.quarantine:
        console.out(f"left out: {printable(row['name'])}: {row['reason']}")
    return INCOMPLETE if extracted.quarantine or extracted.failed else DONE


def _extract(options, cache, say):
    """Extract and store the features of the images."""
    from types import SimpleNamespace

    import joblib

    from glomfeat.comparison.budget import free_bytes
    from glomfeat.comparison.no_effect import OF_FEATURES, lines_on_no_effect
    from glomfeat.comparison.own_table import without_own_features
    from glomfeat.core.cache import Store
    from glomfeat.core.memory import budget_bytes
    from glomfeat.data.images.decode import Preprocess
    from glomfeat.data.manifest import read_manifest
    from glomfeat.data.phantom import NOTICE, built_in
    from glomfeat.features.extract import extract, refuse_blind
    from glomfeat.features.make import make_feature

    data, weights = options.data, options.weights or ("imagenet" if options.data else "auto")
    jobs = options.jobs or joblib.cpu_count(only_physical_cores=False)
    if data is None:
        say(NOTICE)
        data = built_in(cache, jobs)
    how = options.groups, None, options.show_names, options.layout, options.asked
    manifest = read_manifest(data, options.labels, None, *how)
    names = options.features
    if manifest.source and names == DEFAULT_FEATURES:
        names = (f"file:{manifest.source}",)
    for line in without_own_features(manifest, names).lines:
        say(line)
    asked = options.layer, options.device, options.precision, options.asked, manifest.table["name"], options.size
    features = [make_feature(name, weights, *asked) for name in names]
    refuse_blind(manifest, features, data)
    found = SimpleNamespace(manifest=manifest, features=features, nets={})
    for line in lines_on_no_effect(found, options, OF_FEATURES):
        say(line)
    for feature in features:
        if feature.weights:
            say(f"{feature.name}: weights {feature.weights}")
    free = free_bytes(budget_bytes(options.memory), torch=any(feature.weights for feature in features))
    rest = (
        Preprocess.asked(options.size, options.padding, options.icc),
        Store(str(cache)),
        jobs,
        options.on_error,
        (),
        free,
    )
    return extract(manifest, features, *rest), features


if __name__ == "__main__":
    run_main(main)
