"""Training: PPO on TRL's maintained online trainer, and the maths behind it as pure functions.

`PPOTrainer` is `trl.GRPOTrainer` with a critic; `PPOConfig` keeps the names of the PPO that TRL removed. Names are
resolved on first use, so that the pure functions cost an import of torch and not one of TRL.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from arcgym.training.advantages import AdvantageEstimator, gae
    from arcgym.training.losses import explained_variance, value_loss
    from arcgym.training.ppo_config import PPOConfig
    from arcgym.training.ppo_trainer import PPOTrainer
    from arcgym.training.replay import ReplayBuffer
    from arcgym.training.value_head import ValueHead, ValueNetwork

_HOMES = {
    "AdvantageEstimator": "advantages",
    "PPOConfig": "ppo_config",
    "PPOTrainer": "ppo_trainer",
    "ReplayBuffer": "replay",
    "ValueHead": "value_head",
    "ValueNetwork": "value_head",
    "explained_variance": "losses",
    "gae": "advantages",
    "value_loss": "losses",
}

__all__ = [
    "AdvantageEstimator",
    "PPOConfig",
    "PPOTrainer",
    "ReplayBuffer",
    "ValueHead",
    "ValueNetwork",
    "explained_variance",
    "gae",
    "value_loss",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
