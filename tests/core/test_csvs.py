"""Numbers are read from CSV files exactly as they were written, with every pandas that is allowed."""

import numpy as np

from glomfeat.core.csvs import read_csv
from glomfeat.data.tables.delimited import look_at, read_text


def test_numbers_come_back_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    numbers = np.concatenate([rng.random(2000), rng.normal(size=2000) * 10.0 ** rng.integers(-300, 300, 2000)])
    path = tmp_path / "table.csv"
    path.write_text("name,x\n" + "".join(f"'=a{row},{x!r}\n" for row, x in enumerate(numbers.tolist())))
    ours, given = read_csv(path), read_text(path, look_at(path))
    assert np.array_equal(ours["x"], numbers) and np.array_equal(given["x"], numbers)
    assert ours["name"][1] == "=a1" and given["name"][1] == "'=a1"
