"""Framework adapters: one file each, imported by whoever uses the framework."""
