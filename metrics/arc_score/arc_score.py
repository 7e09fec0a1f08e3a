"""ARC score as a module of the library `evaluate`: the three official conventions in one call, offline.

score = evaluate.load("metrics/arc_score")
score.compute(predictions=attempts, references=test_outputs)
"""

import datasets
import evaluate
import numpy as np

from arcgym.evaluation.scoring import official_scores
from arcgym.grids import grid_problems, grids_equal

_DESCRIPTION = """
The share of ARC tasks that are solved, in the three ways in which results are published. Two attempts per test input
count, further ones do not; an attempt is right when its size and every cell are.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: per task, per test input, the attempts, best first: grids as lists of rows of integers. An empty list
        is a test input without an answer.
    references: per task, per test input, the right grid.

Returns:
    kaggle: mean over test outputs.
    arc_prize: mean over tasks of the share of their test outputs.
    solved: share of tasks with every test output right.

Examples:
    >>> score = evaluate.load("metrics/arc_score")
    >>> score.compute(
    ...     predictions=[[[[[1]], [[2]]], [[[3]]]], [[[[5]]]]],
    ...     references=[[[[2]], [[4]]], [[[5]]]],
    ... )
    {'kaggle': 0.6666666666666666, 'arc_prize': 0.75, 'solved': 0.5}
"""

_CITATION = """
@article{chollet2019measure,
  title={On the Measure of Intelligence},
  author={Chollet, Fran\\c{c}ois},
  journal={arXiv preprint arXiv:1911.01547},
  year={2019}
}
"""

_NUM_ATTEMPTS = 2


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class ArcScore(evaluate.Metric):
    """The three official scores of ARC."""

    def _info(self):
        grid = datasets.List(datasets.List(datasets.Value("int32")))
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.List(datasets.List(grid)), "references": datasets.List(grid)}
            ),
            reference_urls=["https://github.com/fchollet/ARC-AGI"],
        )

    def _compute(self, predictions, references):
        scores = official_scores([_verdicts(*task) for task in zip(predictions, references, strict=True)])
        return scores._asdict()


def _verdicts(attempts, truths):
    if len(attempts) != len(truths):
        raise ValueError(
            f"a task has {len(truths)} test outputs, but attempts for {len(attempts)}; give a list for each, [] for "
            "a test input without an answer"
        )
    return [
        any(_is_right(grid, truth) for grid in tries[:_NUM_ATTEMPTS])
        for tries, truth in zip(attempts, truths, strict=True)
    ]


def _is_right(grid, truth):
    return not grid_problems(grid) and grids_equal(np.array(grid), np.array(truth))
