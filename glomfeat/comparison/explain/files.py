"""Names of the files that explain a finished study; light to import, for checks of whether they are there."""

EXPLAINED = ("neighbours.csv", "importance.csv")
