"""Train PPO for a few steps in one of several processes and report what this one ended with; run by its test."""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from ppo_toy import share_of_a, toy_prompts

from arcgym.training import PPOConfig, PPOTrainer


def main(policy, folder):
    args = PPOConfig(
        output_dir=str(folder / "run"),
        per_device_train_batch_size=4,
        num_mini_batches=2,
        num_ppo_epochs=2,
        max_steps=8,
        max_completion_length=8,
        learning_rate=3e-3,
        kl_coef=0.001,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_steps=4,
        disable_tqdm=True,
    )
    trainer = PPOTrainer(policy, share_of_a, args, train_dataset=toy_prompts())
    rollouts = []
    generate = trainer._generate_and_score_completions

    def record(inputs):
        rollouts.append(generate(inputs))
        return rollouts[-1]

    trainer._generate_and_score_completions = record
    trainer.train()
    parameters = trainer.model.named_parameters()
    digests = {name: hashlib.sha256(p.detach().numpy().tobytes()).hexdigest() for name, p in parameters}
    last = rollouts[-1]
    report = {
        "world_size": torch.distributed.get_world_size(),
        "weights": digests,
        "critic_moved": bool(trainer.value_head.weight.any()),
        "completions": last["completion_ids"].tolist(),
        "advantages": last["advantages"][last["completion_mask"].bool()].tolist(),
    }
    (folder / f"rank{trainer.accelerator.process_index}.json").write_text(json.dumps(report))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    # Torch's threads and the interpreter's end race on a busy machine: "terminate called without an active exception"
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
