"""Is this installation fit to run? One check a question, each with what to do if the answer is bad."""
