"""`torch.profiler`: what a program spends its time on, by operator, as a table or a trace.

Nothing is hooked while no profile runs, so profiling costs nothing when it is off.
"""

from disttorch.profiler.events import DeviceType, EventList, FunctionEvent, FunctionEventAvg
from disttorch.profiler.profile import (
    ProfilerActivity,
    kineto_available,
    profile,
    supported_activities,
    tensorboard_trace_handler,
)
from disttorch.profiler.recorder import record_function
from disttorch.profiler.schedules import ProfilerAction, schedule
