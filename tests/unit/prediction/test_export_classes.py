"""What classes mean elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from camtrap_tf.errors import SettingError, SourceError
from camtrap_tf.prediction.export_classes import meanings, without_name
from camtrap_tf.prediction.export_model import ModelFacts

COVERAGE = [{"scientificName": "Ardea", "taxonRank": "genus", "vernacularNames": {"eng": "great herons", "nld": "reigers"}}]


@pytest.mark.parametrize(
    ("name", "kind", "scientific"),
    [
        ("Empty", "blank", ""), ("no_animal", "blank", ""), ("Homo sapiens", "human", ""), ("car", "vehicle", ""),
        ("unknown", "unknown", ""), ("Panthera leo", "animal", "Panthera leo"), ("animal", "animal", "Animalia"),
        ("Great_Herons", "animal", "Ardea"), ("Ardea", "animal", "Ardea"),
    ],
)  # fmt: skip
def test_what_is_understood_by_itself(name: str, kind: str, scientific: str) -> None:
    """Words for nothing, people and vehicles, scientific names, and names of the package's coverage."""
    found = meanings([name], coverage=COVERAGE)[name]
    assert (found.kind, found.name, found.settled) == (kind, scientific, True)


def test_names_that_are_not_known() -> None:
    """A vernacular name, and a single capitalised word that may be one, need a scientific name."""
    assert without_name(meanings(["zebra", "Lion", "Equus quagga"])) == ["zebra", "Lion"]


def test_table(tmp_path: Path) -> None:
    """The table decides; ranks make a name where none is given; a line without any says that there is none."""
    path = tmp_path / "taxa.csv"
    path.write_text(
        "model_class,scientificName,observationType,class,family,genus,species\n"
        "ZEBRA,Equus quagga,,mammalia,equidae,,\nlion,,,mammalia,felidae,panthera,leo\nbird,,,aves,,,\nranger,,human,,,,\n"
        "thing,,,,,,\nother,,,,,,\n",
        encoding="utf-8",
    )
    found = meanings(["zebra", "lion", "bird", "ranger", "thing"], taxa=path)
    assert [(one.kind, one.name) for one in found.values()] == [
        ("animal", "Equus quagga"), ("animal", "Panthera leo"), ("animal", "Aves"), ("human", ""), ("animal", ""),
    ]  # fmt: skip
    assert without_name(found) == []
    assert found["bird"].taxon["taxonRank"] == "class"


def test_seven_parts(tmp_path: Path) -> None:
    """Descriptions have guid, class, order, family, genus, epithet and common name, in small letters; what is unknown is empty.

    Source: MegaDetector output format 1.6.
    """
    path = tmp_path / "taxa.csv"
    path.write_text(
        "model_class,scientificName,vernacularName,observationType,taxonID,taxonRank,class,order,family,genus,species\n"
        "lion,,African lion,,DDF59264-185A-4D35-B647-2785792BDF54,,mammalia,carnivora,felidae,panthera,leo\n"
        "dingo,Canis lupus dingo,,,6MB3T,subspecies,,,,,\nbird,Aves,,,https://x.org/212,class,,,,,\n"
        "cat; wild,Felis silvestris,,,,,,,,,\nranger,,,human,,,,,,,\nthing,,,,,,,,,,\n",
        encoding="utf-8",
    )
    names = ["lion", "dingo", "bird", "cat; wild", "ranger", "thing", "Empty", "Vulpes vulpes", "zebra", "car"]
    assert {name: meaning.described(name) for name, meaning in meanings(names, taxa=path).items()} == {
        "lion": "ddf59264-185a-4d35-b647-2785792bdf54;mammalia;carnivora;felidae;panthera;leo;african lion",
        "dingo": ";;;;canis;lupus dingo;dingo",
        "bird": "https://x.org/212;aves;;;;;bird",
        "cat; wild": ";;;;felis;silvestris;cat wild",
        "ranger": ";;;;;;ranger",
        "thing": ";;;;;;thing",
        "Empty": ";;;;;;blank",
        "Vulpes vulpes": ";;;;vulpes;vulpes;",
        "zebra": ";;;;;;zebra",
        "car": ";;;;;;car",
    }


def test_common_name_of_a_package() -> None:
    """A class that the coverage of a package names has its rank and its English name."""
    assert meanings(["Ardea"], coverage=COVERAGE)["Ardea"].described("Ardea") == ";;;;ardea;;great herons"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("model_clas\nx\n", "did you mean 'model_class'"),
        ("model_class,observationType\nfox,anmal\n", "did you mean 'animal'"),
        ("model_class,taxonRank,scientificName\nfox,genuss,V\n", "did you mean 'genus'"),
        ("model_class\nfox\nfox\n", "there twice"),
        ("model_class\nfocks\n", "no class of the model"),
        ("scientificName\nV\n", "has no column 'model_class'"),
    ],
)
def test_tables_that_cannot_be_used(tmp_path: Path, text: str, said: str) -> None:
    """Mistakes are named with the nearest valid name."""
    path = tmp_path / "taxa.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(SourceError, match=said):
        meanings(["fox"], taxa=path)


def test_label_types_and_their_roles() -> None:
    """Label types are known by their names in several spellings; the species has to be clear."""
    model = ModelFacts.of({"species": (), "Count": (), "life_stage": (), "behaviour": (), "sex": (), "snow": ()}, {})
    assert model.roles == {"count": "Count", "lifeStage": "life_stage", "behavior": "behaviour", "sex": "sex"}
    assert model.others == ("snow",)
    assert ModelFacts.of({"class": ()}, {}).species == "class"
    with pytest.raises(SettingError, match="--species-label is missing"):
        ModelFacts.of({"a": (), "b": ()}, {})
    with pytest.raises(SettingError, match="did you mean 'class'"):
        ModelFacts.of({"class": ()}, {}, species_label="clas")
