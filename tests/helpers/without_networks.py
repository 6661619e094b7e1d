"""A process in which nothing that only networks need can be imported: ``python without_networks.py FOLDER [--all]``."""

import importlib
import sys
from pathlib import Path

HIDDEN = ("torch", "torchvision", "skorch", "captum", "timm")


class Hidden:
    """A finder that says of `HIDDEN` what is said of packages that are not installed."""

    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in HIDDEN:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


SMALL = "--heads logreg --reducers none --folds 2 --size 32 --jobs 1"
COMMANDS = (
    f"compare {{0}}/images --features classical {SMALL} --out {{0}}/out --cache {{0}}/cache",
    f"compare file:{{0}}/table.csv {SMALL} --out {{0}}/table --cache {{0}}/cache",
    "audit file:{0}/table.csv --folds 2 --jobs 1 --out {0}/audit --cache {0}/cache",
    "check --names --kind feature",
)
LATER = (
    "report {0}/out",
    "refit {0}/out --arm classical.v1/none/logreg --jobs 1",
    "evaluate {0}/out/models/classical.v1+none+logreg {0}/images/globally_sclerotic_glomeruli --jobs 1 --out {0}/e.csv",
    "check logreg classical",
)


def main(folder, also=()):
    """Make a phantom and a table of its sizes, and do `COMMANDS` and others."""
    import glomfeat.data.splits
    import glomfeat.report.write
    from glomfeat.data.phantom import Phantom, make_phantom

    images = make_phantom(folder / "images", Phantom(images=24, cases=8, min_px=60, max_px=90))
    rows = (images / "public.csv").read_text().splitlines()[1:]
    numbers = "".join(f"{row},{k % 7 + 3 * int(row[-1])}\n" for k, row in enumerate(rows))
    (folder / "table.csv").write_text(f"name,label,area\n{numbers}")
    glomfeat.report.write.find_figures = list  # drawing takes long, and imports Matplotlib alone
    glomfeat.data.splits.MOST_DEALS = 1  # as in the fixture dealt_once
    for command in (*COMMANDS, *also):
        name, *arguments = (part.format(folder) for part in command.split())
        status = importlib.import_module(f"studies.{name}").main(arguments)
        assert not status, (command, status)
    assert not {*HIDDEN} & {name.partition(".")[0] for name in sys.modules}


if __name__ == "__main__":
    sys.meta_path.insert(0, Hidden())
    main(Path(sys.argv[1]), LATER if "--all" in sys.argv else ())
