"""Fine-tune a code language model on the right programs of a solution database, with TRL's `SFTTrainer`.

    accelerate launch --quiet recipes/sft.py --config recipes/configs/sft_tiny.yaml --solutions solutions.sqlite

Programs are learned for the tasks of `train_tasks`, with the prompts that they are sampled with; `arcgym solutions`
shows what a database holds, and imports programs of others. What comes out is a policy for `recipes/ppo.py`,
`recipes/solve.py` and `recipes/evaluate.py`. `--dry_run true` checks everything, shows one sample, and takes a step.
"""

import logging
import os
from collections import Counter
from dataclasses import dataclass, field

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which trl imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from trl import ModelConfig, SFTConfig

from arcgym.errors import ConfigError
from arcgym.runs.arguments import ModelArguments, SandboxArguments, TaskArguments
from arcgym.runs.finetuning import CommonSettings, FinetuningJob, GlanceArguments
from arcgym.runs.hub import HubArguments
from arcgym.runs.parsing import parse_config, run_recipe
from arcgym.runs.selfplay_choice import ChoiceArguments, relabelled_samples, solved_rates, solved_samples
from arcgym.solutions import SolutionDatabase
from arcgym.training.sft import Sample

COMMON = (TaskArguments, GlanceArguments, SandboxArguments, ModelConfig, ModelArguments, HubArguments, SFTConfig)


@dataclass
class SFTArguments:
    """What is learned, beside how it is chosen."""

    solutions: str = field(metadata={"help": "Database of programs: an SQLite file, or postgresql://…."})
    max_relabelled: int = field(
        default=0,
        metadata={"help": "Programs to learn, at most, for the tasks that self-play has made of their outputs."},
    )


def load_samples(job: FinetuningJob, args: SFTArguments, choice: ChoiceArguments) -> list[Sample]:
    """Choose the programs for the training tasks."""
    prompts = job.prompts(job.tasks.train)
    with SolutionDatabase(args.solutions, create=False) as database:
        samples = solved_samples(database, prompts, choice, solved_rates(database, list(prompts)))
        samples += relabelled_samples(database, job.tasks.train, job.formatter, args.max_relabelled)
    if not samples:
        raise ConfigError(
            f"{args.solutions} holds no right program for any of the {len(job.tasks.train)} tasks of `train_tasks`. "
            "`arcgym solutions stats` shows for which tasks it does."
        )
    return samples


def main() -> None:
    """Load, evaluate, train, evaluate again, save."""
    args, choice, *common = parse_config([SFTArguments, ChoiceArguments, *COMMON], description=__doc__)
    job = FinetuningJob(CommonSettings(*common), args, choice)
    samples = load_samples(job, args, choice)
    counts = ", ".join(f"{count} {kind}" for kind, count in Counter(sample.kind for sample in samples).items())
    tasks = len({sample.task_id for sample in samples})
    job.console.print(f"Learning from  {len(samples)} programs ({counts}) for {tasks} tasks")
    with job.sandbox() as sandbox:
        policy = job.load_policy()
        if job.settings.tasks.dry_run:
            job.console.print(samples[0].prompt, samples[0].program, markup=False)
            job.train(policy, samples)
            return
        before = job.evaluate(policy, sandbox, "before")
        trained = job.train(policy, samples)
        after = job.evaluate(policy, sandbox, "after")
    job.finish(before, after, programs=0, seconds=trained.seconds, further=trained._asdict())


if __name__ == "__main__":
    run_recipe(main)
