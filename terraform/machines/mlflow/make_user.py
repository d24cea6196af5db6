"""Create the user as whom the steps log in to MLflow, who may edit one experiment.

    python make_user.py http://127.0.0.1:5000

What the user creates belongs to the user, who has no other rights. Passwords come from the
environment of the server. A second run only sets the user's password again. The administrator's
own password is taken from the environment only when the database is new.
"""

import os
import sys
from collections.abc import Callable

import mlflow
from mlflow.exceptions import MlflowException
from mlflow.server import get_app_client

EXPERIMENT = "retraining"
USER = "retraining"


def is_new(create: Callable[..., object], *arguments: str) -> bool:
    """Create something; False if it exists already."""
    try:
        create(*arguments)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        return False
    return True


def make_user(url: str, password: str) -> None:
    """User, password, experiment, permission."""
    mlflow.set_tracking_uri(url)
    users = get_app_client("basic-auth", url)
    if not is_new(users.create_user, USER, password):
        users.update_user_password(USER, password)
    experiment = mlflow.set_experiment(EXPERIMENT)
    is_new(users.grant_user_permission, USER, "experiment", experiment.experiment_id, "EDIT")


def main() -> None:
    """Log in as the administrator, with the retries of MLflow's client while the server starts."""
    os.environ["MLFLOW_TRACKING_USERNAME"] = "admin"
    os.environ["MLFLOW_TRACKING_PASSWORD"] = os.environ["MLFLOW_AUTH_ADMIN_PASSWORD"]
    try:
        make_user(sys.argv[1], os.environ["RETRAINING_PASSWORD"])
    except MlflowException as error:
        sys.exit(f"make_user: {error}")


if __name__ == "__main__":
    main()
