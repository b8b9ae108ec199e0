"""The replies of the service, as its OpenAPI page shows them."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, Field


class Score(BaseModel):
    """A class and how likely it is."""

    name: str = Field(description="class")
    score: float = Field(ge=0, le=1, description="probability; of several frames the mean over them")


class Result(Score):
    """A class that the picture may show."""

    vernacularName: str | None = Field(  # noqa: N815 - the c4c protocol's spelling
        None, description="its name in the language asked for, else in English, else empty; absent without --vernacular-names"
    )
    images: list[str] = Field(default=[], description="illustrations of the class; this service has none to show")


class ModelInfo(BaseModel):
    """Which model answered."""

    name: str
    version: str
    model_sha256: str | None = Field(description="digest of the model file that was exported")


class Identification(BaseModel):
    """What the pictures of a request show."""

    status: Literal["ok"] = "ok"
    label: str = Field(description="label that `results` answers")
    results: list[Result] = Field(description="classes of that label, most probable first")
    labels: dict[str, list[Score]] | None = Field(None, description="all labels alike; absent with info=false")
    images: int | None = Field(None, description="how many pictures were looked at; absent with info=false")
    model: ModelInfo | None = Field(None, description="absent with info=false")


class Health(BaseModel):
    """The service is up, its model loaded and warm."""

    status: Literal["ok"] = "ok"
    model: str
    version: str
    model_sha256: str | None
    labels: list[str]


class Problem(BaseModel):
    """Why a request was not answered."""

    code: str = Field(description="reason for programs, e.g. too_many_images")
    message: str = Field(description="one line for people")
    image: int | None = Field(description="picture that is meant, counted from 0; null: the request as a whole")


class ErrorReply(BaseModel):
    """Body of every error."""

    error: Problem


IDENTIFY_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "properties": {
                        "image": {
                            "type": "array",
                            "items": {"type": "string", "format": "binary"},
                            "description": "picture; several are frames of one event. `images` is understood too",
                        },
                        "label": {"type": "string", "description": "label to answer; default: the first of the model"},
                        "nb_results": {"type": "integer", "minimum": 1, "default": 10, "description": "classes per label"},
                        "lang": {"type": "string", "default": "en", "description": "language of vernacular names, ISO 639-1"},
                        "info": {"type": "boolean", "default": True, "description": "false: label and results only"},
                    },
                }
            }
        },
    }
}
"""OpenAPI entry of `POST /identify`: the route reads its body by itself, so FastAPI cannot derive it."""

BOX_REQUEST: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {
                "schema": {
                    "type": "object",
                    "required": ["image"],
                    "additionalProperties": False,
                    "properties": {
                        "image": {"type": "string", "format": "byte", "description": "picture, in base 64"},
                        "bbox": {
                            "description": "`[ymin, xmin, ymax, xmax]`, shares of the upright picture, as a list or "
                            "its text; absent or null: the whole picture",
                            "anyOf": [
                                {"type": "array", "items": {"type": "number"}, "minItems": 4, "maxItems": 4},
                                {"type": "string"},
                                {"type": "null"},
                            ],
                        },
                    },
                },
                "example": {"image": "/9j/4AAQSkZJRg…", "bbox": [0.1, 0.25, 0.6, 0.8]},
            }
        },
    },
    "parameters": [
        {
            "name": "label",
            "in": "query",
            "schema": {"type": "string"},
            "description": "label to answer; default: species, or the first of a model without it",
        }
    ],
}
"""OpenAPI entry of the routes of older servers."""

BOX_REPLY: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "class and probability, most probable first",
        "content": {"application/json": {"example": {"fox": 0.91, "skunk": 0.07, "bird": 0.02}}},
    }
}
