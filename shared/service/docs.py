"""The page for people at /docs: Swagger UI over the service's own OpenAPI document.

FastAPI's page loads its scripts from elsewhere; here they come from an installed package, so that the page works without
the internet and nobody else sees what is looked up.
"""

from importlib.resources import files
from typing import Literal

from fastapi import FastAPI
from fastapi.openapi.docs import get_swagger_ui_html
from fastapi.responses import HTMLResponse, Response

from shared.service.routes import PUBLIC

_ASSETS = files("fastapi_offline") / "static"
_TYPES = {"swagger-ui-bundle.js": "text/javascript", "swagger-ui.css": "text/css"}
#: A key that was typed in stays when the page is loaded again; models are long, and folded.
_OPTIONS = {"persistAuthorization": True, "defaultModelsExpandDepth": 0, "docExpansion": "list"}


def add_docs(app: FastAPI) -> None:
    """Add the page and its files to an application; they need no key, as /openapi.json does not."""

    @app.get("/docs", dependencies=[PUBLIC], include_in_schema=False)
    async def docs() -> HTMLResponse:
        return get_swagger_ui_html(
            openapi_url="/openapi.json",
            title=f"{app.title}: API",
            swagger_js_url="/docs/swagger-ui-bundle.js",
            swagger_css_url="/docs/swagger-ui.css",
            swagger_favicon_url="data:,",
            swagger_ui_parameters=_OPTIONS,
        )

    @app.get("/docs/{name}", dependencies=[PUBLIC], include_in_schema=False)
    async def asset(name: Literal["swagger-ui-bundle.js", "swagger-ui.css"]) -> Response:
        content = (_ASSETS / name).read_bytes()
        kept = {"cache-control": "public, max-age=86400"}
        return Response(content, media_type=_TYPES[name], headers=kept)
