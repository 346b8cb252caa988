/* Draws the charts of a page with ECharts: each <div class="plot" data-chart="NAME"> from tikval.charts[NAME].
 *
 * The data are those of figures/data.py; `kind` names which function of tikval.kinds draws them: all files charts-*.js
 * come before this one. Every name and title is a stranger's text: it goes to a canvas or into textContent, never into
 * HTML. Nothing here needs a style or a script within the page, so a policy may forbid both.
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const { dark, lookOf } = tikval.look;
  const MISSING = "This chart cannot be shown here; the files beside it have the same figure and its numbers.";
  const kinds = new Map(Object.entries(tikval.kinds)); // a Map, as `constructor` is no kind
  const still = matchMedia("(prefers-reduced-motion: reduce)");

  /** Draws one chart, and draws it again when its width, the colours of the page or what is chosen changes. */
  function plot(div) {
    const charts = tikval.charts ?? {};
    const data = Object.hasOwn(charts, div.dataset.chart) ? charts[div.dataset.chart] : null;
    const kind = kinds.get(data?.kind);
    if (!kind || !window.echarts) {
      div.textContent = MISSING;
      return;
    }
    div.replaceChildren();
    div.setAttribute("role", "img");
    const state = {};
    let chart = null, width = 0;
    const draw = () => {
      width = div.clientWidth;
      if (!width) return; // not on show yet
      const look = lookOf(div);
      const { height, option, ...words } = kind(data, look, state);
      const sentence = words.sentence.replace(/\s+/g, " ");
      div.style.height = `${Math.round(height)}px`;
      div.setAttribute("aria-label", sentence);
      if (!chart) {
        chart = window.echarts.init(div, null, { renderer: "canvas", width, height });
        chart.on("legendselectchanged", ({ selected }) => {
          const chosen = Object.entries(selected).filter(([name]) => name.startsWith("#"));
          if (chosen.some(([, is]) => is)) state.selected = Object.fromEntries(chosen); // the last one stays
          draw();
        });
      }
      chart.resize({ width, height });
      chart.setOption({
        animation: !still.matches,
        backgroundColor: "transparent",
        darkMode: dark.matches,
        textStyle: { fontFamily: look.font, color: look.ink },
        aria: { enabled: true, label: { enabled: true, description: sentence }, decal: { show: true } },
        ...option,
        tooltip: {
          renderMode: "richText", // one of HTML would need styles within the page
          confine: true, backgroundColor: look.card, borderColor: look.line, borderWidth: 1, padding: 8,
          textStyle: { color: look.ink, fontSize: 12, fontFamily: look.font },
          ...option.tooltip,
        },
      }, { notMerge: true });
    };
    draw();
    new ResizeObserver(() => {
      if (div.clientWidth !== width) requestAnimationFrame(draw);
    }).observe(div);
    dark.addEventListener("change", draw);
    still.addEventListener("change", draw);
  }

  function begin() {
    for (const div of document.querySelectorAll("div.plot[data-chart]")) {
      try {
        plot(div);
      } catch (err) {
        div.textContent = MISSING;
        reportError(err); // the others are drawn all the same
      }
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
  else begin();
})();
