"""A bundle of bundles, which predicts the mean of its members' calibrated scores."""

from dataclasses import dataclass, replace

from glomfeat.bundle.model import Bundle, FeatureModel, stacked
from glomfeat.models.ensemble import mean_scores


@dataclass(frozen=True, repr=False)
class Ensemble(Bundle):
    """Several models that predict as one; it has no model and no reference of its own.

    Attributes
    ----------
    members : tuple of Bundle
        Each with its calibration. An image is unlike the training images if any of them says so.
    """

    members: tuple = ()

    @property
    def parts(self):
        """The members."""
        return self.members

    def with_parts(self, parts):
        """The same ensemble with other members."""
        return replace(self, members=tuple(parts))

    @property
    def _squares(self):
        return dict.fromkeys(member.preprocess for member in self.members)

    def _read(self, data):
        return {preprocess: preprocess.read(data) for preprocess in self._squares}

    def square(self, decoded):
        """As `Bundle.square`."""
        return decoded[self.preprocess]

    def _scores(self, decoded):
        squares = {preprocess: stacked([found[preprocess] for found in decoded]) for preprocess in self._squares}
        rows, scores, seen = {}, [], []
        for member in self.members:
            model, of = member.model, squares[member.preprocess]
            if isinstance(model, FeatureModel):
                key = id(model.feature), member.preprocess
                if key not in rows:
                    rows[key] = model.feature.transform(*of)
                found, reduced = model.of_rows(rows[key])
            else:
                found, reduced = model.score(*of)
            scores.append(member.calibration.apply(found))
            seen.append((reduced, *of))
        return mean_scores(scores), seen

    def _unlike(self, seen):
        told = zip(*(member._unlike(one) for member, one in zip(self.members, seen, strict=True)), strict=True)
        return [tuple(dict.fromkeys(way for ways in row for way in ways)) for row in told]


def share_features(members):
    """Let members that read the same feature share one object for it, so that it is computed once.

    Parameters
    ----------
    members : sequence of Bundle

    Returns
    -------
    tuple of Bundle
    """
    first, found = {}, []
    for member in members:
        if isinstance(member.model, FeatureModel):
            feature = first.setdefault(member.model.feature.name, member.model.feature)
            member = replace(member, model=replace(member.model, feature=feature))
        found.append(member)
    return tuple(found)
