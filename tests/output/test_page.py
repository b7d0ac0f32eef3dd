"""The page in a real browser: what it shows, plays, recomputes, and never loads."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import replace
from pathlib import Path
from typing import get_args

import numpy as np
import pytest

from hasvideo.errors import HasvideoError
from hasvideo.extents import find_intervals
from hasvideo.frames.live import as_source
from hasvideo.output import page
from hasvideo.output.page import render
from hasvideo.output.writers import write
from hasvideo.types import Activation, Detections, Interval, IntervalRule, ThresholdMode, VideoInfo

NASTY = "</script><script>document.title='pwned'</script><!-- <img src=x onerror=alert(1)> {{ 7*7 }} &amp; \u2028"


def open_page(browser, detections, folder, **options):
    (path,) = write(detections, folder, ["html"], **options)
    browser.get(path.as_uri())
    return path


@pytest.fixture
def played(browser, make, clip, tmp_path):
    """A page open on a clip that can play."""
    detections = make(path=Path(shutil.copy(clip, tmp_path / "clip.mp4")))
    open_page(browser, detections, tmp_path)
    until(lambda: browser.execute_script("return video.readyState >= 2"))
    return detections


def until(condition, seconds=10.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "did not happen in time"
        time.sleep(0.02)


def rows(browser):
    return browser.find_elements("css selector", "#list button")


def count(browser):
    return int(browser.find_element("id", "count").text.split()[0])


def state(browser):
    return browser.execute_script("return {time: video.currentTime, paused: video.paused}")


def set_threshold(browser, value):
    script = (
        "const s = document.getElementById('threshold'); s.value = arguments[0]; s.dispatchEvent(new Event('input'))"
    )
    browser.execute_script(script, value)


def press(browser, *keys):
    from selenium.webdriver import ActionChains

    ActionChains(browser).send_keys(*keys).perform()


def test_clicking_an_interval_plays_it_to_its_end_and_pauses(browser, played):
    interval = min(played.intervals, key=lambda i: i.start)
    rows(browser)[0].click()
    until(lambda: not state(browser)["paused"])
    assert interval.start <= state(browser)["time"] < interval.end
    until(lambda: state(browser)["paused"])
    assert state(browser)["time"] == pytest.approx(interval.end, abs=0.05)


def test_clicking_a_lane_plays_the_interval_there_or_seeks(browser, played):
    from selenium.webdriver import ActionChains

    canvas = browser.find_elements("css selector", ".lane canvas")[0]
    width = canvas.size["width"]
    interval = next(i for i in played.intervals if i.label == played.activations[0].label)

    def click(seconds):
        offset = round(seconds / played.info.duration * width - width / 2)
        ActionChains(browser).move_to_element_with_offset(canvas, offset, 0).click().perform()

    click((interval.start + interval.end) / 2)
    until(lambda: not state(browser)["paused"])
    assert interval.start <= state(browser)["time"] < interval.end
    press(browser, " ")
    click(0.3)
    until(lambda: state(browser)["time"] < 0.5)
    assert state(browser) == {"time": pytest.approx(0.3, abs=0.05), "paused": True}


def test_seeking_by_hand_ends_the_playing_of_an_interval_only(browser, played):
    first = min(played.intervals, key=lambda i: i.start)
    rows(browser)[0].click()
    until(lambda: not state(browser)["paused"])
    browser.execute_script("video.currentTime = arguments[0]", first.end + 0.5)
    until(lambda: state(browser)["time"] > first.end + 0.8)
    assert not state(browser)["paused"]


def test_keyboard(browser, played):
    from selenium.webdriver.common.keys import Keys

    ordered = sorted(played.intervals, key=lambda i: (i.start, i.end))
    press(browser, " ")
    until(lambda: not state(browser)["paused"])
    press(browser, " ")
    until(lambda: state(browser)["paused"])
    browser.execute_script("video.currentTime = 0")
    press(browser, Keys.ARROW_RIGHT, Keys.ARROW_RIGHT)
    until(lambda: state(browser)["time"] == pytest.approx(2.0, abs=0.01))
    press(browser, Keys.ARROW_LEFT, ".")
    until(lambda: state(browser)["time"] == pytest.approx(1.04, abs=0.01))
    browser.execute_script("video.currentTime = 0")
    for key, position in (("n", 0), ("n", 1), ("p", 0), ("p", 0)):
        press(browser, key, " ")
        current = browser.find_elements("css selector", "#list [aria-current]")
        assert [rows(browser).index(c) for c in current] == [position]
        until(lambda start=ordered[position].start: abs(state(browser)["time"] - start) < 0.3)


def test_space_after_a_click_on_a_row_pauses(browser, played):
    rows(browser)[-1].click()
    until(lambda: not state(browser)["paused"])
    press(browser, " ")
    until(lambda: state(browser)["paused"])
    assert state(browser)["time"] < max(i.end for i in played.intervals) - 0.05


def test_buttons_are_reached_by_tab_with_a_visible_focus(browser, played):
    from selenium.webdriver.common.keys import Keys

    browser.execute_script("document.getElementById('previous').focus()")
    press(browser, Keys.TAB, Keys.TAB)
    assert browser.switch_to.active_element.get_attribute("id") == "next"
    outline = browser.execute_script("return getComputedStyle(document.activeElement).outlineWidth")
    assert outline == "3px"
    press(browser, Keys.ENTER)
    assert browser.find_elements("css selector", "#list [aria-current]")


RULES = [
    IntervalRule(),
    IntervalRule(0.37, "minmax"),
    IntervalRule(0.6, "max", merge_gap=0.8),
    IntervalRule(0.25, "minmax", merge_gap=0.31, min_duration=0.4),
    IntervalRule(0.5, "max", min_duration=0.9),
]


def test_every_threshold_rule_is_compared_with_its_twin_in_the_page():
    assert {rule.mode for rule in RULES} == set(get_args(ThresholdMode))


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_page_finds_the_same_intervals_as_extents(browser, make, bumps, tmp_path, rule):
    rng = np.random.default_rng(3)
    cams = {
        "bumps": bumps(8, 97, 1.5, 3.0, 6.0),
        "noise": rng.normal(size=97).astype(np.float32),
        "negative": (-1 - rng.random(97)).astype(np.float32),
        "flat": np.full(97, 0.1, dtype=np.float32),
        "zero": np.zeros(97, dtype=np.float32),
        "plateau": np.repeat(np.float32([0.5, 1.0, 0.1, 0.5, 0.3, 0.7, 0.0]), 14)[:97],
    }
    detections = make(cams, rule=rule)
    # A video that ends inside the last cells, as TimeGrid.edges() clips them.
    detections = replace(detections, edges=np.minimum(detections.edges, 7.9))
    open_page(browser, detections, tmp_path)
    for threshold in (0.0, 0.1, rule.threshold, 0.73, 1.0):
        expected = [
            (i.label, i.start, i.end, pytest.approx(i.score, abs=1e-9))
            for a in detections.activations
            for i in find_intervals(a, detections.edges, replace(rule, threshold=threshold))
        ]
        found = browser.execute_script("return hasvideo.findIntervals(arguments[0])", threshold)
        assert [(i["label"], i["start"], i["end"], i["score"]) for i in found] == expected


def test_the_slider_changes_the_intervals_and_reset_brings_the_files_own_back(browser, make, tmp_path):
    detections = make()
    open_page(browser, detections, tmp_path)
    assert count(browser) == len(rows(browser)) == len(detections.intervals) == 4
    found = browser.execute_script("return hasvideo.findIntervals(0.5)")
    assert sorted((i["start"], i["end"]) for i in found) == sorted((i.start, i.end) for i in detections.intervals)
    set_threshold(browser, 0.95)
    assert count(browser) == len(rows(browser)) == 2
    assert browser.find_element("id", "threshold-value").text == "0.95"
    browser.find_element("id", "reset").click()
    assert count(browser) == 4


def test_at_the_files_threshold_the_page_shows_what_the_file_says(browser, make, tmp_path):
    detections = make()
    kept = detections.intervals[:1]
    open_page(browser, replace(detections, intervals=kept), tmp_path)
    assert count(browser) == 1


def test_labels_and_names_stay_text(browser, make, bumps, tmp_path):
    detections = make({NASTY: bumps(8, 80, 4)}, video="<b>&bold<i>")
    open_page(browser, detections, tmp_path)
    shown = " ".join(NASTY.split())
    assert browser.title == "<b>&bold<i> \u2013 actions found"
    assert browser.find_element("tag name", "h1").text == "<b>&bold<i>"
    assert browser.find_element("css selector", "#list b").text == shown
    assert browser.find_element("css selector", ".lane b").get_attribute("textContent") == shown
    assert len(browser.find_elements("tag name", "script")) == 2
    assert not browser.find_elements("tag name", "img")


def test_nothing_is_loaded_but_the_page_and_its_video(browser, played):
    for log in ("performance", "browser"):
        browser.get_log(log)  # what earlier pages did
    browser.refresh()
    until(lambda: browser.execute_script("return video.readyState >= 2"))
    rows(browser)[0].click()
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requests = [m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"]
    # data: is the page's icon and those of the browser's own player
    files = {url for url in requests if not url.startswith("data:")}
    assert {url.rpartition("/")[2] for url in files} == {"clip.html", "clip.mp4"}
    assert all(url.startswith("file:") for url in files)
    assert not [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


@pytest.mark.parametrize("name", ["a b#c?d%20e.mp4", 'it\'s "quoted".mp4', "-läuft 😀.mp4", "a:b&c<d>.mp4"])
def test_any_file_name_is_linked(browser, make, clip, tmp_path, name):
    video = tmp_path / "videos" / name
    video.parent.mkdir()
    shutil.copy(clip, video)
    open_page(browser, make(video=video.stem, path=video), tmp_path / "pages")
    until(lambda: browser.execute_script("return video.readyState >= 1"))
    assert not browser.find_element("id", "problem").is_displayed()


def test_a_stream_is_said_to_be_one(browser, make, tmp_path):
    open_page(browser, make(path=as_source("http://localhost/clip.ts")), tmp_path)
    told = " ".join(browser.find_element("id", "problem").text.split())
    assert told == "This was a stream: there is no video to show. The timelines and the list still work."
    assert len(rows(browser)) > 0


def test_an_embedded_video_needs_no_file(browser, make, clip, tmp_path):
    video = Path(shutil.copy(clip, tmp_path / "clip.mp4"))
    (path,) = write(make(path=video), tmp_path, ["html"], embed_video=True)
    video.unlink()
    browser.get(path.as_uri())
    until(lambda: browser.execute_script("return video.readyState >= 2"))
    rows(browser)[-1].click()
    until(lambda: state(browser)["time"] > 4)


@pytest.mark.parametrize("content", [None, b"this is no video" * 100])
def test_without_a_playable_video_the_page_says_so_and_still_works(browser, make, tmp_path, content):
    if content:
        (tmp_path / "clip.mp4").write_bytes(content)
    open_page(browser, make(path=tmp_path / "clip.mp4"), tmp_path)
    problem = browser.find_element("id", "problem")
    until(problem.is_displayed)
    assert "cannot show the video" in problem.text
    assert "./clip.mp4" in problem.text
    rows(browser)[1].click()
    press(browser, "n")
    assert browser.find_elements("css selector", "#list [aria-current]") == [rows(browser)[2]]
    set_threshold(browser, 0.95)
    assert count(browser) == 2


def test_intervals_without_activations_have_lanes(browser, make, tmp_path):
    bare = Detections("clip", make().info, (Interval(1, 2, "wave", 0.5), Interval(3, 4, "jump", 0.25)))
    open_page(browser, bare, tmp_path)
    assert [lane.text for lane in browser.find_elements("css selector", ".lane b")] == ["wave", "jump"]
    assert count(browser) == 2
    assert not browser.find_element("id", "threshold").is_enabled()


def test_nothing_found_is_said(browser, make, tmp_path):
    open_page(browser, Detections("clip", make().info, ()), tmp_path)
    assert browser.find_element("id", "count").text == "0 intervals"
    assert "No class" in browser.find_element("id", "nothing").text


def test_an_hour_with_fifty_classes_stays_quick(browser, tmp_path):
    rng = np.random.default_rng(0)
    cells, hour = 11_000, 3600.0
    cams = [np.convolve(rng.normal(size=cells), np.ones(9) / 9, "same").astype(np.float32) for _ in range(50)]
    activations = tuple(Activation(f"class {k}", 0.5, cam) for k, cam in enumerate(cams))
    detections = Detections(
        "hour", VideoInfo(tmp_path / "hour.mp4", hour, 25, 640, 360), (), activations, np.linspace(0, hour, cells + 1)
    )
    path = open_page(browser, detections, tmp_path)
    assert path.stat().st_size < 6e6
    started = time.monotonic()
    set_threshold(browser, 0.4)
    browser.execute_async_script("requestAnimationFrame(() => requestAnimationFrame(arguments[0]))")
    assert time.monotonic() - started < 20  # a fraction of a second where nothing else runs
    assert count(browser) > 10_000
    assert len(rows(browser)) == 200
    browser.find_element("id", "more").click()
    assert len(rows(browser)) == 400


def test_zooming_keeps_the_chosen_interval_in_view(browser, make, bumps, tmp_path):
    detections = make({"wave": bumps(600, 3000, 100, 400, 590, width=2)}, duration=600.0)
    open_page(browser, detections, tmp_path)
    for _ in range(5):
        browser.find_element("id", "zoom-in").click()
    rows(browser)[1].click()
    left, right = browser.execute_async_script(
        "const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => {"
        " const s = document.getElementById('scroller'), p = 600 / s.scrollWidth;"
        " done([s.scrollLeft * p, (s.scrollLeft + s.clientWidth) * p]) }))"
    )
    assert right - left == pytest.approx(600 / 32, rel=0.01)
    assert left < sorted(i.start for i in detections.intervals)[1] < right


def test_dark_and_light_follow_the_system(browser, make, tmp_path):
    open_page(browser, make(), tmp_path)
    papers = []
    for scheme in ("light", "dark"):
        feature = {"name": "prefers-color-scheme", "value": scheme}
        browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [feature]})
        papers.append(browser.execute_script("return getComputedStyle(document.documentElement).backgroundColor"))
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": []})
    assert papers == ["rgb(255, 255, 255)", "rgb(21, 24, 28)"]


def test_a_phone_needs_no_sideways_scrolling(browser, make, bumps, tmp_path):
    phone = {"width": 360, "height": 740, "deviceScaleFactor": 2, "mobile": True}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", phone)
    try:
        open_page(browser, make({"a rather long label " * 6: bumps(8, 80, 4)}, video="name" * 40), tmp_path)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= 360
    finally:
        browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_video_too_large_to_embed_is_refused(make, clip, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "MAX_EMBEDDED", 1000)
    with pytest.raises(HasvideoError, match=r"cannot embed .* link it instead"):
        render(make(path=clip), tmp_path, embed_video=True)


def test_a_missing_video_cannot_be_embedded_and_leaves_nothing(make, tmp_path):
    with pytest.raises(HasvideoError, match="cannot embed"):
        write(make(path=tmp_path / "gone.mp4"), tmp_path, ["html"], embed_video=True)
    assert list(tmp_path.iterdir()) == []
