"""From tasks to answers: sampling programs, running them, and voting on what they say."""

from arcgym.inference.solver import Solver, TaskSolution
from arcgym.inference.voting import Candidate, choose_attempts, rank_candidates
from arcgym.models.sampling import SamplingConfig

__all__ = ["Candidate", "SamplingConfig", "Solver", "TaskSolution", "choose_attempts", "rank_candidates"]
