/* How many values videos have, and how often each occurs: per_video and occurrences.
 *
 * Each: data, look, what was chosen -> height in pixels, an option of ECharts, a sentence for who does not see it.
 */
"use strict";
window.tikval = window.tikval || {};

(function () {
  const {
    STANCES, PLAIN, FEW, LEGEND, percent, plain, whole, lookOfSystem, quiet, numbers, names, valueAxis, heading, key,
    choose, legend, panels, bar, panelTitle, listed,
  } = tikval.look;

  function perVideo(data, look, state) {
    choose(state, data.series, FEW);
    const most = Math.max(...data.series.map((one) => one.counts.length));
    let system = 0;
    const series = data.series.map((one, n) => ({
      type: "bar",
      name: key(n),
      data: one.counts.map((count) => ({ value: (100 * count) / one.videos, count })),
      itemStyle: one.human ? { color: look.quiet, decal: PLAIN } : { color: lookOfSystem(look, system++).color },
      barMaxWidth: 42,
      barGap: "8%",
      barCategoryGap: "24%",
    }));
    const say = (points) => {
      const line = ({ marker, seriesIndex, value, data: { count } }) =>
        `${marker}${plain(data.series[seriesIndex].name)}: ${value.toFixed(1)} % (${whole(count)})`;
      return [`${points[0].axisValue} values`, ...points.map(line)].join("\n");
    };
    return {
      height: look.narrow ? 340 : 380,
      sentence: `Bars: how many values a video has, in percent of the videos, by ${listed(data.series)}.`,
      option: {
        legend: legend(look, data.series, state),
        grid: { left: 46, right: 8, top: LEGEND + 16, bottom: 44 },
        xAxis: names(look, [...Array(most).keys()].map(String), {
          name: "values of a video", nameLocation: "middle", nameGap: 26, nameTextStyle: quiet(look),
        }),
        yAxis: numbers(look, { axisLabel: { formatter: "{value} %" } }),
        tooltip: { trigger: "axis", axisPointer: { type: "shadow" }, formatter: say },
        series,
      },
    };
  }

  function occurrences(data, look, state) {
    const { shown, head, legends, switches } = panels(look, data.series, state);
    const labels = look.narrow ? 112 : 190;
    const across = Math.max(1, Math.min(shown.length, 3, Math.floor((look.width - labels) / 270)));
    const tall = (look.narrow ? 28 : 21) * data.values.length;
    const width = (look.width - labels - 12) / across;
    const most = Math.max(1, ...shown.flatMap((one) => STANCES.flatMap((stance) => one[stance])));
    const option = {
      legend: legends, title: [], grid: [], xAxis: [], yAxis: [], series: switches,
      tooltip: { trigger: "axis", axisPointer: { type: "shadow" } },
    };
    shown.forEach((one, n) => {
      const left = labels + (n % across) * width, top = head + 28 + Math.floor(n / across) * (tall + 70);
      option.title.push(heading(look, panelTitle(look, one), look.narrow ? 0 : left, top - 28, {
        width: look.narrow ? look.width : width - 14, overflow: "truncate",
      }));
      option.grid.push({ left, width: width - 14, top, height: tall });
      option.xAxis.push(numbers(look, {
        gridIndex: n, min: -1.25 * most, max: 1.25 * most, splitNumber: 4, name: "videos", nameGap: 24,
        axisLabel: { formatter: (count) => whole(Math.abs(count)), showMinLabel: false, showMaxLabel: false },
      }));
      option.yAxis.push(valueAxis(look, data.values, n, across));
      for (const stance of STANCES) {
        const sign = stance === "endorsed" ? 1 : -1;
        option.series.push({
          type: "bar", name: stance, xAxisIndex: n, yAxisIndex: n,
          barWidth: "72%", barGap: "-100%", // both in one line
          itemStyle: bar(look, stance),
          data: one[stance].map((count) => ({ value: sign * (count ?? 0), count })),
          label: {
            show: true, position: sign > 0 ? "right" : "left", ...quiet(look),
            formatter: ({ data: { count } }) => (count === null ? "×" : count ? whole(count) : ""),
          },
        });
      }
    });
    option.tooltip.formatter = (points) => {
      const one = shown[points[0].axisIndex];
      const say = ({ marker, seriesName, data: { count } }) => {
        const many = count === null ? "not modelled" : `${whole(count)} (${percent(count / one.videos, 1)})`;
        return `${marker}${seriesName}: ${many}`;
      };
      return [plain(points[0].name), plain(one.name), ...points.map(say)].join("\n");
    };
    return {
      height: head + 20 + Math.ceil(shown.length / across) * (tall + 70),
      sentence: `Bars to both sides: in how many videos each of ${data.values.length} values is confronted and
        endorsed, by ${listed(data.series)}.`,
      option,
    };
  }

  tikval.kinds = { ...tikval.kinds, per_video: perVideo, occurrences };
})();
