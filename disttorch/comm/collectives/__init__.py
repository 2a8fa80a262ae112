"""One file a collective: check the arguments, choose the algorithm, return what runs it.

Each function is called on the caller's thread, where it may raise for bad arguments, and returns
a function that communicates, on that thread or in the background. Arrays are NumPy arrays of any
shape and strides; roots and peers are group ranks.
"""
