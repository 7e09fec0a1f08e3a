"""All settings of a training recipe, by what they are for."""

from typing import Generic, NamedTuple, TypeVar, cast

from transformers.hf_argparser import DataClassType
from trl.trainer.grpo_config import GRPOConfig
from trl.trainer.model_config import ModelConfig
from trl.trainer.rloo_config import RLOOConfig

from arcgym.rewards import RewardConfig
from arcgym.runs.arguments import EvaluationArguments, ModelArguments, RewardArguments, SandboxArguments, TaskArguments
from arcgym.runs.hub import HubArguments
from arcgym.runs.parsing import parse_config
from arcgym.training.collapse import CollapseConfig
from arcgym.training.curriculum import CurriculumConfig

Config = TypeVar("Config", bound=GRPOConfig | RLOOConfig)


class Settings(NamedTuple, Generic[Config]):
    """One dataclass for each purpose; together they are what `--help` lists and `config.yaml` holds."""

    tasks: TaskArguments
    curriculum: CurriculumConfig
    evaluation: EvaluationArguments
    sandbox: SandboxArguments
    rewards: RewardConfig
    extra_rewards: RewardArguments
    model: ModelConfig
    freezing: ModelArguments
    collapse: CollapseConfig
    hub: HubArguments
    training: Config


def parse_settings(config_type: type[Config], description: str | None) -> Settings[Config]:
    """Read a recipe's settings from its command line.

    Args:
        config_type: The trainer's config.
        description: First paragraph of `--help`.

    Raises:
        ConfigError: A setting is wrong or unknown.
    """
    types = (
        TaskArguments,
        CurriculumConfig,
        EvaluationArguments,
        SandboxArguments,
        RewardConfig,
        RewardArguments,
        ModelConfig,
        ModelArguments,
        CollapseConfig,
        HubArguments,
        config_type,
    )
    return Settings(*parse_config([cast(DataClassType, kind) for kind in types], description=description))
