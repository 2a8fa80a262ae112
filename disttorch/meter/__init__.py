"""`disttorch.meter`: what a training loop shows and averages."""

from disttorch.meter.average import AverageMeter
from disttorch.meter.progress import progress
