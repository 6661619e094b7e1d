"""The main job: from options to folds, trials, tables and models, on one machine or on a cluster.

Options become a study that is known to be possible (`prepare`), its trials are planned within the memory budget
(`survey`, `plans`, `forecast`), run and journaled (`tasks`, `trial`, `run`), and written (`compare`). `api` is the same
from Python. The only room that knows all others; no other knows it.
"""
