"""The files that explain a finished study; light to import, for who only asks whether they are there."""

EXPLAINED = ("neighbours.csv", "importance.csv")
