"""Programs as users write them; each takes the module (`torch` or `disttorch`) and returns results.

Results are numbers, strings and tensors in dicts and lists. `test_programs.py` runs them.
"""
