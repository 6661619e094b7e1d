"""The main job: from options to folds, trials, tables and models, on one machine or on a cluster.

Options become a study that is known to be possible (`prepare`). Its trials are planned within the memory budget
(`survey`, `plans`, `forecast`), run and journaled (`tasks`, `trial`, `run`), and written (`compare`). `api` does the
same from Python. This room knows all others, and none of them knows it.
"""
