"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const $ = (id) => document.getElementById(id);
  const video = $("video");
  const duration = Math.max(data.duration, 1e-3);
  const rule = data.rule;
  const ROWS = 200; // rows that the list adds at a time, so that thousands of intervals don't slow it down
  const AXIS_HEIGHT = 28, LANE_HEIGHT = 48; // pixels, as in the style sheet

  const decode = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer;
  const edges = new Float64Array(decode(data.edges));
  const classes = data.classes.map((c) => {
    const cam = c.cam === null ? null : new Float32Array(decode(c.cam));
    const own = { ...c, cam, min: Infinity, max: -Infinity };
    for (const value of cam ?? []) {
      own.min = Math.min(own.min, value);
      own.max = Math.max(own.max, value);
    }
    own.found = c.found.map(([start, end, score]) => ({ start, end, score, class: own }));
    return own;
  });

  // The rule of hasvideo.extents.find_intervals.

  function cutOf(c, threshold) {
    if (rule.mode === "minmax") return c.min + threshold * (c.max - c.min);
    return c.max > 0 ? threshold * c.max : Infinity;
  }

  function findIntervals(c, threshold) {
    if (!c.cam) return [];
    const cut = cutOf(c, threshold);
    const runs = [];
    let open = false;
    c.cam.forEach((value, i) => {
      const inside = value >= cut && edges[i + 1] > edges[i];
      const last = runs.at(-1);
      if (inside && open) last.to = i + 1;
      else if (inside && last && rule.merge_gap > 0 && edges[i] - edges[last.to] <= rule.merge_gap) last.to = i + 1;
      else if (inside) runs.push({ from: i, to: i + 1 });
      open = inside;
    });
    return runs
      .map(({ from, to }) => ({ start: edges[from], end: edges[to], score: c.score * relativeMean(c, from, to), class: c }))
      .filter((i) => i.end - i.start >= rule.min_duration);
  }

  function relativeMean(c, from, to) {
    let sum = 0;
    for (let i = from; i < to; i++) sum += c.cam[i];
    return c.max > 0 ? Math.max(0, sum / (to - from) / c.max) : 0;
  }

  // What is shown now.

  let threshold = rule.threshold;
  let shown = []; // the intervals in the order of the list
  let selected = null;
  let rows = ROWS;
  let now = 0;
  let stopAt = null; // end of the interval that is playing, if one is
  let soughtTo = 0; // where this script last moved the video
  let playable = true;
  let zoom = 1;

  function clock(seconds, digits = 1) {
    const total = Math.round(seconds * 10 ** digits) / 10 ** digits;
    const h = Math.floor(total / 3600), m = Math.floor(total / 60) % 60;
    const s = (total % 60).toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
    return h ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
  }

  // Threshold and list.

  function setThreshold(value) {
    threshold = value;
    // At the file's own threshold the page shows what the file says, whatever was done to it after the rule.
    for (const c of classes) c.intervals = !c.cam || threshold === rule.threshold ? c.found : findIntervals(c, threshold);
    $("threshold").value = threshold;
    $("threshold-value").textContent = threshold.toFixed(Math.abs(threshold * 100 - Math.round(threshold * 100)) < 1e-6 ? 2 : 4);
    $("reset").disabled = threshold === rule.threshold;
    rows = ROWS;
    selected = null;
    order();
    drawLanes();
  }

  function order() {
    const byTime = (a, b) => a.start - b.start || a.end - b.end;
    const byScore = (a, b) => b.score - a.score || byTime(a, b);
    shown = classes.flatMap((c) => c.intervals).sort($("order").value === "score" ? byScore : byTime);
    $("count").textContent = shown.length === 1 ? "1 interval" : `${shown.length} intervals`;
    $("nothing").hidden = shown.length > 0;
    $("previous").disabled = $("next").disabled = shown.length === 0;
    listRows();
  }

  function listRows() {
    $("list").replaceChildren(...shown.slice(0, rows).map(row));
    const hidden = shown.length - rows;
    $("more").hidden = hidden <= 0;
    $("more").textContent = `Show ${Math.min(hidden, ROWS)} more of ${hidden}`;
    markSelected();
  }

  function row(interval) {
    const button = element("button", "", { type: "button" });
    button.style.setProperty("--class", interval.class.color);
    button.append(
      element("b", interval.class.label),
      element("i", interval.score.toFixed(2), { title: "score" }),
      element("span", `${clock(interval.start)} – ${clock(interval.end)}`),
    );
    button.addEventListener("click", (event) => {
      play(interval);
      // After a click with a pointer, space is for the video; after one by keyboard, the row keeps the focus.
      if (event.detail > 0) button.blur();
    });
    const item = document.createElement("li");
    item.append(button);
    return item;
  }

  function element(name, text, attributes = {}) {
    const node = document.createElement(name);
    node.textContent = text;
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    return node;
  }

  function markSelected() {
    const list = $("list");
    list.querySelector("[aria-current]")?.removeAttribute("aria-current");
    const item = list.children[shown.indexOf(selected)];
    if (!item) return;
    item.firstChild.setAttribute("aria-current", "true");
    // scrollIntoView would move the page as well, away from the video.
    if (item.offsetTop < list.scrollTop) list.scrollTop = item.offsetTop;
    const below = item.offsetTop + item.offsetHeight - list.clientHeight;
    if (below > list.scrollTop) list.scrollTop = below;
  }

  // Playing.

  function seek(time) {
    stopAt = null;
    now = soughtTo = Math.min(Math.max(time, 0), duration);
    if (playable) video.currentTime = now;
    movePlayhead();
  }

  function play(interval) {
    selected = interval;
    const index = shown.indexOf(interval);
    if (index >= rows) {
      rows = Math.ceil((index + 1) / ROWS) * ROWS;
      listRows();
    }
    markSelected();
    seek(interval.start);
    reveal(interval);
    drawLanes();
    if (!playable) return;
    stopAt = interval.end;
    video.play().catch(() => {}); // refused or interrupted: the buttons show that it is paused
  }

  function step(by) {
    if (!shown.length) return;
    let index = shown.indexOf(selected) + by;
    if (!selected) {
      const ahead = shown.findIndex((i) => i.start >= now);
      index = by > 0 ? ahead : (ahead < 0 ? shown.length : ahead) - 1;
    }
    play(shown[Math.min(Math.max(index, 0), shown.length - 1)]);
  }

  function togglePlay() {
    if (!playable) return;
    if (video.paused) video.play().catch(() => {});
    else video.pause();
  }

  let following = 0;
  function follow() {
    now = video.currentTime;
    if (stopAt !== null && now >= stopAt && !video.seeking) {
      const end = stopAt;
      video.pause();
      seek(end);
    }
    movePlayhead();
    cancelAnimationFrame(following);
    if (!video.paused) following = requestAnimationFrame(follow);
  }

  function showProblem() {
    playable = false;
    video.hidden = true;
    $("problem").hidden = false;
    $("play").disabled = true;
  }

  // Timelines: canvases as wide as the window on them, inside a native scroller as wide as the zoom.

  const scroller = $("scroller"), view = $("view");
  const lanes = classes.map((c) => {
    const lane = element("div", "", { class: "lane" });
    const head = document.createElement("p");
    head.append(element("b", c.label, { title: c.label }), element("span", c.score === null ? "" : c.score.toFixed(2)));
    const canvas = element("canvas", "", { role: "img" });
    canvas.addEventListener("click", (event) => clickLane(c, event));
    canvas.addEventListener("pointermove", (event) => hoverLane(c, canvas, event));
    lane.append(head, canvas);
    $("lanes").append(lane);
    return { class: c, lane, canvas };
  });

  // Kept here, since asking the page for them thousands of times a frame is slow.
  let width = 1, viewStart = 0, secondsPerPixel = 1;

  function measure() {
    width = Math.max(scroller.clientWidth, 1);
    secondsPerPixel = duration / (width * zoom);
    viewStart = scroller.scrollLeft * secondsPerPixel;
  }

  const xOf = (time) => (time - viewStart) / secondsPerPixel;
  const timeAt = (event) => viewStart + (event.clientX - view.getBoundingClientRect().left) * secondsPerPixel;

  function scrollToTime(time, x) {
    scroller.scrollLeft = time / secondsPerPixel - x;
    measure();
  }

  function intervalAt(c, time) {
    const slack = 3 * secondsPerPixel;
    return c.intervals.find((i) => i.start <= time && time < i.end)
      ?? c.intervals.find((i) => i.start - slack <= time && time < i.end + slack);
  }

  function clickLane(c, event) {
    const interval = intervalAt(c, timeAt(event));
    if (interval) play(interval);
    else seek(timeAt(event));
  }

  function hoverLane(c, canvas, event) {
    const time = timeAt(event);
    const interval = intervalAt(c, time);
    canvas.style.cursor = interval ? "pointer" : "default";
    canvas.title = interval
      ? `${c.label} ${interval.score.toFixed(2)}\n${clock(interval.start)} – ${clock(interval.end)}`
      : clock(time);
  }

  function setZoom(factor, center = viewCenter()) {
    // At the closest, a second is about as wide as a hand.
    zoom = Math.min(Math.max(factor, 1), Math.max(duration / 4, 1));
    $("extent").style.width = `${zoom * 100}%`;
    measure();
    scrollToTime(center, width / 2);
    $("zoom-out").disabled = $("zoom-fit").disabled = zoom === 1;
    $("zoom-in").disabled = zoom >= duration / 4;
    drawLanes();
  }

  function viewCenter() {
    const x = xOf(now);
    return 0 <= x && x <= width ? now : viewStart + (width / 2) * secondsPerPixel;
  }

  /** Scroll the timelines to an interval, if they are zoomed in or many. */
  function reveal({ start, end, class: c }) {
    if (xOf(start) < 0 || xOf(Math.min(end, start + 0.8 * width * secondsPerPixel)) > width) scrollToTime(start, 0.1 * width);
    const { lane } = lanes[classes.indexOf(c)];
    const hidden = lane.offsetTop - AXIS_HEIGHT < scroller.scrollTop
      || lane.offsetTop + lane.offsetHeight > scroller.scrollTop + scroller.clientHeight;
    if (hidden) scroller.scrollTop = lane.offsetTop - AXIS_HEIGHT;
  }

  function movePlayhead() {
    $("now").textContent = clock(now);
    if (playable && !video.paused && (xOf(now) < 0 || xOf(now) > width)) scrollToTime(now, 0.1 * width);
    const x = xOf(now);
    $("playhead").style.transform = `translateX(${x}px)`;
    $("playhead").hidden = x < -1 || x > width + 1;
  }

  let drawing = 0;
  function drawLanes() {
    cancelAnimationFrame(drawing);
    drawing = requestAnimationFrame(() => {
      measure();
      view.style.width = `${width}px`;
      const style = getComputedStyle(document.documentElement);
      const colors = Object.fromEntries(["ink", "muted", "line"].map((name) => [name, style.getPropertyValue(`--${name}`)]));
      drawAxis(colors);
      const top = scroller.getBoundingClientRect().top;
      for (const lane of lanes) {
        lane.canvas.setAttribute("aria-label", `${lane.class.label}: ${lane.class.intervals.length} intervals`);
        const box = lane.lane.getBoundingClientRect();
        if (box.bottom >= top && box.top <= top + scroller.clientHeight) drawLane(lane, colors);
      }
      movePlayhead();
    });
  }

  function prepare(canvas, height) {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(width * ratio);
    canvas.height = Math.round(height * ratio);
    const context = canvas.getContext("2d");
    context.scale(ratio, ratio);
    return context;
  }

  function drawAxis(colors) {
    const context = prepare($("axis"), AXIS_HEIGHT);
    const stepSeconds = data.tick_steps.find((s) => s / secondsPerPixel >= 72) ?? data.tick_steps.at(-1);
    context.font = `12px ${getComputedStyle(document.body).fontFamily}`;
    context.textBaseline = "middle";
    const last = Math.min(viewStart + width * secondsPerPixel, duration);
    for (let k = Math.ceil(viewStart / stepSeconds - 1e-9); k * stepSeconds <= last + 1e-9; k++) {
      const x = xOf(k * stepSeconds);
      context.fillStyle = colors.line;
      context.fillRect(x, 0, 1, AXIS_HEIGHT);
      context.fillStyle = colors.muted;
      const text = clock(k * stepSeconds, stepSeconds < 1 ? 1 : 0);
      if (x + 5 + context.measureText(text).width <= width) context.fillText(text, x + 5, AXIS_HEIGHT / 2);
    }
  }

  function drawLane({ class: c, canvas }, colors) {
    const context = prepare(canvas, LANE_HEIGHT);
    for (const interval of c.intervals) drawInterval(context, interval, c.color, colors);
    context.fillStyle = colors.line;
    context.fillRect(0, LANE_HEIGHT - 1, width, 1);
    if (c.cam && c.max > Math.min(c.min, 0)) drawCurve(context, c, colors);
  }

  function drawInterval(context, interval, color, colors) {
    const left = xOf(interval.start);
    const wide = Math.max(xOf(interval.end) - left, 1.5);
    if (left + wide < 0 || left > width) return;
    context.fillStyle = color;
    context.globalAlpha = 0.4;
    context.fillRect(left, 0, wide, LANE_HEIGHT);
    context.globalAlpha = 1;
    context.fillRect(left, LANE_HEIGHT - 5, wide, 5);
    if (interval !== selected) return;
    context.strokeStyle = colors.ink;
    context.lineWidth = 2;
    context.strokeRect(left + 1, 1, Math.max(wide - 2, 1), LANE_HEIGHT - 2);
  }

  function drawCurve(context, c, colors) {
    const low = Math.min(c.min, 0);
    const yOf = (value) => LANE_HEIGHT - 1 - ((value - low) / (c.max - low)) * (LANE_HEIGHT - 6);
    context.strokeStyle = colors.muted;
    context.lineWidth = 1;
    context.setLineDash([5, 4]);
    context.beginPath();
    context.moveTo(0, Math.round(yOf(cutOf(c, threshold))) + 0.5);
    context.lineTo(width, Math.round(yOf(cutOf(c, threshold))) + 0.5);
    context.stroke();
    context.setLineDash([]);
    context.strokeStyle = colors.ink;
    context.lineWidth = 1.25;
    context.lineJoin = "round";
    context.stroke(curvePath(c, yOf));
  }

  /** Steps of the visible cells; where several share a pixel, a line from their lowest to their highest. */
  function curvePath(c, yOf) {
    const path = new Path2D();
    let pixel = null, highest = 0, lowest = 0;
    const flush = () => {
      if (pixel === null) return;
      path.lineTo(pixel, yOf(highest));
      if (lowest !== highest) path.lineTo(pixel, yOf(lowest));
    };
    for (let i = 0; i < c.cam.length; i++) {
      const left = xOf(edges[i]), right = xOf(edges[i + 1]);
      if (right < 0 || left > width) continue;
      const value = c.cam[i];
      if (right - left > 2) {
        flush();
        pixel = null;
        path.lineTo(left, yOf(value));
        path.lineTo(right, yOf(value));
      } else if (Math.floor(left) === pixel) {
        highest = Math.max(highest, value);
        lowest = Math.min(lowest, value);
      } else {
        flush();
        pixel = Math.floor(left);
        highest = lowest = value;
      }
    }
    flush();
    return path;
  }

  // Controls.

  const KEYS = {
    " ": togglePlay,
    ArrowLeft: () => seek(now - 1),
    ArrowRight: () => seek(now + 1),
    ",": () => seek(now - 1 / data.fps),
    ".": () => seek(now + 1 / data.fps),
    n: () => step(1),
    p: () => step(-1),
    "+": () => setZoom(zoom * 2),
    "=": () => setZoom(zoom * 2),
    "-": () => setZoom(zoom / 2),
    0: () => setZoom(1),
  };

  document.addEventListener("keydown", (event) => {
    const action = KEYS[event.key];
    const { target } = event;
    if (!action || event.ctrlKey || event.altKey || event.metaKey) return;
    if (target.closest?.("input, select") && !/^[np]$/.test(event.key)) return;
    if (event.key === " " && target.closest?.("button")) return; // the button's own key
    event.preventDefault();
    action();
  });

  $("play").addEventListener("click", togglePlay);
  $("previous").addEventListener("click", () => step(-1));
  $("next").addEventListener("click", () => step(1));
  $("order").addEventListener("change", order);
  $("more").addEventListener("click", () => {
    rows += ROWS;
    listRows();
  });
  $("reset").addEventListener("click", () => setThreshold(rule.threshold));
  $("threshold").addEventListener("input", () => {
    const value = Number($("threshold").value);
    const nearDefault = Math.abs(value - rule.threshold) < 0.005;
    setThreshold(nearDefault ? rule.threshold : Math.round(value * 100) / 100);
  });
  $("zoom-in").addEventListener("click", () => setZoom(zoom * 2));
  $("zoom-out").addEventListener("click", () => setZoom(zoom / 2));
  $("zoom-fit").addEventListener("click", () => setZoom(1));
  scroller.addEventListener("scroll", drawLanes, { passive: true });
  new ResizeObserver(() => {
    const start = viewStart;
    measure();
    scrollToTime(start, 0);
    drawLanes();
  }).observe(scroller);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawLanes);

  const showPlaying = () => {
    document.body.classList.toggle("playing", !video.paused);
    $("play-name").textContent = video.paused ? "Play" : "Pause";
  };
  video.addEventListener("play", () => {
    showPlaying();
    follow();
  });
  video.addEventListener("pause", showPlaying);
  video.addEventListener("timeupdate", follow);
  video.addEventListener("seeking", () => {
    // Somebody used the player's own bar: the interval that was playing no longer ends the playing.
    if (Math.abs(video.currentTime - soughtTo) > 0.1) stopAt = null;
    now = video.currentTime;
    movePlayhead();
  });
  video.addEventListener("error", showProblem);
  video.addEventListener("loadedmetadata", () => {
    if (video.videoWidth === 0) showProblem(); // only the sound can be decoded
  });
  if (video.error || !video.hasAttribute("src")) showProblem();

  $("duration").textContent = clock(data.duration);
  $("nothing").textContent = classes.length
    ? "Nothing is above the threshold."
    : "No class was found probable enough to look for in this video.";
  $("default").style.left = `calc(${rule.threshold * 100}% + ${8 - 16 * rule.threshold}px)`;
  $("threshold").disabled = !classes.some((c) => c.cam);
  setThreshold(rule.threshold);
  setZoom(1);

  window.hasvideo = {
    /** All intervals at a threshold, by class: what the slider shows. */
    findIntervals: (at) =>
      classes.flatMap((c) => findIntervals(c, at)).map((i) => ({ label: i.class.label, start: i.start, end: i.end, score: i.score })),
  };
})();
