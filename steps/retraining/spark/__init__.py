"""How Spark is reached: session, cluster, storage."""
