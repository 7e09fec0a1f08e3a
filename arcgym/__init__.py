"""Fine-tune code language models on ARC-AGI tasks by reinforcement learning on verified program execution.

Everything public can be imported from here. Names are resolved on first use, so `import arcgym` is instant and torch
is loaded only by what needs it. The import also makes `datasets.load_dataset("arcgym", "arc-agi-1")` work.
"""

import importlib
from typing import TYPE_CHECKING, Any

from arcgym import _datasets_hook

if TYPE_CHECKING:
    from arcgym.data import Pair, Task, TaskFormatter, TaskLoader
    from arcgym.data.difficulty import DifficultyAnalyzer
    from arcgym.evaluation import PerformanceEvaluator
    from arcgym.inference import Solver
    from arcgym.models import CodeLLM, PolicyNetwork, ValueNetwork
    from arcgym.rewards import RewardCalculator
    from arcgym.sandbox import CodeSandbox, ExecutionResult
    from arcgym.solutions import SolutionDatabase
    from arcgym.training import (
        AdvantageEstimator,
        CheckpointManager,
        CollapseMonitor,
        CurriculumScheduler,
        MetricsTracker,
        PPOConfig,
        PPOTrainer,
        ReplayBuffer,
    )

__all__ = [
    "AdvantageEstimator",
    "CheckpointManager",
    "CodeLLM",
    "CodeSandbox",
    "CollapseMonitor",
    "CurriculumScheduler",
    "DifficultyAnalyzer",
    "ExecutionResult",
    "MetricsTracker",
    "PPOConfig",
    "PPOTrainer",
    "Pair",
    "PerformanceEvaluator",
    "PolicyNetwork",
    "ReplayBuffer",
    "RewardCalculator",
    "SolutionDatabase",
    "Solver",
    "Task",
    "TaskFormatter",
    "TaskLoader",
    "ValueNetwork",
]

_MODULES = {
    "AdvantageEstimator": "arcgym.training",
    "CheckpointManager": "arcgym.training",
    "CodeLLM": "arcgym.models",
    "CodeSandbox": "arcgym.sandbox",
    "CollapseMonitor": "arcgym.training",
    "CurriculumScheduler": "arcgym.training",
    "DifficultyAnalyzer": "arcgym.data.difficulty",
    "ExecutionResult": "arcgym.sandbox",
    "MetricsTracker": "arcgym.training",
    "PPOConfig": "arcgym.training",
    "PPOTrainer": "arcgym.training",
    "Pair": "arcgym.data",
    "PerformanceEvaluator": "arcgym.evaluation",
    "PolicyNetwork": "arcgym.models",
    "ReplayBuffer": "arcgym.training",
    "RewardCalculator": "arcgym.rewards",
    "SolutionDatabase": "arcgym.solutions",
    "Solver": "arcgym.inference",
    "Task": "arcgym.data",
    "TaskFormatter": "arcgym.data",
    "TaskLoader": "arcgym.data",
    "ValueNetwork": "arcgym.models",
}

_datasets_hook.install()


def __getattr__(name: str) -> Any:
    if name in _MODULES:
        value = getattr(importlib.import_module(_MODULES[name]), name)
    elif name == "__version__":
        from importlib.metadata import version

        value = version("arcgym")
    else:
        raise AttributeError(f"module 'arcgym' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, "__version__"})
