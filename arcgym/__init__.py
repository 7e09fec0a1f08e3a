"""Fine-tune code language models on ARC-AGI tasks by reinforcement learning on verified program execution.

Everything public can be imported from here. Names are resolved on first use, so `import arcgym` is instant and torch
is loaded only by what needs it. The import also makes `datasets.load_dataset("arcgym", "arc-agi-1")` work.
"""

import importlib
from typing import TYPE_CHECKING, Any

from arcgym import _datasets_hook

if TYPE_CHECKING:
    from arcgym.data import Pair, Task, TaskFormatter, TaskLoader
    from arcgym.evaluation import PerformanceEvaluator
    from arcgym.inference import Solver
    from arcgym.models import CodeLLM, PolicyNetwork, ValueNetwork
    from arcgym.rewards import RewardCalculator
    from arcgym.sandbox import CodeSandbox, ExecutionResult
    from arcgym.training import PPOConfig, PPOTrainer

__all__ = [
    "CodeLLM",
    "CodeSandbox",
    "ExecutionResult",
    "PPOConfig",
    "PPOTrainer",
    "Pair",
    "PerformanceEvaluator",
    "PolicyNetwork",
    "RewardCalculator",
    "Solver",
    "Task",
    "TaskFormatter",
    "TaskLoader",
    "ValueNetwork",
]

_MODULES = {
    "CodeLLM": "arcgym.models",
    "CodeSandbox": "arcgym.sandbox",
    "ExecutionResult": "arcgym.sandbox",
    "PPOConfig": "arcgym.training",
    "PPOTrainer": "arcgym.training",
    "Pair": "arcgym.data",
    "PerformanceEvaluator": "arcgym.evaluation",
    "PolicyNetwork": "arcgym.models",
    "RewardCalculator": "arcgym.rewards",
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
