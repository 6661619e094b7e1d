"""Which images there are, of which class, case and slide, and how cases are dealt to folds.

Reads folders, archives, tables, slides and embeddings as people bring them, and says what is left out. It knows neither
features nor models.
"""
