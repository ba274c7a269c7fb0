"""Side by side in one run: ours and its rivals, on one workload."""
