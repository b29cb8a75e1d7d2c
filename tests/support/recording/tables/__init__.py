"""What clouds would answer, by type of resource and by function: one module per package, named as the package is."""
