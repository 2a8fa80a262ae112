"""Written by `python -m tests.stubs`; do not edit."""

from disttorch.profiler import events as events
from disttorch.profiler import recorder as recorder
from disttorch.profiler import schedules as schedules
from disttorch.profiler import table as table
from disttorch.profiler.events import DeviceType as DeviceType
from disttorch.profiler.events import EventList as EventList
from disttorch.profiler.events import FunctionEvent as FunctionEvent
from disttorch.profiler.events import FunctionEventAvg as FunctionEventAvg
from disttorch.profiler.profile import ProfilerActivity as ProfilerActivity
from disttorch.profiler.profile import kineto_available as kineto_available
from disttorch.profiler.profile import profile as profile
from disttorch.profiler.profile import supported_activities as supported_activities
from disttorch.profiler.profile import tensorboard_trace_handler as tensorboard_trace_handler
from disttorch.profiler.recorder import record_function as record_function
from disttorch.profiler.schedules import ProfilerAction as ProfilerAction
from disttorch.profiler.schedules import schedule as schedule

