"""Import this once in the process that jobs are forked from (`JobRunner(preload=...)`).

The first operation on the meta device makes torch import 800 modules, sympy among them, in 1.7 s.
Done here, before the fork, a model is assembled or summarised in a few hundredths of a second.
"""

import torch
from torch import nn

import agents.ml.assembler.jobs  # jobs find it warm
import agents.ml.models.summary  # noqa: F401  and this too

with torch.device("meta"), torch.no_grad():
    nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1), nn.ReLU(), nn.Flatten(), nn.Linear(1, 1))(
        torch.empty(2, 1, 1, 1)
    )
