"""Another table: other features, three labels that are words. Nothing outside this folder knows it."""
