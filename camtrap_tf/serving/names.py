"""What classes are called in the language of the one who asks."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from camtrap_tf.errors import SettingError, suggestion
from camtrap_tf.logs import logger
from camtrap_tf.serving.refusals import RefusedError

COLUMNS = ("class", "lang", "name")
OTHERWISE = "en"
"""Language of names where a class has none in the one asked for."""

log = logger(__name__)


@dataclass(frozen=True, slots=True)
class VernacularNames:
    """Names of classes by language.

    Attributes:
        by_language: two-letter code of ISO 639-1 → class → name.
    """

    by_language: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, path: Path | None, classes: Mapping[str, Sequence[str]]) -> VernacularNames:
        """Reads a CSV table with the columns `class`, `lang` and `name`; a class may have a row per language.

        Args:
            path: the table, if there is one.
            classes: label type → classes of the model; rows for other classes are counted in a warning.

        Raises:
            SettingError: the table cannot be read, lacks a column, or names a class twice in one language.
        """
        if path is None:
            return cls()
        by_language: dict[str, dict[str, str]] = {}
        known = {name for names in classes.values() for name in names}
        strangers: list[str] = []
        for number, row in _rows(path):
            name, lang, said = (row[column].strip() for column in COLUMNS)
            lang = lang.lower()
            if not (len(lang) == 2 and lang.isascii() and lang.isalpha()):
                raise SettingError(f"--vernacular-names {path}, line {number}: lang {lang!r} is no two-letter code such as en")
            if by_language.setdefault(lang, {}).setdefault(name, said) != said:
                raise SettingError(f"--vernacular-names {path}, line {number}: {name!r} has another name in {lang!r} already")
            if name not in known:
                strangers.append(name)
        if strangers:
            nearest = suggestion(strangers[0], sorted(known))
            log.warning("--vernacular-names %s: %d rows name no class, e.g. %r%s", path, len(strangers), strangers[0], nearest)
        return cls(by_language)

    def of(self, name: str, lang: str) -> str | None:
        """Returns what a class is called in a language, else in English, else an empty text; None without any names."""
        if not self.by_language:
            return None
        for language in (lang, OTHERWISE):
            said = self.by_language.get(language, {}).get(name)
            if said:
                return said
        return ""


def _rows(path: Path) -> list[tuple[int, dict[str, str]]]:
    """Returns the rows of the table with their line numbers."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="")
            missing = [column for column in COLUMNS if column not in (reader.fieldnames or ())]
            if missing:
                raise SettingError(f"--vernacular-names {path}: has no column {missing[0]!r}; it needs {', '.join(COLUMNS)}")
            return [(reader.line_num, row) for row in reader]
    except OSError as err:
        raise SettingError(f"--vernacular-names {path}: cannot be read: {err.strerror}") from err
    except (UnicodeDecodeError, csv.Error) as err:
        raise SettingError(f"--vernacular-names {path}: is no CSV table in UTF-8") from err


def language(text: str) -> str:
    """Returns the two-letter code that a language tag such as `pt-BR` begins with, English for an empty one.

    Raises:
        RefusedError: it is no such tag.
    """
    code = (text or OTHERWISE)[:2].lower()
    if not (len(code) == 2 and code.isascii() and code.isalpha()):
        raise RefusedError(422, "bad_value", f"lang {text[:80]!r} does not begin with a two-letter code such as en")
    return code
