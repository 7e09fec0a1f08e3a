"""Rewards: programs run once in the sandbox, judged by the caller, paid for what cannot be hard-coded.

`RewardCalculator` is the reward function that trainers take. `arcgym.rewards.scoring` says what is paid for and how
much, `arcgym.rewards.shortcuts` what is no solution though it passes, `arcgym.rewards.normalization` how rewards are
scaled by task, and `load_reward_functions` finds other reward functions by their dotted path.
"""

from arcgym.rewards.calculator import RewardCalculator
from arcgym.rewards.config import RewardConfig
from arcgym.rewards.execution import run_programs
from arcgym.rewards.functions import load_reward_functions
from arcgym.rewards.normalization import RewardNormalizer
from arcgym.rewards.scoring import (
    NO_PROGRAM,
    PairVerdict,
    RewardParts,
    Verdict,
    pass_rate,
    score_program,
    smallest_step,
)
from arcgym.rewards.shortcuts import Shortcut

__all__ = [
    "NO_PROGRAM",
    "PairVerdict",
    "RewardCalculator",
    "RewardConfig",
    "RewardNormalizer",
    "RewardParts",
    "Shortcut",
    "Verdict",
    "load_reward_functions",
    "pass_rate",
    "run_programs",
    "score_program",
    "smallest_step",
]
