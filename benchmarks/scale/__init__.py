"""How large it can get: cost against size, beyond memory, on several processes."""
