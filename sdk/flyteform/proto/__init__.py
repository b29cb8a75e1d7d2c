"""The package flyteform.v1: what Flyte's contract lacks; sources beside the code generated from them."""
