"""The HTTP service: routes, limits and replies around a backend, and the command that runs it."""

from __future__ import annotations

import functools
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import anyio
import anyio.to_thread
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

import camtrap_tf
from camtrap_tf.config.delivery import ServeConfig
from camtrap_tf.errors import CamtrapError, suggestion
from camtrap_tf.executors import available_cores
from camtrap_tf.logs import keep_logs
from camtrap_tf.serving.access import KEY_PARAMETER, ApiKeys
from camtrap_tf.serving.backends import Backend, Embedded, ModelCard
from camtrap_tf.serving.box_requests import classify, label_of
from camtrap_tf.serving.identification import Question, identify
from camtrap_tf.serving.metrics import MeasuredApp, Metrics
from camtrap_tf.serving.names import VernacularNames
from camtrap_tf.serving.refusals import RefusedError, error_body
from camtrap_tf.serving.schemas import BOX_REPLY, BOX_REQUEST, IDENTIFY_REQUEST, ErrorReply, Health, Identification
from camtrap_tf.serving.server import open_socket, run_server
from camtrap_tf.serving.uploads import TEXT_FIELDS, Limits, read_form, read_whole

log = logging.getLogger(__name__)

ERRORS: dict[int | str, dict[str, Any]] = {status: {"model": ErrorReply} for status in (400, 401, 403, 408, 413, 415, 422, 503)}


@dataclass(frozen=True, slots=True)
class Served:
    """What `serve` hands back when it has been told to end.

    Attributes:
        address: where it listened.
        pictures: how many were identified.
    """

    address: str
    pictures: int

    def text(self) -> str:
        """Returns one line for people."""
        counted = "1 picture was" if self.pictures == 1 else f"{self.pictures} pictures were"
        return f"Stopped serving on {self.address}; {counted} identified."


def serve(config: ServeConfig) -> Served:
    """Answers over HTTP until SIGTERM or SIGINT.

    Raises:
        SettingError: the address cannot be listened on, or keys or names cannot be read.
        ModelError: there is no usable export.
    """
    keys = ApiKeys.read(config.api_keys)
    listening, address = open_socket(config.host, config.port)
    with listening:
        model = Embedded.load(config.saved_model)
        card = model.card
        names = VernacularNames.read(config.vernacular_names, card.classes)
        app = create_app(model, Limits.from_config(config), keys=keys, names=names)
        keep_logs()
        run_server(app, listening, f"Serving {card.name} version {card.version} on {address}")
    return Served(address=address, pictures=app.state.metrics.pictures_identified)


def create_app(
    model: Backend,
    limits: Limits = Limits(),  # noqa: B008 - frozen
    *,
    keys: ApiKeys = ApiKeys(),  # noqa: B008 - frozen
    names: VernacularNames = VernacularNames(),  # noqa: B008 - frozen
) -> FastAPI:
    """Returns the service around a model that is ready to answer.

    Args:
        model: the model.
        limits: how much a client may ask for.
        keys: who may have pictures identified; none: everybody.
        names: what classes are called in the client's language.
    """
    card = model.card
    metrics = Metrics(model=card.name, version=card.version)
    gate = _Gate(limits, metrics)
    workers = anyio.CapacityLimiter(max(2, available_cores()))
    app = FastAPI(
        title="camtrap_tf",
        version=camtrap_tf.__version__,
        description=f"Model {card.name}, version {card.version}.",
        redirect_slashes=False,  # a redirect would be built from the Host header, which is the client's
    )
    app.state.metrics = metrics
    app.add_middleware(MeasuredApp, metrics=metrics)
    _add_error_replies(app)

    @app.post(
        "/identify",
        responses=ERRORS,
        response_model=Identification,
        response_model_exclude_none=True,
        openapi_extra=IDENTIFY_REQUEST,
    )
    async def identify_pictures(request: Request) -> Identification:
        """What do these pictures show? Several pictures are the frames of one event."""
        with gate.passed():
            keys.check(request)
            asked = _query(request, TEXT_FIELDS)
            form = await read_form(request, limits)
            question = Question.parse({**asked, **form.texts}, tuple(card.classes))
            work = functools.partial(identify, model, form.pictures, question, max_pixels=limits.max_pixels, names=names)
            answer = await anyio.to_thread.run_sync(work, limiter=workers)
            metrics.identified(len(form.pictures))
            return answer

    async def one_box(request: Request) -> dict[str, float]:
        """Answers a request as older servers of crop classifiers take it."""
        with gate.passed():
            keys.check(request)
            label = label_of(_query(request, ("label",)).get("label"), tuple(card.classes))
            work = functools.partial(classify, model, await read_whole(request, limits), label, max_pixels=limits.max_pixels)
            answer = await anyio.to_thread.run_sync(work, limiter=workers)
            metrics.identified(1)
            return answer

    _add_facts(app, card, metrics)
    _add_older_routes(app, one_box)
    return app


