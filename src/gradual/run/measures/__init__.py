"""What a run tells beside the levels of facts: how far the model moved, what benchmarks say, and curves by stage."""
