"""The admission webhook that gives pods the secrets which their tasks ask for."""
