"""Projects, tasks, workflows and launch plans as resources of Pulumi programs."""
