"""The `stages` of a module: each server is started when the first row asks for it, and stopped after the last."""

import os
import tempfile
from pathlib import Path

import pytest
from certificates import Authority
from live.settings.stage import Stage


@pytest.fixture(scope="module")
def theatre():
    """Stages by what they are configured with, in a directory that everybody may read, as users without rights are."""
    stages = {}
    with tempfile.TemporaryDirectory() as name:
        os.chmod(name, 0o755)
        try:
            yield Path(name), stages
        finally:
            for stage in stages.values():
                stage.end()


@pytest.fixture
def stage(theatre, request):
    directory, stages = theatre
    request.node.servers = []

    def start(settings, files, log="server.log"):
        key = repr((settings, files))
        if key not in stages:
            stages[key] = Stage(directory / f"stage{len(stages)}", settings, files, log)
            request.node.servers.append(stages[key].server)
            stages[key].start()
        request.node.servers.append(stages[key].server)
        return stages[key]

    return start


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return Authority(tmp_path_factory.mktemp("authority"))
