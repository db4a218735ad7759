"use strict";
// The curves, what stands still, and whether we are connected; all else is swapped in by htmx.
(() => {
  const $ = (id) => document.getElementById(id);
  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const clock = (seconds) => new Date(seconds * 1000).toISOString().slice(11, 19);
  const plots = [];

  function axis(size, more) {
    return { stroke: () => colour("--soft"), grid: { stroke: () => colour("--line"), width: 1 }, ticks: { stroke: () => colour("--line") }, size, ...more };
  }

  const decades = (made) => [0, 1, 10, 100, 1000, 1e4, 1e5, 1e6].filter((at) => at <= made.scales.y.max);

  function plot(id, lines) {
    const place = $(id);
    const time = { label: "UTC", value: (_, at) => (at ? clock(at) : "") };
    const series = [time, ...lines.map(([label, name]) => ({ label, stroke: () => colour(name), width: 2, points: { show: false } }))];
    const scales = { y: { distr: 4, range: (_, low, high) => [0, Math.max(1, high * 1.3)] } }; // asinh: a burst hides nothing
    const axes = [axis(30, { values: (_, marks) => marks.map(clock), space: 80 }), axis(50, { splits: decades, filter: (_, marks) => marks, values: (_, marks) => marks.map((at) => at.toLocaleString("en")) })];
    const latest = (made) => { if (made.cursor.idx == null) made.setLegend({ idx: made.data[0].length - 1 }, false); };
    const options = { width: place.clientWidth, height: 150, series, scales, axes, cursor: { y: false },
      hooks: { setData: [latest], setCursor: [latest] } };
    const made = new uPlot(options, [[], ...lines.map(() => [])], place);
    plots.push([place, made]);
    return made;
  }

  // Whoever pauses, points at the list or walks through it by keyboard finds it as it is: news waits.
  function stillness() {
    const list = $("list"), waiting = new Map(), pointed = matchMedia("(hover: hover)");
    const paused = () => $("pause").getAttribute("aria-pressed") === "true";
    const chosen = () => list.querySelector(".rows:focus-within") || (pointed.matches && list.querySelector(".rows:hover"));
    const holds = (place) => paused() || (list.contains(place) && chosen());
    const look = () => {
      $("held").hidden = paused() || !chosen();
      for (const [place, text] of waiting) {
        if (!holds(place)) { waiting.delete(place); show(place, text); }
      }
    };
    const show = (place, text) => htmx.swap(place, text, { swapStyle: "innerHTML" });
    for (const name of ["mouseover", "mouseout", "focusin", "focusout"]) list.addEventListener(name, () => setTimeout(look));
    $("pause").addEventListener("click", () => {
      $("pause").setAttribute("aria-pressed", String(!paused()));
      $("state").textContent = paused() ? "paused" : "live";
      look();
    });
    return { paused, waits: (place, text) => { if (holds(place)) waiting.set(place, text); return waiting.has(place); } };
  }

  function begin() {
    const state = $("state"), still = stillness();
    const rates = plot("rates", [["events", "--accent"], ["decisions", "--review"]]);
    const latency = plot("latency", [["ms", "--allow"]]);
    let known = [];
    const draw = (type, text) => {
      const fresh = JSON.parse(text);
      known = type === "series" ? fresh : known.map((line, at) => [...line, ...fresh[at]].slice(-300));
      if (still.paused()) return;
      const [at, events, decisions, ms] = known;
      rates.setData([at, events, decisions]);
      latency.setData([at, ms]);
    };
    document.body.addEventListener("htmx:sseBeforeMessage", (event) => {
      const { type, data } = event.detail;
      const curves = type === "series" || type === "tick";
      if (curves) draw(type, data);
      if (curves || still.waits(event.target, data)) event.preventDefault();
      if (!still.paused()) { state.textContent = "live"; state.className = ""; }
    });
    document.body.addEventListener("htmx:sseError", () => { state.textContent = "no connection: trying again"; state.className = "lost"; });
    document.body.addEventListener("htmx:beforeRequest", () => { if ($("refused")) $("refused").textContent = ""; });
    document.body.addEventListener("htmx:responseError", (event) => {
      const said = JSON.parse(event.detail.xhr.responseText).detail, place = event.detail.target;
      if (place.id === "demo") $("refused").textContent = said; else place.textContent = said;
    });
    document.body.addEventListener("htmx:afterSwap", (event) => {
      if (event.target.id === "why") event.target.scrollIntoView({ block: innerWidth > 900 ? "nearest" : "start" });
    });
    addEventListener("resize", () => plots.forEach(([place, made]) => made.setSize({ width: place.clientWidth, height: 150 })));
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => plots.forEach(([, made]) => made.redraw(false, true)));
  }
  if (document.readyState === "loading") addEventListener("DOMContentLoaded", begin); else begin();
})();
