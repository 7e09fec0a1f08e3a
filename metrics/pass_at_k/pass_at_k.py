"""Unbiased pass@k as a module of the library `evaluate`, from counts; nothing is executed, and it works offline.

pass_at_k = evaluate.load("metrics/pass_at_k")
pass_at_k.compute(predictions=num_correct, references=num_samples, k=[1, 10])
"""

import datasets
import evaluate

from arcgym.evaluation.scoring import pass_at_k

_DESCRIPTION = """
The probability that at least one of k programs is right, estimated without bias from n samples of which c are right:
1 − C(n−c, k) / C(n, k), in log space, so that it holds for any n. The mean is over tasks.
"""

_KWARGS_DESCRIPTION = """
Args:
    predictions: per task, the number of samples that are right.
    references: per task, the number of samples.
    k: numbers of programs, each 1 or more; by default 1.

Returns:
    pass@k for each k; NaN where a task has fewer than k samples, which estimate nothing.

Examples:
    >>> pass_at_k = evaluate.load("metrics/pass_at_k")
    >>> pass_at_k.compute(predictions=[1, 0], references=[2, 2], k=[1, 2])
    {'pass@1': 0.25, 'pass@2': 0.5}
"""

_CITATION = """
@article{chen2021evaluating,
  title={Evaluating Large Language Models Trained on Code},
  author={Chen, Mark and others},
  journal={arXiv preprint arXiv:2107.03374},
  year={2021}
}
"""


@evaluate.utils.file_utils.add_start_docstrings(_DESCRIPTION, _KWARGS_DESCRIPTION)
class PassAtK(evaluate.Metric):
    """The mean of the unbiased estimate of pass@k over tasks."""

    def _info(self):
        return evaluate.MetricInfo(
            description=_DESCRIPTION,
            citation=_CITATION,
            inputs_description=_KWARGS_DESCRIPTION,
            features=datasets.Features(
                {"predictions": datasets.Value("int64"), "references": datasets.Value("int64")}
            ),
            reference_urls=["https://arxiv.org/abs/2107.03374"],
        )

    def _compute(self, predictions, references, k=(1,)):
        counts = list(zip(references, predictions, strict=True))
        return {f"pass@{number}": sum(pass_at_k(n, c, number) for n, c in counts) / len(counts) for number in k}
