"""Server 2: MLflow tracking and registry, and the scoring server of the model in Production."""
