"""Parts of the self-play loop that need no model: which programs to train on, and tasks made from wrong ones.

`choose` picks a training set out of what was sampled, `DiversityTracker` watches what is sampled, and `Relabeller`
turns a wrong program into a correct task.
"""

from arcgym.selfplay.diversity import (
    Choice,
    DiversityTracker,
    RoundDiversity,
    choose,
    choose_diverse,
    correct_only,
    greedy,
    measure_diversity,
    uniform,
)
from arcgym.selfplay.relabelling import Refusal, Relabeller, find_refusal, relabel

__all__ = [
    "Choice",
    "DiversityTracker",
    "Refusal",
    "Relabeller",
    "RoundDiversity",
    "choose",
    "choose_diverse",
    "correct_only",
    "find_refusal",
    "greedy",
    "measure_diversity",
    "relabel",
    "uniform",
]
