"""Measuring a policy: per-task records, the official scores, pass@k, and an interval around each claim."""

from arcgym.evaluation.aggregates import aggregate, break_down
from arcgym.evaluation.evaluator import PerformanceEvaluator, remove_journal, score_solution
from arcgym.evaluation.records import EvaluationReport, TaskRecord, dataset_hash
from arcgym.evaluation.scoring import OfficialScores, official_scores, pass_at_k, wilson_interval
from arcgym.evaluation.submission import build_submission, score_submission, validate_submission, write_submission

__all__ = [
    "EvaluationReport",
    "OfficialScores",
    "PerformanceEvaluator",
    "TaskRecord",
    "aggregate",
    "break_down",
    "build_submission",
    "dataset_hash",
    "official_scores",
    "pass_at_k",
    "remove_journal",
    "score_solution",
    "score_submission",
    "validate_submission",
    "wilson_interval",
    "write_submission",
]
