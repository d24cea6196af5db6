"""MLflow: runs, lineage, registry."""
