"""Training: PPO on TRL's maintained online trainer, and the maths behind it as pure functions.

`PPOTrainer` is `trl.GRPOTrainer` with a critic; `PPOConfig` keeps the names of the PPO that TRL removed. Names are
resolved on first use, so that the pure functions cost an import of torch and not one of TRL.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arcgym.models.value import ValueHead, ValueNetwork
    from arcgym.training.advantages import AdvantageEstimator, gae
    from arcgym.training.checkpoints import CheckpointManager
    from arcgym.training.collapse import CollapseConfig, CollapseMonitor, train_with_rollback
    from arcgym.training.curriculum import CurriculumScheduler
    from arcgym.training.losses import explained_variance, value_loss
    from arcgym.training.metrics import MetricsTracker
    from arcgym.training.ppo_config import PPOConfig
    from arcgym.training.ppo_trainer import PPOTrainer
    from arcgym.training.replay import ReplayBuffer

_HOMES = {
    "AdvantageEstimator": "arcgym.training.advantages",
    "CheckpointManager": "arcgym.training.checkpoints",
    "CollapseConfig": "arcgym.training.collapse",
    "CollapseMonitor": "arcgym.training.collapse",
    "CurriculumScheduler": "arcgym.training.curriculum",
    "MetricsTracker": "arcgym.training.metrics",
    "PPOConfig": "arcgym.training.ppo_config",
    "PPOTrainer": "arcgym.training.ppo_trainer",
    "ReplayBuffer": "arcgym.training.replay",
    "ValueHead": "arcgym.models.value",
    "ValueNetwork": "arcgym.models.value",
    "explained_variance": "arcgym.training.losses",
    "gae": "arcgym.training.advantages",
    "train_with_rollback": "arcgym.training.collapse",
    "value_loss": "arcgym.training.losses",
}

__all__ = [
    "AdvantageEstimator",
    "CheckpointManager",
    "CollapseConfig",
    "CollapseMonitor",
    "CurriculumScheduler",
    "MetricsTracker",
    "PPOConfig",
    "PPOTrainer",
    "ReplayBuffer",
    "ValueHead",
    "ValueNetwork",
    "explained_variance",
    "gae",
    "train_with_rollback",
    "value_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
