"""From splits to fitted, scored and stored models."""
