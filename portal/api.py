"""The API object at ``/api/v1``: mounts the capabilities' routers and gives every error one shape."""

from __future__ import annotations

import json
from typing import Any

from django.db import OperationalError
from django.http import Http404, HttpRequest, HttpResponse
from django.utils.translation import gettext as _
from ninja import NinjaAPI, Router
from ninja.errors import AuthenticationError, HttpError, Throttled
from ninja.errors import ValidationError as PayloadError
from ninja.openapi.schema import OpenAPISchema
from ninja.renderers import JSONRenderer
from pydantic.json_schema import JsonSchemaMode

from portal.http import Busy, explain, is_lock_timeout
from portal.kernel.errors import NotFound, PortalError
from portal.organisations.api import router as organisations
from portal.organisations.auth import AUTH
from portal.payloads import payload_reason
from portal.reports.api import router as reports
from portal.throttling import WriteThrottle
from portal.wire import body_of
from portal.workdays.api import router as workdays
from scheduler.api import routers as scheduler_routers
from vouchers.api import routers as voucher_routers


class ReadableJSON(JSONRenderer):
    """JSON as people read it: Chinese as it is, and only what UTF-8 cannot say (lone surrogates) escaped."""

    def render(self, request: HttpRequest, data: Any, *, response_status: int) -> bytes:  # noqa: ARG002  one form for all
        return json.dumps(data, cls=self.encoder_class, ensure_ascii=False).encode("utf-8", "backslashreplace")


class Description(OpenAPISchema):
    """The OpenAPI description, each answer's shape worked out once: every operation can answer with the same problems."""

    def __init__(self, api: NinjaAPI, path_prefix: str) -> None:
        self._known: dict[tuple[str, bool], tuple[dict[str, Any], bool]] = {}
        super().__init__(api, path_prefix)

    def _create_schema_from_model(
        self,
        model: Any,
        by_alias: bool = True,  # noqa: FBT001, FBT002  ninja's own signature
        remove_level: bool = True,  # noqa: FBT001, FBT002
        mode: JsonSchemaMode = "validation",
    ) -> tuple[dict[str, Any], bool]:
        fields = model.model_fields
        if mode != "serialization" or not remove_level or list(fields) != ["response"]:
            return super()._create_schema_from_model(model, by_alias, remove_level, mode)
        # ninja wraps each answer in a model of its own; what is in it is one of few types, told apart by its text.
        key = (repr(fields["response"]), by_alias)
        if key not in self._known:
            self._known[key] = super()._create_schema_from_model(model, by_alias, remove_level, mode)
        schema, required = self._known[key]
        return dict(schema), required


class Api(NinjaAPI):
    """An API whose description is made once: it takes a second or two, and nothing in it changes while we run."""

    _schema: OpenAPISchema | None = None

    def get_openapi_schema(
        self, *, path_prefix: str | None = None, path_params: dict[str, Any] | None = None
    ) -> OpenAPISchema:
        """Return the OpenAPI description; to be read, not changed."""
        if path_prefix is not None or path_params:
            return super().get_openapi_schema(path_prefix=path_prefix, path_params=path_params)
        if self._schema is None:
            self._schema = Description(self, self.get_root_path({}))
        return self._schema


api = Api(
    title="Gongxiang 共享",
    version="1",
    description="创新资源共享平台接口。申请、预约和提交作业须带 Idempotency-Key；错误统一为 Problem。说明见 docs/api.md。",
    auth=AUTH,
    throttle=WriteThrottle(),
    renderer=ReadableJSON(),
    urls_namespace="api",
)
api.add_router("/organisations", organisations)
api.add_router("/workdays", workdays)
api.add_router("/reports", reports)
for prefix, router in (*voucher_routers, *scheduler_routers):
    api.add_router(prefix, router)


def _answer(request: HttpRequest, error: PortalError) -> HttpResponse:
    problem = explain(error)
    response = api.create_response(request, body_of(problem), status=problem.status)
    if problem.status == 503:
        response["Retry-After"] = "3"
    return response


@api.exception_handler(PortalError)
def domain_error(request: HttpRequest, error: PortalError) -> HttpResponse:
    return _answer(request, error)


@api.exception_handler(OperationalError)
def database_error(request: HttpRequest, error: OperationalError) -> HttpResponse:
    """Answer a lost race for a lock with 503 and Retry-After; everything else is a defect and stays one."""
    if is_lock_timeout(error):
        return _answer(request, Busy())
    raise error


@api.exception_handler(Http404)
def missing(request: HttpRequest, _error: Http404) -> HttpResponse:
    return _answer(request, NotFound())


@api.exception_handler(PayloadError)
def malformed(request: HttpRequest, error: PayloadError) -> HttpResponse:
    """Name every field of a malformed payload by its path."""
    reasons = [payload_reason(item) for item in error.errors]
    body: dict[str, Any] = {
        "code": "invalid.payload",
        "detail": _("请求内容有 %(count)s 处不符合要求。") % {"count": len(reasons)},
        "reasons": reasons,
        "fields": {reason["field"]: reason["text"] for reason in reasons if reason["field"]},
        "data": {},
    }
    return api.create_response(request, body, status=422)


@api.exception_handler(AuthenticationError)
def stranger(request: HttpRequest, _error: AuthenticationError) -> HttpResponse:
    body = {
        "code": "unauthenticated",
        "detail": _("请先登录，或在请求头中提供有效的令牌：Authorization: Bearer gx_…"),
        "reasons": [],
        "fields": {},
        "data": {},
    }
    response = api.create_response(request, body, status=401)
    response["WWW-Authenticate"] = "Bearer"
    return response


@api.exception_handler(Throttled)
def too_many(request: HttpRequest, error: Throttled) -> HttpResponse:
    body = {
        "code": "throttled",
        "detail": _("请求过于频繁，请稍后再试。"),
        "reasons": [],
        "fields": {},
        "data": {},
    }
    response = api.create_response(request, body, status=429)
    response["Retry-After"] = str(error.wait or 1)
    return response


@api.exception_handler(HttpError)
def http_error(request: HttpRequest, error: HttpError) -> HttpResponse:
    """Answer what the framework itself refuses: a body that is no JSON, a browser's call without its CSRF token."""
    texts = {
        400: _("请求内容不是有效的 JSON（UTF-8）。"),
        403: _("缺少有效的 CSRF 令牌：在浏览器会话中调用时，请带上请求头 X-CSRFToken。"),
    }
    body = {
        "code": f"http.{error.status_code}",
        "detail": texts.get(error.status_code, str(error)),
        "reasons": [],
        "fields": {},
        "data": {},
    }
    return api.create_response(request, body, status=error.status_code)


fallback = Router()


@fallback.api_operation(["GET", "POST", "PUT", "PATCH", "DELETE"], "/{path:address}", include_in_schema=False)
def nowhere(request: HttpRequest, address: str) -> HttpResponse:  # noqa: ARG001  any address nothing else answers
    """Answer an address that does not exist in the API's own shape."""
    raise NotFound


# Last: addresses are tried in the order they were added.
api.add_router("", fallback)
