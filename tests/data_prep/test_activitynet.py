"""JSON files of the ActivityNet kind, on the real files."""

from __future__ import annotations

import json

import pytest

from data_prep import activitynet


@pytest.mark.parametrize("name", ["gt_basnet.json", "thumos14_actionformer.json"])
def test_activitynet_kind_there_and_back(thumos, tmp_path, name, command):
    assert command(activitynet, thumos / name, "-o", tmp_path / "out.json") == 0
    made = json.loads((tmp_path / "out.json").read_text())
    given = json.loads((thumos / name).read_text())
    assert list(made["database"]) == list(given["database"])
    for video, entry in given["database"].items():
        mine = made["database"][video]
        assert [(a["label"], a["segment"]) for a in mine["annotations"]] == [
            (a["label"], [float(t) for t in a["segment"]]) for a in entry["annotations"]
        ]
        assert {k: mine.get(k) for k in ("subset", "duration", "fps")} == {
            k: entry.get(k) for k in ("subset", "duration", "fps")
        }
        assert all(isinstance(t, float) for a in mine["annotations"] for t in a["segment"])
