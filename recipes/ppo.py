"""Fine-tune a code language model on ARC-AGI tasks by PPO; the reward is what its programs do in the sandbox.

    accelerate launch --quiet recipes/ppo.py --config recipes/configs/ppo_quickstart.yaml
    accelerate launch --quiet recipes/ppo.py --config recipes/configs/ppo_quickstart.yaml --model_name_or_path my/model

Every setting of the YAML file can be given on the command line; `--help` lists all of them. `--dry_run true` checks
everything, shows the batch arithmetic, one prompt, one program with its verdict, and takes one training step.
"""

import logging
import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which trl imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from trl import get_peft_config

from arcgym.rewards import RewardCalculator
from arcgym.runs.job import Job
from arcgym.runs.parsing import run_recipe
from arcgym.training import PPOConfig, PPOTrainer


def main() -> None:
    """Load, evaluate, train, evaluate again, save."""
    job = Job(PPOConfig, description=__doc__)
    with job.settings.sandbox.open() as sandbox:
        policy = job.load_policy()
        trainer = PPOTrainer(
            model=policy.model,
            reward_funcs=[RewardCalculator(sandbox, job.settings.rewards), *job.extra_rewards],
            args=job.training,
            train_dataset=job.train_dataset,
            eval_dataset=job.eval_dataset,
            processing_class=job.tokenizer,
            callbacks=job.callbacks(),
            peft_config=get_peft_config(job.settings.model),
        )
        job.start(trainer, sandbox)
        if job.settings.tasks.dry_run:
            job.try_out()
            return

        before = job.evaluate("before")
        job.train()
        after = job.evaluate("after")
        job.finish(before, after)


if __name__ == "__main__":
    run_recipe(main)
