// What all dashboards have in common: variables, links, and panels that look alike. Heights and widths are those of Grafana's
// grid of 24 columns.
import * as common from "@grafana/grafana-foundation-sdk/common";
import * as dashboard from "@grafana/grafana-foundation-sdk/dashboard";
import * as prometheus from "@grafana/grafana-foundation-sdk/prometheus";
import * as stat from "@grafana/grafana-foundation-sdk/stat";
import * as timeseries from "@grafana/grafana-foundation-sdk/timeseries";

/** Whose metrics are shown: the labels that the operator's PodMonitor and the shipped configurations give. */
export const OF_STACK = 'namespace=~"$namespace",app_kubernetes_io_instance=~"$stack"';
/** The same of what the operator tells about a stack. */
export const ABOUT_STACK = 'stack_namespace=~"$namespace",stack=~"$stack"';
export const COMPONENT = "app_kubernetes_io_component";

const PROMETHEUS = { type: "prometheus", uid: "${datasource}" };
const TAG = "imagesearch";

export function board(name, title, description) {
  return new dashboard.DashboardBuilder(`imagesearch / ${title}`)
    .uid(`imagesearch-${name}`)
    .description(description)
    .tags([TAG])
    .readonly()
    .refresh("30s")
    .time({ from: "now-3h", to: "now" })
    .timezone("browser")
    .tooltip(dashboard.DashboardCursorSync.Crosshair)
    .withVariable(datasource("datasource", "Metrics", "prometheus"))
    .withVariable(datasource("loki", "Logs", "loki"))
    .withVariable(datasource("tempo", "Traces", "tempo"))
    .withVariable(query("namespace", "Namespace", "label_values(imagesearch_build_info, namespace)"))
    .withVariable(
      query("stack", "Stack", 'label_values(imagesearch_build_info{namespace=~"$namespace"}, app_kubernetes_io_instance)'),
    )
    .link(
      new dashboard.DashboardLinkBuilder("Other dashboards")
        .type(dashboard.DashboardLinkType.Dashboards)
        .tags([TAG])
        .keepTime(true)
        .includeVars(true)
        .asDropdown(true),
    );
}

export function row(title) {
  return new dashboard.RowBuilder(title);
}

/** One number, red or green at a glance. `steps` are [from, colour], the first of them from nothing. */
export function number(title, description, expression, { unit = "short", steps, width = 4, decimals } = {}) {
  const panel = new stat.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .height(4)
    .span(width)
    .unit(unit)
    .reduceOptions(new common.ReduceDataOptionsBuilder().calcs(["lastNotNull"]))
    .graphMode(common.BigValueGraphMode.Area)
    .colorMode(steps ? common.BigValueColorMode.Background : common.BigValueColorMode.Value)
    .thresholds(thresholds(steps ?? [[null, "blue"]]))
    .withTarget(target("A", { expression, legend: "" }));
  return decimals === undefined ? panel : panel.decimals(decimals);
}

/** Several lines over time; queries are [expression, legend]. */
export function graph(title, description, queries, options = {}) {
  const { unit = "short", width = 8, height = 8, links = [], stacked = false, exemplars = false, min = 0, steps } = options;
  const panel = new timeseries.PanelBuilder()
    .title(title)
    .description(description)
    .datasource(PROMETHEUS)
    .height(height)
    .span(width)
    .unit(unit)
    .min(min)
    .lineWidth(1)
    .fillOpacity(stacked ? 40 : 8)
    .showPoints(common.VisibilityMode.Never)
    .legend(
      new common.VizLegendOptionsBuilder()
        .displayMode(common.LegendDisplayMode.List)
        .placement(common.LegendPlacement.Bottom)
        .showLegend(true)
        .calcs(["lastNotNull", "max"]),
    )
    .tooltip(new common.VizTooltipOptionsBuilder().mode(common.TooltipDisplayMode.Multi).sort(common.SortOrder.Descending))
    .links(links);
  if (stacked) panel.stacking(new common.StackingConfigBuilder().mode(common.StackingMode.Normal));
  if (steps) {
    panel
      .thresholds(thresholds(steps))
      .thresholdsStyle(new common.GraphThresholdsStyleConfigBuilder().mode(common.GraphThresholdsStyleMode.Line));
  }
  queries.forEach(([expression, legend], index) =>
    panel.withTarget(target(String.fromCharCode(65 + index), { expression, legend, exemplars })),
  );
  return panel;
}

/** Where a histogram's median and tails lie, `by` further labels or not. */
export function quantiles(metric, selector, by = []) {
  const labels = ["le", ...by].join(", ");
  const legend = by.map((label) => ` {{${label}}}`).join("");
  return [0.5, 0.95, 0.99].map((quantile) => [
    `histogram_quantile(${quantile}, sum by (${labels}) (rate(${metric}_bucket{${selector}}[$__rate_interval])))`,
    `p${quantile * 100}${legend}`,
  ]);
}

export function quantile(quantile, metric, selector, by) {
  return [
    `histogram_quantile(${quantile}, sum by (le, ${by}) (rate(${metric}_bucket{${selector}}[$__rate_interval])))`,
    `{{${by}}}`,
  ];
}

/** Explore, with what these components logged; a LogQL pipeline may follow. */
export function logs(components, pipeline = "") {
  const expr = `{namespace=~"$namespace", component=~"${components}"}${pipeline}`;
  return explore("Logs", "loki", { refId: "A", expr });
}

/** Explore, with traces of these services. */
export function traces(query) {
  return explore("Traces", "tempo", { refId: "A", queryType: "traceql", query });
}

function explore(title, source, what) {
  const uid = `\${${source}}`;
  const pane = {
    datasource: uid,
    queries: [{ ...what, datasource: { type: source, uid } }],
    range: { from: "${__from}", to: "${__to}" },
  };
  // Grafana fills in variables; what is around them has to be encoded, they themselves not.
  const panes = encodeURIComponent(JSON.stringify({ a: pane })).replace(
    /%24(%7B(\w+)%7D|namespace|stack)/g,
    (_, name, braced) => "${" + (braced ?? `${name}:regex`) + "}",
  );
  return new dashboard.DashboardLinkBuilder(title)
    .type(dashboard.DashboardLinkType.Link)
    .url(`/explore?schemaVersion=1&orgId=1&panes=${panes}`)
    .targetBlank(true);
}

function target(refId, { expression, legend, exemplars = false }) {
  return new prometheus.DataqueryBuilder()
    .refId(refId)
    .datasource(PROMETHEUS)
    .expr(expression)
    .legendFormat(legend)
    .exemplar(exemplars)
    .range();
}

function thresholds(steps) {
  return new dashboard.ThresholdsConfigBuilder()
    .mode(dashboard.ThresholdsMode.Absolute)
    .steps(steps.map(([value, color]) => ({ value, color })));
}

function datasource(name, label, type) {
  return new dashboard.DatasourceVariableBuilder(name).label(label).type(type);
}

function query(name, label, expression) {
  return new dashboard.QueryVariableBuilder(name)
    .label(label)
    .query({ query: expression, refId: name })
    .datasource(PROMETHEUS)
    .refresh(dashboard.VariableRefresh.OnTimeRangeChanged)
    .sort(dashboard.VariableSort.AlphabeticalAsc)
    .multi(true)
    .includeAll(true)
    .allValue(".*")
    .current({ selected: true, text: "All", value: "$__all" });
}
