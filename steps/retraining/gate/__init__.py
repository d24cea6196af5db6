"""From scores to a verdict, without Spark and MLflow."""
