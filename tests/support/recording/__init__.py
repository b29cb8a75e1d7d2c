"""Records what platform programs ask of Pulumi's engine, without a cloud: the whole graph of resources of a stack."""
