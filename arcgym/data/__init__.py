"""Tasks: what they are, where they come from, how they are shown to a policy, and as Hugging Face datasets."""

from arcgym.data.formatting import DroppedTask, FormattedPrompt, PromptDataset, TaskFormatter
from arcgym.data.loader import TaskLoader
from arcgym.data.tasks import Pair, Task, task_problems

__all__ = [
    "DroppedTask",
    "FormattedPrompt",
    "Pair",
    "PromptDataset",
    "Task",
    "TaskFormatter",
    "TaskLoader",
    "task_problems",
]
