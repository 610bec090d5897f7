"""Scripts to start from. Each runs as it is on every cluster, in seconds, and shows what a job is given."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from portal.kernel.errors import noop

__all__ = ["SAMPLES", "Sample"]

_ = noop


@dataclass(frozen=True, slots=True)
class Sample:
    """A script with its name and what it is for."""

    name: str
    title: str
    """What the job is called when the form has no title yet."""
    script: str


HELLO = """#!/bin/bash
# Hello: what this job was given. 查看作业分到的资源。
echo "node    $(hostname)"
echo "cpus    ${OMP_NUM_THREADS:-1}"
echo "cards   ${CUDA_VISIBLE_DEVICES:-none}"
echo "started $(date '+%F %T')"
for second in 1 2 3 4 5; do
  echo "tick $second"
  sleep 1
done
echo done
"""

TRAINING = """#!/bin/bash
# Training: replace the loop by your own command, e.g.  python3 train.py --epochs 3
# 训练：把下面的循环换成自己的命令。任何一步出错立即停止。
set -euo pipefail
steps=60
for step in $(seq 1 "$steps"); do
  loss=$(awk -v s="$step" 'BEGIN { printf "%.4f", 2.4 * exp(-s / 18) + 0.21 }')
  echo "step $step/$steps  loss $loss"
  sleep 1
done
echo "saved checkpoint-$steps"
"""

INFERENCE = """#!/usr/bin/env python3
# Batch inference: one line of output per batch. 批量推理：每批输出一行。
import time

BATCHES, SIZE = 20, 64


def predict(batch):
    time.sleep(0.5)  # call your model here · 在这里调用模型
    return SIZE


done = 0
for batch in range(1, BATCHES + 1):
    done += predict(batch)
    print(f"batch {batch}/{BATCHES}  {done} samples", flush=True)
print("finished", flush=True)
"""

SAMPLES: Final[Mapping[str, Sample]] = MappingProxyType(
    {
        "hello": Sample(_("查看环境"), _("查看作业环境"), HELLO),
        "training": Sample(_("模型训练"), _("模型训练"), TRAINING),
        "inference": Sample(_("批量推理"), _("批量推理"), INFERENCE),
    }
)
