"""What all of the platform's workloads have in common, as typed resources of Kubernetes."""
