"""A matrix in several safetensors files."""
