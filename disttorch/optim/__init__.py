"""`disttorch.optim`: optimisers and learning rate schedulers, PyTorch's API and state layout."""

import sys

from disttorch.optim import adam, lr_scheduler, swa_utils
from disttorch.optim.adadelta import Adadelta
from disttorch.optim.adafactor import Adafactor
from disttorch.optim.adagrad import Adagrad
from disttorch.optim.adam import Adam, AdamW
from disttorch.optim.adamax import Adamax
from disttorch.optim.asgd import ASGD
from disttorch.optim.lbfgs import LBFGS
from disttorch.optim.muon import Muon
from disttorch.optim.nadam import NAdam
from disttorch.optim.optimizer import Optimizer
from disttorch.optim.radam import RAdam
from disttorch.optim.rmsprop import RMSprop
from disttorch.optim.rprop import Rprop
from disttorch.optim.sgd import SGD
from disttorch.optim.swapped import swap_in_optimizer_params_and_state

# PyTorch has a module for each; AdamW shares one with Adam here.
sys.modules[f"{__name__}.adamw"] = adamw = adam

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adafactor",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "Rprop",
    "lr_scheduler",
    "swa_utils",
    "swap_in_optimizer_params_and_state",
]
