"""Plain Python: states, specs, formats, prompts, errors, events. No Django, no torch."""
