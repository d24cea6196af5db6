"""What a YAML file may say of a data set."""
