"""Talk to a FlyteAdmin: where it is, its calls, uploads, and watching an execution."""
