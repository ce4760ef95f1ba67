"""The guards of design §7: what stops an apply, or a part of it, until a person lets exactly that pass."""
