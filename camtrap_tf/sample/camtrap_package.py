"""The sample as a Camtrap DP 1.0.2 package: `datapackage.json` with deployments, media and observations.

Source: Camtrap DP 1.0.2, https://camtrap-dp.tdwg.org/data.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from camtrap_tf.files import atomic_file, write_csv, write_json
from camtrap_tf.sample.formats import DrawnEvent, Writer, picture_id, relative
from camtrap_tf.sample.locations import locations
from camtrap_tf.sample.scenes import DAYS, FIRST_DAY, FRAMES, SceneEvent
from camtrap_tf.sample.species import BLANK, SPECIES

VERSION = "1.0.2"
SCHEMAS = f"https://raw.githubusercontent.com/tdwg/camtrap-dp/{VERSION}"
OFFSET = "+03:00"
LAST_DAY = FIRST_DAY + dt.timedelta(days=DAYS)

DEPLOYMENT_COLUMNS = (
    "deploymentID", "locationID", "locationName", "latitude", "longitude", "coordinateUncertainty", "deploymentStart",
    "deploymentEnd", "cameraID", "cameraModel", "cameraDelay", "cameraHeight", "cameraHeading", "timestampIssues",
    "baitUse", "habitat", "deploymentComments",
)  # fmt: skip
MEDIA_COLUMNS = (
    "mediaID", "deploymentID", "captureMethod", "timestamp", "filePath", "filePublic", "fileName", "fileMediatype",
    "mediaComments",
)  # fmt: skip
OBSERVATION_COLUMNS = (
    "observationID", "deploymentID", "mediaID", "eventID", "eventStart", "eventEnd", "observationLevel", "observationType",
    "scientificName", "count", "behavior", "bboxX", "bboxY", "bboxWidth", "bboxHeight", "classificationMethod",
    "classifiedBy", "observationTags",
)  # fmt: skip


@contextmanager
def camtrap_dp_writer(folder: Path, seed: int) -> Iterator[Writer]:
    """Gives a function that adds an event to the package in `folder`, beside the pictures it refers to.

    An event has one observation at event level, which holds its labels, and one per animal and picture at media
    level, which holds its box.
    """
    sites = locations(seed)
    write_csv(folder / "deployments.csv", DEPLOYMENT_COLUMNS, _deployments(seed))
    with ExitStack() as stack:
        media_file = stack.enter_context(atomic_file(folder / "media.csv", "w", newline=""))
        observation_file = stack.enter_context(atomic_file(folder / "observations.csv", "w", newline=""))
        media = csv.writer(media_file, lineterminator="\n")
        observations = csv.DictWriter(observation_file, OBSERVATION_COLUMNS, restval="", lineterminator="\n")
        media.writerow(MEDIA_COLUMNS)
        observations.writeheader()

        def add(event: DrawnEvent) -> None:
            """Adds an event."""
            deployment = _deployment_id(sites[event.scene.location].name)
            media.writerows(_media(event.scene, frame, deployment) for frame in range(FRAMES))
            observations.writerow(_event_observation(event.scene, deployment))
            observations.writerows(_media_observations(event, deployment))

        yield add
    write_json(folder / "datapackage.json", _package(seed), indent=2)


def _deployment_id(location: str) -> str:
    return f"{location}_2023"


def _stamp(time: dt.datetime) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S") + OFFSET


def _deployments(seed: int) -> Iterator[tuple[object, ...]]:
    for site in locations(seed):
        yield (
            _deployment_id(site.name), site.name, f"{site.habitat} {site.index + 1}", f"{site.latitude:.4f}",
            f"{site.longitude:.4f}", 100, _stamp(FIRST_DAY), _stamp(LAST_DAY), f"cam{site.index + 1:02d}", "camtrap_tf-drawn",
            0, site.camera_height_m, site.heading_degrees, "false", "false", site.habitat,
            "Drawn scene; coordinates are made up",
        )  # fmt: skip


def _media(scene: SceneEvent, frame: int, deployment: str) -> tuple[object, ...]:
    path = scene.file_name(frame)
    return (
        picture_id(scene, frame), deployment, "activityDetection", _stamp(scene.frame_time(frame)), path, "true",
        path.rsplit("/", 1)[1], "image/jpeg", "corrupted file" if scene.breakages[frame] else "",
    )  # fmt: skip


def _facts(scene: SceneEvent, deployment: str) -> dict[str, object]:
    """Returns what all observations of an event share."""
    named = scene.labels.get("species")
    animal = scene.species != BLANK
    facts: dict[str, object] = {
        "deploymentID": deployment,
        "eventID": scene.event_id,
        "eventStart": _stamp(scene.time),
        "eventEnd": _stamp(scene.frame_time(FRAMES - 1)),
        "observationType": "animal" if animal else "blank" if named else "unclassified",
        "scientificName": SPECIES[named].scientific_name if animal and named else "",
        "behavior": scene.labels.get("behaviour", ""),
        "observationTags": f"posture:{scene.labels['posture']}" if "posture" in scene.labels else "",
    }
    if facts["observationType"] != "unclassified":
        facts |= {"classificationMethod": "human", "classifiedBy": "camtrap_tf sample"}
    return facts


def _event_observation(scene: SceneEvent, deployment: str) -> dict[str, object]:
    return {
        **_facts(scene, deployment),
        "observationID": scene.event_id,
        "observationLevel": "event",
        "count": scene.labels.get("count", ""),
    }


def _media_observations(event: DrawnEvent, deployment: str) -> Iterator[dict[str, object]]:
    facts = _facts(event.scene, deployment)
    for frame in range(FRAMES):
        if event.scene.breakages[frame]:
            continue
        name = picture_id(event.scene, frame)
        for order, box in enumerate(event.boxes[frame]):
            if box is not None:
                places = dict(zip(("bboxX", "bboxY", "bboxWidth", "bboxHeight"), relative(box), strict=True))
                level = {"observationID": f"{name}_{order}", "mediaID": name, "observationLevel": "media", "count": 1}
                yield {**facts, **level, **places}


def _package(seed: int) -> dict[str, Any]:
    sites = locations(seed)
    west, east = min(site.longitude for site in sites), max(site.longitude for site in sites)
    south, north = min(site.latitude for site in sites), max(site.latitude for site in sites)
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    tables = ("deployments", "media", "observations")
    return {
        "resources": [
            {
                "name": name,
                "path": f"{name}.csv",
                "profile": "tabular-data-resource",
                "format": "csv",
                "mediatype": "text/csv",
                "encoding": "utf-8",
                "schema": f"{SCHEMAS}/{name}-table-schema.json",
            }
            for name in tables
        ],
        "profile": f"{SCHEMAS}/camtrap-dp-profile.json",
        "name": "camtrap-tf-sample",
        "created": _stamp(LAST_DAY),
        "title": "Drawn camera-trap scenes",
        "description": "Pictures drawn by code, to try things out; the animals, places and times are made up. "
        f"An event is {FRAMES} pictures a second apart.",
        "contributors": [{"title": "camtrap_tf", "role": "contributor"}],
        "licenses": [{"name": "CC0-1.0", "scope": "data"}, {"name": "CC0-1.0", "scope": "media"}],
        "project": {
            "title": "camtrap_tf sample",
            "samplingDesign": "targeted",
            "captureMethod": ["activityDetection"],
            "individualAnimals": False,
            "observationLevel": ["event", "media"],
        },
        "coordinatePrecision": 0.0001,
        "spatial": {"type": "Polygon", "bbox": [west, south, east, north], "coordinates": [ring]},
        "temporal": {"start": f"{FIRST_DAY:%Y-%m-%d}", "end": f"{LAST_DAY:%Y-%m-%d}"},
        "taxonomic": [
            {
                "scientificName": one.scientific_name,
                "taxonRank": "species",
                "class": one.taxon_class,
                "vernacularNames": {"eng": one.name},
            }
            for one in SPECIES.values()
        ],
    }
