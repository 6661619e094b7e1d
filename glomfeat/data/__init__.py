"""Which images there are, of which class, case and slide, and how cases are dealt to folds.

Reads folders, archives, tables, slides and embeddings as people bring them; whatever is left out is said. Knows neither
features nor models.
"""
