"""Writes tasks to disk in every layout that the loader reads, as the public sets have them."""

import json
import zipfile
from pathlib import Path
from typing import NamedTuple

from arcgym.data import Pair, Task

LAYOUTS = (
    "flat",
    "official",
    "checkout",
    "concepts",
    "kaggle",
    "kaggle without solutions",
    "lines",
    "examples",
    "zip",
)


class Written(NamedTuple):
    """The source to load, and by split the tasks that should come back, and the files with bad texts."""

    source: str
    tasks: dict[str, list[Task]]
    bad: dict[str, list[str]]


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def without_answers(task: Task) -> Task:
    return Task(task.task_id, task.train, tuple(Pair(pair.input, None) for pair in task.test))


def write_layout(folder: Path, layout: str, good: list[Task], bad: dict[str, str], cut: int) -> Written:
    """Write tasks, and texts that are none; the first `cut` of each for training where the layout has two splits.

    Args:
        folder: an empty folder.
        layout: one of `LAYOUTS`.
        good: tasks with different names.
        bad: other contents by task name.
        cut: how many of either are for training.
    """
    good = sorted(good, key=lambda task: task.task_id)
    if layout in ("kaggle", "examples"):
        good = [Task(t.task_id, t.train, tuple(Pair(p.input, p.input) for p in t.test)) for t in good]
    if layout == "kaggle without solutions":
        good = [without_answers(task) for task in good]
    names = sorted(bad)
    parts = {"train": (good[:cut], names[:cut]), "evaluation": (good[cut:], names[cut:])}
    if layout in ("flat", "concepts", "examples", "zip"):
        parts = {"train": (good, names)}
    source, files, bad_files = str(folder), {}, {}
    for split, (tasks, broken) in parts.items():
        own = {"train": "training", "evaluation": "evaluation"}[split]
        objects = {task.task_id: task.to_dict() for task in tasks}
        if layout in ("kaggle", "kaggle without solutions"):
            place, suffix = f"arc-agi_{own}_", "_challenges.json"
            answers = {i: [pair.get("output") for pair in obj["test"]] for i, obj in objects.items()}
            hidden = {i: {**obj, "test": [{"input": p["input"]} for p in obj["test"]]} for i, obj in objects.items()}
            if tasks:
                files[f"{place}challenges.json"] = json.dumps(hidden)
            if tasks and layout == "kaggle":
                files[f"{place}solutions.json"] = json.dumps(answers)
        elif layout == "lines":
            place, suffix = f"{own}_", ".jsonl"
            if tasks:
                files[f"{own}.jsonl"] = "".join(json.dumps({"task_id": i, **obj}) + "\n" for i, obj in objects.items())
        else:
            place = {"official": f"{own}/", "checkout": f"data/{own}/", "concepts": "corpus/Concept/"}.get(layout, "")
            suffix = ".json"
            if layout == "examples":
                objects = {i: obj["train"] + obj["test"] for i, obj in objects.items()}
            files |= {f"{place}{i}.json": json.dumps(obj) for i, obj in objects.items()}
        bad_files[split] = [f"{place}{name}{suffix}" for name in broken]
        files |= {f"{place}{name}{suffix}": bad[name] for name in broken}
    if layout == "examples":  # of which all but the last are demonstrations, where so many are wanted
        good = [Task(t.task_id, (*t.train, *t.test)[:-1], t.test[-1:]) for t in good]
        parts = {"train": (good, names)}
    if layout == "zip":
        with zipfile.ZipFile(folder / "all.zip", "w") as archive:
            for name, text in files.items():
                archive.writestr(f"tasks/{name}", text)
        source = f"zip://tasks::file://{folder}/all.zip"
    else:
        write(folder, files)
    present = {split: part for split, part in parts.items() if part[0] or part[1]}
    return Written(source, {s: tasks for s, (tasks, _) in present.items()}, {s: bad_files[s] for s in present})
