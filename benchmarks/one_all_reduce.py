"""The shortest distributed program: join, one all-reduce, leave. Timed from outside."""

import importlib
import os

torch = importlib.import_module(os.environ["BENCHMARK_LIBRARY"])
dist = importlib.import_module(f"{torch.__name__}.distributed")

dist.init_process_group()
total = torch.ones(1)
dist.all_reduce(total)
assert total.item() == dist.get_world_size()
dist.destroy_process_group()
