"""Take one optimizer step on given batches in one of several processes and report what came of it; run by its test."""

import hashlib
import json
import os
import sys
from pathlib import Path

import torch
from ppo_toy import WORDS, share_of_a, toy_prompts

from arcgym.training import PPOConfig, PPOTrainer

ROWS = 4


def make_batch(trainer, spec, rank):
    """A batch as a rollout leaves it, of this process alone: random tokens, padding, advantages and returns."""
    draw = torch.Generator().manual_seed(spec["seed"] + 1000 * rank)
    prompt, completion, group = spec["prompt"], spec["completion"], spec["group"]

    def masked(width):
        lengths = torch.randint(1, width + 1, (ROWS, 1), generator=draw)
        return (torch.arange(width) < lengths).long()

    prompts = torch.randint(3, len(WORDS), (ROWS // group, prompt), generator=draw).repeat_interleave(group, 0)
    prompt_mask = masked(prompt).flip(1)[::group].repeat_interleave(group, 0)
    mask = masked(completion)
    batch = {
        "prompt_ids": prompts * prompt_mask,
        "prompt_mask": prompt_mask,
        "completion_ids": torch.randint(3, len(WORDS), (ROWS, completion), generator=draw) * mask,
        "completion_mask": mask,
        "advantages": torch.randn(ROWS, completion, generator=draw) * mask,
        "returns": torch.randn(ROWS, completion, generator=draw) * mask,
        "value_mask": mask,
        "num_items_in_batch": mask.sum(),
    }
    trainer.model.train()
    batch["old_per_token_logps"], batch["old_values"] = trainer._evaluate_policy(batch)
    return batch


def update(policy, folder, spec):
    args = PPOConfig(
        output_dir=str(folder / "run"),
        per_device_train_batch_size=ROWS,
        num_ppo_epochs=1,
        max_steps=1,
        max_completion_length=8,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        optim="sgd",
        vf_coef=0.5,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to="none",
        save_strategy="no",
        disable_tqdm=True,
    )
    trainer = PPOTrainer(policy, share_of_a, args, train_dataset=toy_prompts())
    batch = make_batch(trainer, spec, trainer.accelerator.process_index)
    trainer._generate_and_score_completions = lambda inputs: batch
    before = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    losses = []

    def loss():
        trainer.current_gradient_accumulation_steps = 1
        with torch.no_grad():
            own = trainer._compute_loss(trainer.model, batch)
        return trainer.accelerator.gather(own).mean().item()  # what the averaged gradient descends

    losses.append(loss())
    trainer.train()
    losses.append(loss())
    after = dict(trainer.model.named_parameters())
    moved = [name for name in before if not torch.equal(before[name], after[name])]
    hashes = {name: hashlib.sha256(p.detach().numpy().tobytes()).hexdigest() for name, p in after.items()}
    return {"losses": losses, "moved": moved, "weights": hashes}


def main(policy, folder, specs):
    reports = [update(policy, folder, spec) for spec in specs]
    (folder / f"rank{torch.distributed.get_rank()}.json").write_text(json.dumps(reports))
    torch.distributed.barrier()
    torch.distributed.destroy_process_group()
    # Torch's threads and the interpreter's end race on a busy machine: "terminate called without an active exception"
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), json.loads(sys.argv[3]))