def _add_facts(app: FastAPI, card: ModelCard, metrics: Metrics) -> None:
    """Adds the pages that say what the service is and how it does."""

    @app.get("/health")
    async def health() -> Health:
        """Is the service up, and with which model?"""
        return Health(model=card.name, version=card.version, model_sha256=card.model_sha256, labels=list(card.classes))

    @app.get("/classes")
    async def classes() -> dict[str, list[str]]:
        """The classes of every label, in index order."""
        return {label: list(names) for label, names in card.classes.items()}

    @app.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Counters in Prometheus' text format."""
        return Response(metrics.text(), media_type=metrics.content_type)


def _add_older_routes(app: FastAPI, one_box: Callable[[Request], Awaitable[dict[str, float]]]) -> None:
    """Adds the pages under which SageMaker and TorchServe have crop classifiers asked, and ask whether they are up."""

    @app.post("/invocations", responses={**ERRORS, **BOX_REPLY}, openapi_extra=BOX_REQUEST)
    async def invocations(request: Request) -> dict[str, float]:
        """What does this part of a picture show? As endpoints of SageMaker are asked."""
        return await one_box(request)

    @app.post("/predictions/{model}", responses={**ERRORS, **BOX_REPLY}, openapi_extra=BOX_REQUEST)
    async def predictions(model: str, request: Request) -> dict[str, float]:
        """What does this part of a picture show? As TorchServe is asked; the one model answers, whatever name is given."""
        return await one_box(request)

    @app.get("/ping")
    async def ping() -> dict[str, str]:
        """Is the service up? As SageMaker and TorchServe are asked."""
        return {"status": "Healthy"}


class _Gate:
    """Lets a bounded number of requests in, so that memory for uploads is bounded; counts those refused, by reason."""

    def __init__(self, limits: Limits, metrics: Metrics) -> None:
        self._limits = limits
        self._metrics = metrics
        self._inside = 0

    @contextmanager
    def passed(self) -> Iterator[None]:
        """Lets one request in for the length of the block.

        Raises:
            RefusedError: too many are inside already (503), or what the block raised.
        """
        try:
            if self._inside >= self._limits.max_waiting:
                raise RefusedError(503, "busy", f"{self._inside} requests are being answered already; try again in a moment")
            self._inside += 1
            self._metrics.waiting.set(self._inside)
            try:
                yield
            finally:
                self._inside -= 1
                self._metrics.waiting.set(self._inside)
        except RefusedError as err:
            self._metrics.failures.labels(err.code).inc()
            raise
        except Exception:
            self._metrics.failures.labels("internal").inc()
            raise


def _query(request: Request, fields: tuple[str, ...]) -> dict[str, str]:
    """Returns those of the query parameters that mean something for a route.

    Raises:
        RefusedError: one is unknown.
    """
    known = (*fields, KEY_PARAMETER)
    for name in request.query_params:
        if name not in known:
            raise RefusedError(422, "unknown_field", f"unknown parameter {name[:80]!r}{suggestion(name[:80], known)}")
    return {name: request.query_params[name].strip() for name in fields if name in request.query_params}


def _add_error_replies(app: FastAPI) -> None:
    """Makes every error a JSON object of one form, without a traceback."""

    @app.exception_handler(RefusedError)
    async def refused(_: Request, err: RefusedError) -> JSONResponse:
        """Replies to a request that is refused."""
        headers = {"Retry-After": "2"} if err.status == 503 else None
        return JSONResponse(err.as_json(), err.status, headers=headers)

    @app.exception_handler(CamtrapError)
    async def foreseen(_: Request, err: CamtrapError) -> JSONResponse:
        """Replies where the model cannot answer."""
        log.error("%s", err)
        return JSONResponse(error_body("model_error", " ".join(str(err).split())), 500)

    @app.exception_handler(HTTPException)
    async def http_error(request: Request, err: HTTPException) -> JSONResponse:
        """Replies where there is no such page or method."""
        if err.status_code == 404:
            body = error_body(
                "no_such_page",
                f"no page {request.scope['path'][:200]!r}; there are POST /identify /invocations, GET /health "
                "/classes /metrics /docs",
            )
        else:
            body = error_body("http_error", f"{err.detail} ({request.method} {request.scope['path'][:200]})")
        return JSONResponse(body, err.status_code, headers=err.headers)

    @app.exception_handler(Exception)
    async def unforeseen(_: Request, err: Exception) -> JSONResponse:
        """Replies to a bug; its traceback goes into the log alone."""
        log.error("Internal error: %s", type(err).__name__, exc_info=err)
        return JSONResponse(error_body("internal", "internal error; the log of the service says more"), 500)
