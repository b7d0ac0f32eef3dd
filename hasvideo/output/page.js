"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const data = JSON.parse($("data").textContent);
  const video = $("video");
  const duration = Math.max(data.duration, 1e-3);
  const ROWS = 200; // rows of the list shown at once: a page stays quick with thousands of intervals
  const LANE = 48; // pixels, as in the style sheet

  const bytes = (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)).buffer;
  const edges = new Float64Array(bytes(data.edges));
  const classes = data.classes.map((c, index) => {
    const cam = c.cam === null ? null : new Float32Array(bytes(c.cam));
    return { ...c, index, cam, ...(cam && range(cam)), intervals: [] };
  });

  function range(cam) {
    let min = Infinity, max = -Infinity;
    for (const value of cam) { min = Math.min(min, value); max = Math.max(max, value); }
    return { min, max };
  }

  /* ---- the rule: the same as hasvideo.extents, so that the page and the file agree ---- */

  function cutOf(c, threshold) {
    const { mode } = data.rule;
    return mode === "max" ? threshold * c.max : c.min + threshold * (c.max - c.min);
  }

  function findIntervals(c, threshold) {
    if (!c.cam || (data.rule.mode === "max" && c.max <= 0)) return [];
    const runs = [];
    const cut = cutOf(c, threshold);
    for (let i = 0; i < c.cam.length; i++) {
      if (c.cam[i] < cut) continue;
      const last = runs[runs.length - 1];
      if (last && (last[1] === i - 1 || (data.rule.merge_gap > 0 && edges[i] - edges[last[1] + 1] <= data.rule.merge_gap))) last[1] = i;
      else runs.push([i, i]);
    }
    return runs
      .map(([first, last]) => ({ start: edges[first], end: edges[last + 1], score: c.score * meanOf(c.cam, first, last) / c.max, class: c }))
      .filter((i) => i.end - i.start >= data.rule.min_duration);
  }

  function meanOf(cam, first, last) {
    let sum = 0;
    for (let i = first; i <= last; i++) sum += cam[i];
    return sum / (last - first + 1);
  }

  window.hasvideo = {
    data,
    findIntervals: (threshold) => classes.flatMap((c) => findIntervals(c, threshold).map((i) => ({ ...i, class: undefined, label: c.label }))),
  };
})();
