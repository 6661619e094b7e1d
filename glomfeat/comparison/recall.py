"""What a study notes of its pretrained networks, so that it is known again without torch once it is finished."""

from dataclasses import dataclass, field

from glomfeat.comparison.folder import differences
from glomfeat.comparison.outcome import find_aside
from glomfeat.core.plugins import is_own
from glomfeat.features.make import FEATURES
from glomfeat.features.recalled import Recalled, is_same_source, note_source, software
from glomfeat.features.seen import plain
from glomfeat.models.nets import is_pretrained, split_mode


@dataclass(frozen=True)
class Start:
    """What a network's training starts from.

    Attributes
    ----------
    said : str
        What every row of the results says about it.
    reads : (int, str or None) or None
        Side and filter of the images that it is made for; None where that is not known.
    """

    said: str
    reads: tuple | None = None


@dataclass(frozen=True)
class Notes:
    """Notes of a study's pretrained networks.

    Attributes
    ----------
    rows : list of dict
        Of `note_networks`.

    Examples
    --------
    >>> Notes().feature(["resnet18", "none"]), Notes().net("resnet18:frozen", "none")
    (None, None)
    """

    rows: list = field(default_factory=list)

    def feature(self, asked):
        """The feature that was noted of what is asked for, or None."""
        row = self._row("name", asked)
        return row and Recalled(row["name"], row["weights"], row["note"], row["reads"] and tuple(row["reads"]))

    def net(self, name, where):
        """What a network starts from, as it was noted, or None."""
        row = self._row("net", [name, where])
        return row and Start(row["weights"], row["reads"] and tuple(row["reads"]))

    def _row(self, kind, asked):
        return next((row for row in self.rows if kind in row and row["asked"] == asked), None)


NOTHING = Notes()


def asked_of(study, name, weights, side):
    """All that decides which deep feature a name stands for, as plain data."""
    size = list(study.sizes) if len(study.sizes) > 1 else study.sizes[0]
    return [str(name), str(weights), side, size, study.layer, study.precision, *["compiled"] * study.compile]


def read_notes(study, journal):
    """The notes in a study's folder, if all that are needed are there and hold.

    Parameters
    ----------
    study : Study
        With its weights filled in.
    journal : Journal or None

    Returns
    -------
    glomfeat.comparison.recall.Notes
        Empty where any is missing, or no network of torchvision is asked for.
    """
    features = [name for name in study.features if not is_own(name) and name not in FEATURES]
    nets = [name for name in study.nets if is_pretrained(name)]
    if journal is None or study.init or not (features or nets):
        return NOTHING
    noted = (journal.about() or {}).get("networks")
    if not noted or noted["software"] != software():
        return NOTHING
    notes = Notes(noted["rows"])
    found = [notes.feature(asked_of(study, name, study.weights, side)) for name in features for side in study.sizes]
    found += [notes.net(name, study.weights) for name in nets]
    same = None not in found and all(is_same_source(row["source"], row["where"]) for row in notes.rows)
    return notes if same else NOTHING


def note_networks(prepared, asked, starts):
    """What a study notes.

    Parameters
    ----------
    prepared : Prepared
        Of which torch has been asked.
    asked : dict of str to dict of (int or None) to list
        Of `asked_of`, by the name of the feature that was found, and the side; without the user's own.
    starts : dict of str to Weights or None
        Of `glomfeat.models.nets.find_start`, by the network.

    Returns
    -------
    dict
        Plain data, without folders; empty where there is no network of torchvision.
    """
    rows, where = [], prepared.study.weights
    for feature in {plain(one).name: plain(one) for one in prepared.features if one.is_deep}.values():
        for side, of in asked.get(feature.name, {}).items():
            reads, note = feature.reads and list(feature.reads), feature.note(side or prepared.preprocess.size)
            about = {"name": feature.name, "reads": reads, "note": note}
            rows.append(about | _row(of, of[0], of[1], feature.weights_found))
    for name, start in starts.items():
        model = start and split_mode(name).model
        if start and not model.startswith("timm:"):  # of timm's the source is not noted
            reads = start.reads if start.path else None
            rows.append({"net": name, "reads": reads} | _row([name, where], model, where, start))
    return {"software": software(), "rows": rows} if rows else {}


def _row(asked, model, where, found):
    from glomfeat.features.deep.weights import default_file

    source = note_source(where, found, default_file(model))
    return {"asked": asked, "where": where, "weights": found.said, "source": source}


def is_finished(prepared, journal):
    """Whether a journal is of the same study, and there is nothing left to do."""
    there = journal.header()
    if there is None or differences(there, prepared.identity):
        return False
    return find_aside(prepared, journal, lambda line: None) is not None  # who compares says what is left
