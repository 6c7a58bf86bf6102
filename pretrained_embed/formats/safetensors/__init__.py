"""Tables in the safetensors form."""
