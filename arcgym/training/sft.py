"""Supervised fine-tuning on programs: from tasks and programs to the token ids that `trl.SFTTrainer` learns from.

The two halves of a sample are tokenised apart, the prompt as sampling tokenises it and the program as sampling would
have had to write it, end token included. Text that is tokenised as a whole may merge tokens across the border, and a
policy would then be trained on sequences that it can neither see nor write. The loss is on the program alone.

Tasks are learned in proportion to how many programs of each are known, which favours what the policy can do already.
`priority_copies` shifts that towards tasks that it solves rarely.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from datasets import Dataset
from transformers import PreTrainedTokenizerBase

from arcgym.data.formatting import Prompt

IGNORED = -100


class Sample(NamedTuple):
    """A program to be learned.

    Attributes:
        task_id: Name of its task.
        prompt: As the policy will be asked: text or messages.
        program: The source.
        kind: Where it comes from, for counting: `solved`, `relabelled`, `synthetic`, ….
    """

    task_id: str
    prompt: Prompt
    program: str
    kind: str = "solved"


class SampleSet(NamedTuple):
    """What a trainer is given, and what was left out.

    Attributes:
        dataset: Columns `input_ids` and `labels`, in the order of the samples.
        too_long: Samples that were left out, since they have more tokens than was allowed.
    """

    dataset: Dataset
    too_long: int


def encode_prompt(tokenizer: PreTrainedTokenizerBase, prompt: Prompt) -> list[int]:
    """Tokenise a prompt as sampling and TRL's online trainers do.

    Args:
        tokenizer: The policy's.
        prompt: Text or messages.
    """
    encoded: Any = (
        tokenizer(prompt)
        if isinstance(prompt, str)
        else tokenizer.apply_chat_template(prompt, add_generation_prompt=True, tokenize=True, return_dict=True)
    )
    return list(encoded["input_ids"])


def encode_program(tokenizer: PreTrainedTokenizerBase, program: str, *, is_chat: bool) -> list[int]:
    """Tokenise a program as a policy would have to write it: in a code block in a chat, bare otherwise, then the end.

    Args:
        tokenizer: The policy's, with an end token.
        program: The source.
        is_chat: Whether the prompt is a list of messages.
    """
    source = program.rstrip("\n") + "\n"
    text = f"```python\n{source}```" if is_chat else source
    ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    return [*ids, tokenizer.eos_token_id]


def build_dataset(
    samples: Sequence[Sample],
    tokenizer: PreTrainedTokenizerBase,
    *,
    max_length: int | None = None,
    learn_prompts: bool = False,
) -> SampleSet:
    """Tokenise samples.

    Args:
        samples: Any number.
        tokenizer: The policy's.
        max_length: Longest sample, in tokens. Longer ones are left out, for one that is cut has no end to learn.
        learn_prompts: Put the loss on the prompts too.
    """
    columns: dict[str, list[list[int]]] = {"input_ids": [], "labels": []}
    prompts: dict[str, list[int]] = {}
    for sample in samples:
        key = repr(sample.prompt)
        if key not in prompts:
            prompts[key] = encode_prompt(tokenizer, sample.prompt)
        prompt = prompts[key]
        program = encode_program(tokenizer, sample.program, is_chat=not isinstance(sample.prompt, str))
        if max_length is not None and len(prompt) + len(program) > max_length:
            continue
        columns["input_ids"].append(prompt + program)
        columns["labels"].append((prompt if learn_prompts else [IGNORED] * len(prompt)) + program)
    return SampleSet(Dataset.from_dict(columns), len(samples) - len(columns["input_ids"]))


def priority_copies(known: Mapping[str, int], rates: Mapping[str, float], priority: float) -> dict[str, int]:
    """Say how many samples each task gets, so that tasks that are solved rarely weigh more.

    A task with n known programs that a share p of the tries solves gets a part of all samples in proportion to
    n · p^(-priority), at least one and, in all, as many samples as there are programs, up to rounding.

    Args:
        known: Per task the number n of its programs, 1 or more.
        rates: Per task the share p, above 0.
        priority: From 0, where each program is one sample, up.

    Raises:
        ValueError: A number is out of its range.

    Reference:
        Schaul et al., Prioritized experience replay (2016), equation 1, with 1 / p as the priority.
    """
    if priority < 0:
        raise ValueError(f"priority is {priority}; give 0 or more")
    for task, count in known.items():
        if count < 1 or not rates[task] > 0:
            raise ValueError(f"task {task!r} has {count} programs and a rate of {rates[task]}; give 1 up, and above 0")
    weights = {task: count * rates[task] ** -priority for task, count in known.items()}
    scale = sum(known.values()) / sum(weights.values()) if weights else 0.0
    return {task: max(1, round(weight * scale)) for task, weight in weights.items()}
