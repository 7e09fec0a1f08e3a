"""Measuring a policy: per-task records, the official scores, pass@k, and an interval around each claim."""

from arcgym.evaluation.evaluator import EvaluationReport, PerformanceEvaluator, TaskRecord, dataset_hash
from arcgym.evaluation.scoring import OfficialScores, official_scores, pass_at_k, wilson_interval

__all__ = [
    "EvaluationReport",
    "OfficialScores",
    "PerformanceEvaluator",
    "TaskRecord",
    "dataset_hash",
    "official_scores",
    "pass_at_k",
    "wilson_interval",
]
