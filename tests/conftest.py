"""Shared settings of the test suite: offline, quiet, one thread per test process."""

import os

for name, value in {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
    "CUDA_VISIBLE_DEVICES": os.environ.get("CUDA_VISIBLE_DEVICES", ""),
}.items():
    os.environ.setdefault(name, value)

from hypothesis import settings  # noqa: E402  # after the environment is set

# Machines are noisy: no test asserts a time, Hypothesis's own deadline included.
settings.register_profile("arcgym", deadline=None)
settings.load_profile("arcgym")
