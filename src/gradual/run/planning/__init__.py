"""What a run will take before it is begun: facts to train on, time, disk and memory.

Trains nothing and writes nothing.
"""
