from pathlib import Path

import pytest

from harden.serving.transformers_engine import TransformersEngine
from harden.serving.transformers_loader import TransformersLoader
from tests.support.tiny_models import a_text_model, an_image_text_model


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_text_model(tmp_path_factory.mktemp("text"), num_layers=2, hidden=64)


@pytest.fixture(scope="session")
def image_text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_image_text_model(tmp_path_factory.mktemp("image-text"), num_layers=2, hidden=64)


@pytest.fixture(scope="session")
def text_engine(text_model: Path) -> TransformersEngine:
    return TransformersLoader(num_threads=1).load(text_model)


@pytest.fixture(scope="session")
def image_text_engine(image_text_model: Path) -> TransformersEngine:
    return TransformersLoader(num_threads=1).load(image_text_model)


@pytest.fixture(scope="session", params=["text", "image_text"])
def engine(
    request: pytest.FixtureRequest, text_engine: TransformersEngine, image_text_engine: TransformersEngine
) -> TransformersEngine:
    return text_engine if request.param == "text" else image_text_engine
