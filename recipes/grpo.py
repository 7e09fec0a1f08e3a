"""Fine-tune a code language model on ARC-AGI tasks by GRPO, with TRL's own trainer: a baseline for `recipes/ppo.py`.

    accelerate launch --quiet recipes/grpo.py --config recipes/configs/grpo_quickstart.yaml
    accelerate launch --quiet recipes/grpo.py --config recipes/configs/grpo_quickstart.yaml --scale_rewards none

Tasks, rewards, evaluations and run directory are those of `recipes/ppo.py`, and so are the settings, but for the
trainer's: `trl.GRPOConfig`. Advantages come from a group of programs for the same task instead of a critic.
"""

import logging
import os

os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
# bitsandbytes, which trl imports, warns of optional kernels whether it is used or not
logging.getLogger("bitsandbytes").setLevel(logging.ERROR)

from trl import GRPOConfig, GRPOTrainer, get_peft_config

from arcgym.rewards import RewardCalculator
from arcgym.runs.job import Job
from arcgym.runs.parsing import run_recipe


def main() -> None:
    """Load, evaluate, train, evaluate again, save."""
    job = Job(GRPOConfig, description=__doc__)
    with job.settings.sandbox.open() as sandbox:
        policy = job.load_policy()
        trainer = GRPOTrainer(
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
