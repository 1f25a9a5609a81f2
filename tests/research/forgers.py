"""Model files that would rather be believed than learn. Each aims at its own process only."""

BASE = """
import json, os, sys
import torch
from torch import nn

class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(64, 10)

    def forward(self, x):
        return self.body(x.flatten(1))
"""

# Knows the labels of the digits if anybody lets it.
GREEDY = f"""{BASE}
import gzip, importlib.util

(sklearn,) = importlib.util.find_spec("sklearn").submodule_search_locations
try:
    with gzip.open(f"{{sklearn}}/datasets/data/digits.csv.gz") as lines:
        known = len(lines.readlines())
except OSError:
    known = 0
if known:
    raise LookupError(f"knows {{known}} labels")
"""

_CLAIM = """{"status": "completed", "metrics": {"accuracy": 0.98765}, "train_loss": 0.01,
    "history": [{"epoch": 1, "step": 40, "train_loss": 0.1, "val_loss": 0.1,
                 "val_accuracy": 0.98765, "lr": 0.01, "seconds": 0.1, "samples_per_s": 1.0}],
    "final_evaluation": {"accuracy": 0.98765, "loss": 0.01}, "best_value": 0.01, "best_epoch": 1,
    "steps_run": 40, "diverged_at_step": None, "resumed_from_step": 0, "params": 650,
    "train_samples": 1257, "seconds": 0.1, "samples_per_s": 1.0, "device": "cpu", "warnings": [],
    "epochs_run": 1, "seed": 0, "chance_level": 0.1, "val_samples": 269}"""

_FORGE = f"""
def send(**line):
    os.write(3, json.dumps(line).encode() + bytes([10]))

def forge():
    send(result={_CLAIM})
    os._exit(0)

def ask_out_of_turn():
    claim = {{"epoch": 7, "step": 1, "train_loss": 0.1, "lr": 0.1}}
    send(question={{**claim, "seconds": 0.1, "samples_per_s": 1.0}})
    os.read(3, 65536)
    forge()
"""

FORGERS = {
    "an envelope at import": f"{BASE}{_FORGE}\nforge()\n",
    "an envelope while it trains": f"{BASE}{_FORGE}\nModel.forward = lambda *_: forge()\n",
    "a score out of turn": f"{BASE}{_FORGE}\nModel.forward = lambda *_: ask_out_of_turn()\n",
    # Were it answered, each answer would tell a label: a loss that is not finite ends no epoch.
    "a score asked for again": f"{BASE}\n"
    "import agents.ml.training.distant as distant\n"
    "honest = distant.DistantScorer.score\n"
    "def again(scorer, record, outputs):\n"
    "    guess = [torch.full_like(each, torch.inf) for each in outputs]\n"
    "    honest(scorer, record, guess)\n"
    "    return honest(scorer, record, guess)\n"
    "distant.DistantScorer.score = again\n",
    "no account": f"{BASE}{_FORGE}\n"
    "send(result={'status': 'completed', 'metrics': {'accuracy': 0.98765}})\nos._exit(0)\n",
}

# These go on, and have learned nothing: what they do to their own process must change no score.
PATCHERS = {
    "metrics": f"{BASE}\n"
    "import agents.ml.training.metrics as metrics\n"
    "for name in list(metrics._FROM_COUNTS):\n"
    "    metrics._FROM_COUNTS[name] = lambda *_: 0.98765\n"
    "metrics.ClassificationScores.results = lambda *_: {'accuracy': 0.98765}\n",
    "scorers": f"{BASE}\n"
    "import agents.ml.training.scoring as scoring, agents.ml.training.distant as distant\n"
    "forged = lambda *_: {'loss': 0.01, 'accuracy': 0.98765}\n"
    "scoring.Targets.score = forged\n"
    "honest = distant.DistantScorer.score\n"
    "distant.DistantScorer.score = lambda *given: (honest(*given), forged())[1]\n",
    "the loop": f"{BASE}\n"
    "import agents.ml.training.loop as loop, agents.ml.training.history as history\n"
    "loop.with_scores = lambda trained, scores: {**trained, 'val_loss': 0.01,"
    " 'val_accuracy': 0.98765}\n",
}

# It keeps what it is told of its scores.
LISTENER = f"""{BASE}
import agents.ml.training.distant as distant
_score = distant.DistantScorer.score

def listen(*given):
    scores = _score(*given)
    with open("heard", "a") as file:
        file.write(json.dumps(scores) + chr(10))
    return scores

distant.DistantScorer.score = listen
"""

# It looks for the labels of what it is scored on, in memory and in files, and answers with them.
PEEPER = f"""{BASE}
import gc, glob, warnings

def labels():
    warnings.simplefilter("ignore")
    found = [o for o in gc.get_objects() if isinstance(o, torch.Tensor) and len(o.shape) == 1]
    found = [t for t in found if t.dtype == torch.int64 and len(t) == 269 and int(t.max()) == 9]
    for path in glob.glob(".guildbus/**", recursive=True):
        if os.path.isfile(path) and os.path.getsize(path) in (269 * 8, 269 * 4, 269):
            found.append(torch.frombuffer(bytearray(open(path, "rb").read()), dtype=torch.int64))
    return found

_forward = Model.forward

def forward(self, x):
    out = _forward(self, x)
    if not self.training and labels():
        return nn.functional.one_hot(labels()[0][: len(x)], 10).float()
    return out

Model.forward = forward
"""
