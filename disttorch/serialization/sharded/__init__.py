"""Checkpoints that all ranks write into one folder, in the format of torch.distributed.checkpoint.

Each value is written by one rank of those that have it, in files of their own; `.metadata`, written
last, says what is where. `metadata` is that file, `contents` who writes what, `folder` the files,
`together` steps of all ranks, `saving` and `loading` the public functions, `model_state` states by
parameter names, `conversion` from and to single files.
"""
