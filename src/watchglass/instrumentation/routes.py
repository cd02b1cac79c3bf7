"""Which route answered a request, and which of the host's routes answer a path of ours.

Works without a router's own help: FastAPI tells the whole route from 0.142 on, sets `scope["route"]` without the mounts
before, and Starlette told only the endpoint for long.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from starlette.routing import Host, Mount, WebSocketRoute

Scope = Mapping[str, Any]

_REST = "/{path}"
"""How the template of a mount ends; what is below has a template of its own, or none."""


class Found(NamedTuple):
    """A route of an application, mounts included in its template. A mount's own template has no parameter for the
    rest."""

    template: str
    endpoint: Any
    mount: bool
    websocket: bool


def root_path_of(app: Any, scope: Scope) -> str:
    """The path under which the application lives, as it will see it."""
    return str(getattr(app, "root_path", "") or scope.get("root_path", ""))


def path_below(path: str, root_path: str) -> str:
    """The part of the path that the application's routes see."""
    root_path = root_path.rstrip("/")
    return path[len(root_path) :] if root_path and path.startswith(root_path + "/") else path


def routes_of(app: Any) -> Sequence[Any]:
    """The routes of an application, through the middlewares that wrap it; none for a bare ASGI callable."""
    for _ in range(50):
        if app is None:
            break
        routes = getattr(app, "routes", None)
        if routes is not None:
            return routes  # type: ignore[no-any-return]
        app = getattr(app, "app", None)
    return ()


def walk(routes: Iterable[Any], prefix: str = "") -> Iterator[Found]:
    """Every route below, in order of matching."""
    for route in _candidates(routes):
        if isinstance(route, Host):
            yield from walk(route.routes or (), prefix)
            continue
        template = getattr(route, "path_format", None)
        if template is None:
            continue
        if isinstance(route, Mount):
            template = prefix + template.removesuffix(_REST)
            yield Found(template, route.app, True, False)
            yield from walk(routes_of(route), template)
        else:
            yield Found(prefix + template, getattr(route, "endpoint", None), False, isinstance(route, WebSocketRoute))


def find(routes: Iterable[Any], path: str, method: str | None) -> str | None:
    """The template of the route that answers, or None. `method` None asks for a WebSocket's."""
    partial: str | None = None
    for route in _candidates(routes):
        template = _match(route, path, method)
        if template is None:
            continue
        methods = getattr(route, "methods", None)
        if isinstance(route, Mount | Host) or not methods or method in methods:
            return template
        partial = partial or template
    return partial


def _match(route: Any, path: str, method: str | None) -> str | None:
    if isinstance(route, Host):
        return find(route.routes or (), path, method)
    pattern = getattr(route, "path_regex", None)
    found = pattern.match(path) if pattern is not None else None
    if found is None:
        return None
    template = str(route.path_format)
    if isinstance(route, Mount):
        below = find(routes_of(route), "/" + found["path"], method)
        return template.removesuffix(_REST) + (below or _REST)
    return template if isinstance(route, WebSocketRoute) == (method is None) else None


def _candidates(routes: Iterable[Any]) -> Iterator[Any]:
    """Routes as they match: FastAPI keeps included routers as one entry since it resolves their prefixes late."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if not callable(contexts):
            yield route
            continue
        for context in contexts():
            yield getattr(context, "starlette_route", None) or context


class Templates:
    """Tells the route template of a request that one application answered."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._size = -1
        self._by_endpoint: dict[int, str | None] = {}
        self._mounts: frozenset[str] = frozenset()

    def of(self, scope: Scope, root_path: str) -> str | None:
        """The whole template, root path and mounts included; None where no route matched.

        `scope` is the request's after it was handled, `root_path` what it had before.
        """
        template = self._below(scope, root_path)
        return None if template is None else root_path.rstrip("/") + template

    def _below(self, scope: Scope, root_path: str) -> str | None:
        route = _selected(scope)
        if route is None and "endpoint" not in scope:
            # No router ran on this scope, or on a copy of it that a middleware made.
            return None if "router" in scope else self._search(scope, root_path)
        prefix = self._mounted(str(scope.get("root_path", ""))[len(root_path) :])
        if prefix is None:
            return self._search(scope, root_path)
        if route is None:
            return self._of_endpoint(scope, root_path)
        return prefix + (_REST if isinstance(route, Mount) else str(route.path_format))

    def _mounted(self, path: str) -> str | None:
        """The template of the mounts passed, or None where only a search tells."""
        path = path.rstrip("/")
        if not path:
            return ""
        self._refresh()
        return path if path in self._mounts else None

    def _of_endpoint(self, scope: Scope, root_path: str) -> str | None:
        self._refresh()
        template = self._by_endpoint.get(id(scope["endpoint"]))
        return template if template is not None else self._search(scope, root_path)

    def _search(self, scope: Scope, root_path: str) -> str | None:
        method = scope.get("method", "GET") if scope["type"] == "http" else None
        return find(routes_of(self._app), path_below(str(scope["path"]), root_path), method)

    def _refresh(self) -> None:
        routes = routes_of(self._app)
        if len(routes) == self._size:
            return
        by_endpoint: dict[int, str | None] = {}
        mounts = set()
        for found in walk(routes):
            template = found.template + (_REST if found.mount else "")
            by_endpoint[id(found.endpoint)] = None if id(found.endpoint) in by_endpoint else template
            if found.mount:
                mounts.add(found.template)
        self._by_endpoint, self._mounts, self._size = by_endpoint, frozenset(mounts), len(routes)


def _selected(scope: Scope) -> Any:
    """The route that a router says it chose."""
    context = (scope.get("fastapi") or {}).get("effective_route_context")
    if getattr(context, "path_format", None):
        return context
    route = scope.get("route")
    if getattr(route, "path_format", None) is not None:
        return route
    return getattr(context, "starlette_route", None)


class HostPaths:
    """The fixed paths that the host answers itself, so that a path of ours gives way to the very same of the host's."""

    def __init__(self, app: Any) -> None:
        self._app = app
        self._version: Any = None
        self._paths: frozenset[str] = frozenset()

    def __contains__(self, path: str) -> bool:
        routes = routes_of(self._app)
        router = getattr(self._app, "router", None)
        version = (len(routes), getattr(router, "_get_routes_version", int)())
        if version != self._version:
            self._paths = frozenset(fixed_paths(routes))
            self._version = version
        return path in self._paths


def fixed_paths(routes: Iterable[Any]) -> Iterator[str]:
    """Paths of routes and mounts that have no parameter."""
    for found in walk(routes):
        if found.template and "{" not in found.template and not found.websocket:
            yield found.template


def clashes(app: Any, exact: Iterable[str], prefixes: tuple[str, ...]) -> list[str]:
    """The paths of ours that the host's own routes take, sorted."""
    own = frozenset(exact)
    return sorted({path for path in fixed_paths(routes_of(app)) if path in own or path.startswith(prefixes)})
