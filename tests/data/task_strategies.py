"""Hypothesis strategies for grids, pairs and tasks."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from arcgym.data import Pair, Task
from arcgym.grids import as_grid


def grids(max_side=30):
    shapes = st.tuples(st.integers(1, max_side), st.integers(1, max_side))
    return npst.arrays(np.int8, shapes, elements=st.integers(0, 9)).map(as_grid)


def tasks(max_side=5, secret_tests=True, task_ids=None):
    outputs = grids(max_side) | st.none() if secret_tests else grids(max_side)
    return st.builds(
        Task,
        task_id=task_ids or st.text("0123456789abcdef", min_size=8, max_size=8),
        train=st.lists(st.builds(Pair, grids(max_side), grids(max_side)), min_size=1, max_size=4).map(tuple),
        test=st.lists(st.builds(Pair, grids(max_side), outputs), min_size=1, max_size=3).map(tuple),
        source=st.sampled_from(["", "here"]),
    )
