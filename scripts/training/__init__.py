"""Server 1: trains, measures, exports and registers the model, and writes its contract."""
