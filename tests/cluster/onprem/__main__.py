"""A platform on a cluster of one's own, and work on it, in one program."""

import base64

import pulumi_kubernetes as kubernetes
import release  # noqa: F401 - decides where the packages below are from
from arithmetic import patient, total

import pulumi
from flyteform.pulumi import Provider, Workflow
from flyteform_onprem.program import deploy

platform = deploy()
config = pulumi.Config()
inside = pulumi.ResourceOptions(provider=platform.provider, depends_on=[platform.control_plane])
login = kubernetes.core.v1.Secret.get("login", "flyteform/flyteform-login", opts=inside)
secret = login.data.apply(lambda data: base64.b64decode(data["flyteform.secret"]).decode())
here = Provider(
    "here",
    endpoint=config.require("endpoint"),
    insecure=True,
    client_id="flyteform",
    client_secret=secret,
    opts=pulumi.ResourceOptions(depends_on=[platform.control_plane, platform.data_plane]),
)
for work in (total, patient):
    made = Workflow(
        work.name,
        work,
        project="flytesnacks",
        domain="development",
        image=config.require("image"),
        opts=pulumi.ResourceOptions(provider=here),
    )
    pulumi.export(work.name, made.version)
