"""The folders of Hugging Face models."""
