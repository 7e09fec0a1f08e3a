"""From tasks to answers: sampling programs, running them, and voting on what they say."""

from arcgym.inference.backends import Backend, ContinuousBackend, RolloutBackend, ServerBackend
from arcgym.inference.config import SearchConfig, SolveArguments, Stage
from arcgym.inference.journal import ProgramJournal
from arcgym.inference.search import TaskSolution, with_fallback
from arcgym.inference.solver import Progress, Solver
from arcgym.inference.voting import Candidate, choose_attempts, rank_candidates
from arcgym.models.sampling import SamplingConfig

__all__ = [
    "Backend",
    "Candidate",
    "ContinuousBackend",
    "ProgramJournal",
    "Progress",
    "RolloutBackend",
    "SamplingConfig",
    "SearchConfig",
    "ServerBackend",
    "SolveArguments",
    "Solver",
    "Stage",
    "TaskSolution",
    "choose_attempts",
    "rank_candidates",
    "with_fallback",
]
