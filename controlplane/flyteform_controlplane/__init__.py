"""The control plane: FlyteAdmin, DataCatalog, scheduler and dispatch on one database."""
