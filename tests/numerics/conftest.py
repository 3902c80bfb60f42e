from pathlib import Path

import pytest

from tests.support.tiny_models import a_text_model, an_image_text_model


@pytest.fixture(scope="session")
def text_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return a_text_model(tmp_path_factory.mktemp("text"), num_layers=2, hidden=32, num_words=80)


@pytest.fixture(scope="session")
def image_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return an_image_text_model(tmp_path_factory.mktemp("image"), num_layers=2, hidden=32)
