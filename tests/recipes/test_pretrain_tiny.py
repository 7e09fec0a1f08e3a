"""Pretraining as its user starts it, on a few tasks."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "recipes" / "configs" / "pretrain_tiny_cpu.yaml"


@pytest.mark.slow
def test_pretraining_saves_a_model_that_transformers_loads(tmp_path):
    small = {"num_tasks": 64, "max_steps": 2, "hidden_size": 32, "num_layers": 1, "output_dir": str(tmp_path / "tiny")}
    config = tmp_path / "small.yaml"
    config.write_text(yaml.safe_dump(yaml.safe_load(CONFIG.read_text()) | small))
    done = subprocess.run(
        [sys.executable, str(ROOT / "recipes" / "pretrain_tiny.py"), "--config", str(config), "--report_to", "none"],
        env=os.environ | {"OMP_NUM_THREADS": "1", "HF_DATASETS_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "tiny")
    assert model.config.hidden_size == 32
    assert AutoTokenizer.from_pretrained(tmp_path / "tiny")("7").input_ids
    assert "data hash" in (tmp_path / "tiny" / "README.md").read_text()
