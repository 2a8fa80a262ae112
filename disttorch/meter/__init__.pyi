"""Written by `python -m tests.stubs`; do not edit."""

from disttorch.meter import average as average
from disttorch.meter.average import AverageMeter as AverageMeter
from disttorch.meter.progress import progress as progress

