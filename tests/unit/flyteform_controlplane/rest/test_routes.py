"""The router: which of several bindings a path goes to, and what bindings are refused at the start."""

from __future__ import annotations

from dataclasses import replace

import pytest
from flyteidl.service import admin_pb2, signal_pb2
from google.api import annotations_pb2

from flyteform_controlplane.rest.routes import Match, Route, Router, routes_of
from flyteform_controlplane.transport.methods import Method, Service, methods_of

METHODS = methods_of([Service(admin_pb2.DESCRIPTOR.services_by_name["AdminService"], object())], [])
ROUTES = routes_of(METHODS)


def found(router: Router, verb: str, path: str) -> str:
    """Return the name of the method that serves the request."""
    match = router.match(verb, path.strip("/").split("/"))
    assert isinstance(match, Match)
    return match.route.method.descriptor.name


def route(template: str, verb: str = "GET") -> Route:
    """Make a binding of some method."""
    return replace(ROUTES[0], template=template, verb=verb)


def test_every_binding_leads_to_its_method() -> None:
    """A path made from any template finds the binding that it came from, with the values in their order."""
    router = Router(ROUTES)
    assert len(ROUTES) > 55
    for expected in ROUTES:
        path = expected.template
        for number, variable in enumerate(expected.variables):
            path = path.replace("{" + variable.name + "}", f"v{number}")
        match = router.match(expected.verb, path.strip("/").split("/"))
        assert isinstance(match, Match)
        assert match.route is expected
        assert match.values == tuple(f"v{number}" for number in range(len(expected.variables)))


def test_additional_bindings() -> None:
    """A method with two bindings is found by both."""
    router = Router(ROUTES)
    assert found(router, "GET", "/api/v1/tasks/p/d") == "ListTasks"
    assert found(router, "GET", "/api/v1/tasks/p/d/n") == "ListTasks"
    assert found(router, "GET", "/api/v1/tasks/p/d/n/v") == "GetTask"


@pytest.mark.parametrize("templates", [("/a/{x}", "/a/b"), ("/a/b", "/a/{x}")])
def test_literals_go_before_variables(templates: tuple[str, str]) -> None:
    """Whatever the order of declaration, the more exact template wins, and the other serves what is left."""
    router = Router([route(template) for template in templates])
    exact, other = router.match("GET", ["a", "b"]), router.match("GET", ["a", "c"])
    assert isinstance(exact, Match)
    assert isinstance(other, Match)
    assert (exact.route.template, other.route.template) == ("/a/b", "/a/{x}")


def test_a_literal_that_leads_nowhere_is_taken_back() -> None:
    """A literal segment that fits at first does not hide the variable that fits to the end."""
    router = Router([route("/a/b/c"), route("/a/{x}/d"), route("/a/b/d", "POST")])
    match = router.match("GET", ["a", "b", "d"])
    assert isinstance(match, Match)
    assert match.route.template == "/a/{x}/d"


def test_verbs_of_a_path() -> None:
    """A path without a binding for the verb tells which verbs it has."""
    assert Router(ROUTES).match("PATCH", ["api", "v1", "projects", "p"]) == ("GET", "PUT")
    assert Router(ROUTES).match("GET", ["api", "v1", "nothing"]) == ()


def test_two_methods_cannot_share_a_binding() -> None:
    """The same verb and template twice is refused."""
    with pytest.raises(ValueError, match="/a is bound to"):
        Router([route("/a"), route("/a")])


def test_methods_without_a_binding_are_left_out() -> None:
    """A method that has no HTTP annotation has no route."""
    methods = methods_of([Service(signal_pb2.DESCRIPTOR.services_by_name["SignalService"], object())], [])
    assert {found.method.descriptor.name for found in routes_of(methods)} == {"ListSignals", "SetSignal"}


def bound(template: str) -> Method:
    """Return a method whose annotation has that template."""

    class Descriptor:
        input_type = METHODS[0].descriptor.input_type
        client_streaming = server_streaming = False

        def GetOptions(self) -> object:  # noqa: N802 - protobuf's name
            from google.protobuf.descriptor_pb2 import MethodOptions

            options = MethodOptions()
            options.Extensions[annotations_pb2.http].get = template
            return options

    return replace(METHODS[0], descriptor=Descriptor())  # type: ignore[arg-type] # all that is read of one


@pytest.mark.parametrize("template", ["/a/{x=**}", "/a/{id.nothing}", "/a/{id}", "/a/*", "/a/{id.name}:verb"])
def test_templates_that_cannot_be_served_are_refused(template: str) -> None:
    """A template of another form, or with a variable that is no field, fails the start instead of a request."""
    with pytest.raises(ValueError, match="path"):
        routes_of([bound(template)])
