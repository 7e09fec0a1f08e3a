"""Keeps what was found: programs for tasks with their verdicts and origins, each once, ranked, shared by writers.

`SolutionDatabase` stores and retrieves `Solution`s; `rank` sorts them by the same key in Python; `import_programs`
verifies the programs of others in the sandbox; `export_dataset`, `export_jsonl` and `export_parquet` hand them on.
"""

from arcgym.solutions.database import Generality, SolutionDatabase, SolutionFilter, TaskCount
from arcgym.solutions.exchange import (
    ImportReport,
    export_dataset,
    export_jsonl,
    export_parquet,
    import_programs,
)
from arcgym.solutions.generality import measure_generality
from arcgym.solutions.ranking import quality_key, rank
from arcgym.solutions.records import PairVerdict, Solution, judge_pairs, task_inputs

__all__ = [
    "Generality",
    "ImportReport",
    "PairVerdict",
    "Solution",
    "SolutionDatabase",
    "SolutionFilter",
    "TaskCount",
    "export_dataset",
    "export_jsonl",
    "export_parquet",
    "import_programs",
    "judge_pairs",
    "measure_generality",
    "quality_key",
    "rank",
    "task_inputs",
]
