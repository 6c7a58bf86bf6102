"""Tables among the tensors of files, and the tokens of their rows."""
