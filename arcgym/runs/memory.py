"""What to say when memory runs out: which settings to change, in the order in which they cost least."""

# Setting, what to do with it, and what it costs
_KNOBS = (
    ("per_device_train_batch_size", "halve it and double `gradient_accumulation_steps`: the same updates, slower"),
    ("gradient_checkpointing", "true: activations are computed again, a third more time per update"),
    ("bf16", "true, with `dtype: bfloat16`: half the memory of weights and activations"),
    ("share_prompts", "true: one copy of each prompt instead of `num_generations`"),
    ("max_prompt_tokens, max_completion_length", "lower them: tasks with long prompts are left out"),
    ("use_peft", "true: gradients and optimizer state of an adapter only"),
    ("load_in_4bit", "true, with `use_peft`: an eighth of the memory of float32 weights"),
    ("accelerate_configs/fsdp2.yaml", "launch with it: several GPUs share the weights; see docs/scaling.md"),
)


def explain_out_of_memory(exc: BaseException) -> str:
    """Return what a user can do about it: the settings to change, cheapest first."""
    first = next(iter(str(exc).splitlines()), type(exc).__name__)
    knobs = "\n".join(f"  {number}. {name}: {what}" for number, (name, what) in enumerate(_KNOBS, start=1))
    return (
        f"Memory ran out ({first})\nChange these settings, in this order, until it fits; `--dry_run true` tries the "
        f"longest prompts and reports the peak:\n{knobs}"
    )
