"""The example project as resources: what `flyteform plan` compares with the platform and `apply` makes true."""

from __future__ import annotations

from wine_training import train_wine

from flyteform import CronSchedule
from flyteform.provision import LaunchPlan, Project, Workflow

wine = Project(
    "wine", name="Wine", description="Which cultivar a wine is of, by its chemistry", labels={"team": "demo"}
)

training = Workflow(train_wine, project=wine, domain="development")

retraining = LaunchPlan(
    training,
    name="every-minute",
    default_inputs={"seed": 7},
    schedule=CronSchedule(schedule="* * * * *"),
)
