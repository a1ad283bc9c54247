"""The commands that work on checkpoints: quantize, inspect, demo."""
