"""Synthetic tasks: families of programs over the primitives, and the scenes they play on."""

from arcgym.data.synthetic.families import FAMILIES
from arcgym.data.synthetic.family import Family
from arcgym.data.synthetic.generator import generate_tasks
from arcgym.data.synthetic.splits import load_split, split_seed

__all__ = ["FAMILIES", "Family", "generate_tasks", "load_split", "split_seed"]
